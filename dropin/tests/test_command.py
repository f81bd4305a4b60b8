"""The command ``celery``, ``python -m celery``, and programs that start their own worker."""

from __future__ import annotations

import pytest

PROJECT = {
    "proj/__init__.py": "",
    "proj/celery.py": """
        import os
        from celery import Celery

        app = Celery("proj", include=["proj.tasks"])
        app.config_from_object("proj.celeryconfig")

        if __name__ == "__main__":
            app.start()
    """,
    "proj/celeryconfig.py": """
        import os

        broker_url = result_backend = os.environ["STORE"]
    """,
    "proj/tasks.py": """
        from celery import shared_task
        from celery.utils.log import get_task_logger

        from .celery import app

        logger = get_task_logger(__name__)


        @app.task(bind=True)
        def add(self, x, y):
            logger.info("adding %s and %s", x, y)
            return x + y


        @shared_task
        def mul(x, y):
            return x * y


        @shared_task
        def xsum(numbers):
            return sum(numbers)
    """,
}


def test_it_is_called_celery_and_says_its_version(program):
    assert program.run("-m", "celery", "--version").startswith("5.7.0 (celeriac ")
    assert program.run("-m", "celery", "--help").startswith("Usage: celery [OPTIONS]")


def test_a_command_that_comes_later_says_so(program):
    assert "comes with a later release" in program.run("-m", "celery", "beat", code=2)


def test_without_an_app_it_asks_for_one_and_with_a_celeryconfig_it_has_one(program):
    assert "which app?" in program.run("-m", "celery", "result", "some-id", code=2)
    settings = "import os; broker_url = result_backend = os.environ['STORE']; task_default_queue = 'q1'"
    program.write({"celeryconfig.py": settings})
    assert "q1" in program.run("-m", "celery", "queues")


def test_a_project_of_celerys_guide_runs_its_canvas(program):
    program.write(PROJECT)
    program.write(
        {
            "calls.py": """
            from celery import chain, chord, group
            from proj.tasks import add, mul, xsum

            print(add.delay(2, 3).get(timeout=30))
            print(chain(add.s(4, 4), mul.s(8))().get(timeout=30))
            print(group(add.s(i, i) for i in range(4))().get(timeout=30))
            print(chord((add.s(i, i) for i in range(4)), xsum.s())().get(timeout=30))
        """
        }
    )
    with program.worker("-A", "proj"):
        assert program.run("calls.py").split("\n")[:4] == ["5", "64", "[0, 2, 4, 6]", "12"]
    assert "adding 2 and 3" in (program.folder / "worker.log").read_text("utf-8")


def test_an_app_that_starts_itself_is_the_command(program):
    program.write(PROJECT)
    assert "Usage: celery" in program.run("-m", "proj.celery", "--help")


def test_switched_off_the_command_is_celerys_own(program):
    program.write({"celery/__init__.py": "", "celery/__main__.py": "def main():\n    print('the real one')\n"})
    program.environment["CELERIAC_DROPIN"] = "0"
    code = "import sys; sys.argv = ['celery']; from celeriac_dropin.modules.main import main; main()"
    assert program.run("-c", code) == "the real one\n"


def test_the_commands_are_where_celery_has_them():
    from celery.bin.celery import celery
    from celery.bin.worker import worker

    assert worker.name == "worker"
    assert "worker" in celery.list_commands(None)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("CommaSeparatedList", "a, b", ["a", "b"]),
        ("JsonArray", "[1]", [1]),
        ("JsonObject", '{"a": 1}', {"a": 1}),
        ("ISO8601DateTimeOrFloat", "1.5", 1.5),
        ("LogLevel", "info", 20),
    ],
)
def test_types_of_options_for_commands_of_others(kind, text, value):
    from celery.bin import base

    assert getattr(base, kind)().convert(text, None, None) == value


def test_mistyped_options_are_refused():
    import click
    from celery.bin import base

    for kind, text in (("JsonArray", "{}"), ("JsonObject", "[]"), ("ISO8601DateTime", "soon"), ("LogLevel", "loud")):
        with pytest.raises(click.BadParameter):
            getattr(base, kind)().convert(text, None, None)


def test_options_stand_under_their_headings():
    import click
    from celery.bin.base import CeleryCommand, CeleryOption

    @click.command(cls=CeleryCommand)
    @click.option("--depth", cls=CeleryOption, help_group="Diving", help="How deep.")
    def dive(depth):
        """Dive."""

    text = dive.get_help(click.Context(dive, info_name="dive"))
    assert "Diving:" in text
