"""The program: finding the app, global options, mistakes."""

from __future__ import annotations

import signal

import click
import pytest

import celeriac
from celeriac import Celeriac
from celeriac.cli.groups import LATER_COMMANDS, LATER_OPTIONS
from celeriac.cli.main import COMMANDS, program
from celeriac.cli.options import Option

from ..servers import redis_server
from .conftest import Project


def commands() -> list[tuple[str, click.Command]]:
    """All commands with the words that call them."""
    found = []
    with click.Context(program) as context:
        for name in program.list_commands(context):
            command = program.get_command(context, name)
            assert command is not None
            found.append((name, command))
            if isinstance(command, click.Group):
                found += [(f"{name} {each}", inner) for each, inner in command.commands.items()]
    return found


def test_without_a_command_the_help_is_printed_and_all_is_well(project: Project) -> None:
    ran = project.run()
    assert ran.code == 0
    assert all(name in ran.out for name in COMMANDS)


def test_the_version_is_printed(project: Project) -> None:
    assert project.run("--version").out == f"celeriac {celeriac.__version__}\n"


@pytest.mark.parametrize(("name", "command"), commands(), ids=[name for name, _ in commands()])
def test_the_help_of_every_command_has_an_example(name: str, command: click.Command, project: Project) -> None:
    ran = project.run(*name.split(), "--help")
    assert ran.code == 0
    assert f"celeriac -A proj {name.split()[0]}" in ran.out


@pytest.mark.parametrize(("name", "command"), commands(), ids=[name for name, _ in commands()])
def test_every_option_of_every_command_reads_the_environment(name: str, command: click.Command) -> None:
    for option in command.params:
        if isinstance(option, click.Option) and option.name != "help":
            assert isinstance(option, Option), option.name


def test_commands_of_later_releases_are_no_commands_now() -> None:
    assert not LATER_COMMANDS & set(COMMANDS)
    for name, command in [("", program), *commands()]:
        have = {word for option in command.params for word in (*option.opts, *option.secondary_opts)}
        assert not LATER_OPTIONS.get(name, frozenset()) & have


def test_a_misspelt_command_is_answered_with_the_nearest(project: Project) -> None:
    ran = project("wroker")
    assert ran.code == 2
    assert "No such command 'wroker'" in ran.err
    assert "'worker'" in ran.err


def test_a_misspelt_command_of_a_group_is_answered_with_the_nearest(project: Project) -> None:
    ran = project("dead", "relpay")
    assert ran.code == 2
    assert "'replay'" in ran.err


def test_a_misspelt_option_is_answered_with_the_nearest(project: Project) -> None:
    ran = project("worker", "--conccurrency", "2")
    assert ran.code == 2
    assert "--concurrency" in ran.err


@pytest.mark.parametrize("option", ["-A", "--app", "-b", "--broker", "--result-backend", "--workdir"])
def test_a_global_option_after_the_command_is_told_its_place(option: str, project: Project) -> None:
    ran = project.run("worker", option, "x")
    assert ran.code == 2
    assert f"{option} is a global option and stands before the command: celeriac {option}" in ran.err
    assert "Try 'celeriac worker --help'" in ran.err


@pytest.mark.parametrize(
    ("words", "what"), [(["beat"], "'beat'"), (["worker", "-B"], "-B"), (["--loader", "x"], "--loader")]
)
def test_what_only_celery_has_is_said_to_come_later(words: list[str], what: str, project: Project) -> None:
    ran = project(*words)
    assert ran.code == 2
    assert what in ran.err
    assert "later release" in ran.err


def test_an_app_that_does_not_exist_is_one_readable_message(project: Project) -> None:
    ran = project.run("-A", "nowhere.to.be.found", "queues")
    assert ran.code == 2
    assert "nowhere" in ran.err
    assert str(project.folder) in ran.err
    assert "Traceback" not in ran.err


def test_a_module_without_an_app_says_where_it_looked(project: Project) -> None:
    project.write("x = 1", "empty_module")
    ran = project.run("-A", "empty_module", "queues")
    assert ran.code == 2
    assert "no Celeriac app in 'empty_module'" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("source", ["import missing_library", "1 / 0", "x = (", "raise SystemExit(3)"])
def test_a_module_that_raises_is_shown_with_its_own_frames_only(source: str, project: Project) -> None:
    project.write(f"# a comment\n{source}", f"broken_{project.name}")
    ran = project.run("-A", f"broken_{project.name}", "queues")
    assert ran.code == 2
    assert f"broken_{project.name}.py" in ran.err
    assert "cannot be loaded" in ran.err
    assert "celeriac/app" not in ran.err
    assert "importlib" not in ran.err


def test_a_module_of_tasks_that_raises_is_named(project: Project) -> None:
    project.write("1 / 0", f"tasks_of_{project.name}")
    project.write(f'from celeriac import Celeriac\napp = Celeriac("shop", include=["tasks_of_{project.name}"])')
    ran = project("worker")
    assert ran.code == 2
    assert "ZeroDivisionError" in ran.err
    assert f"tasks_of_{project.name}.py:1 raised ZeroDivisionError" in ran.err


def test_an_unknown_setting_is_one_readable_message(project: Project) -> None:
    project.write(
        'from celeriac import Celeriac\napp = Celeriac("shop")\napp.config_from_object({"task_ack_late": True})'
    )
    ran = project("queues")
    assert ran.code == 1
    assert "task_acks_late" in ran.err
    assert "Traceback" not in ran.err


def test_without_an_app_and_a_broker_the_command_asks_for_one(project: Project) -> None:
    ran = project.run("queues")
    assert ran.code == 2
    assert "-A proj" in ran.err


@pytest.mark.parametrize("variable", ["APP", "CELERY_APP", "CELERIAC_APP"])
def test_the_app_can_come_from_the_environment(
    variable: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, project.name)
    assert project.run("queues", "--json").code == 0


def test_our_environment_variable_beats_celerys(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_APP", "nowhere")
    monkeypatch.setenv("CELERIAC_APP", project.name)
    assert project.run("queues", "--json").code == 0


def test_an_option_of_a_command_can_come_from_the_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_QUEUES_JSON", "1")
    assert project("queues").out.startswith("[")
    monkeypatch.setenv("CELERIAC_DEAD_LIST_LIMIT", "nonsense")
    ran = project("dead", "list")
    assert ran.code == 2
    assert "'nonsense'" in ran.err


def test_the_workdir_is_changed_to_before_the_app_is_looked_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = project.folder / "inner"
    inner.mkdir()
    (inner / "inner_app.py").write_text('from celeriac import Celeriac\napp = Celeriac("inner")')
    assert project.run("--workdir", str(inner), "-A", "inner_app", "queues").code == 0


def test_the_broker_of_the_command_line_beats_code_and_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write('from celeriac import Celeriac\napp = Celeriac("shop", broker="redis://from-code")')
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://from-environment")
    place = f"sqlite:///{project.folder}/other.sqlite3"
    ran = project.run("-A", project.name, "-b", place, "doctor", "--json")
    assert ran.code == 0, ran
    assert place in ran.out
    assert "command line --broker" in ran.out


def test_an_unreachable_broker_is_one_readable_message(project: Project) -> None:
    ran = project.run("-A", project.name, "-b", "redis://127.0.0.1:1/0", "queues")
    assert ran.code == 1
    assert "redis://127.0.0.1:1/0" in ran.err
    assert "Traceback" not in ran.err


def test_a_wrong_password_is_said_and_not_shown(project: Project) -> None:
    with redis_server(password="right") as server:
        url = f"redis://:hidden-word@127.0.0.1:{server.port}/0"
        ran = project.run("-A", project.name, "-b", url, "queues")
    assert ran.code == 1
    assert "password" in ran.err
    assert "hidden-word" not in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "words", [("queues",), ("call", "shop.add"), ("purge", "-f"), ("dead", "list"), ("result", "x")]
)
def test_a_broker_inside_of_one_process_is_refused_where_it_makes_no_sense(
    words: tuple[str, ...], project: Project
) -> None:
    ran = project.run("-A", project.name, "-b", "memory://", *words)
    assert ran.code == 1
    assert "inside one process" in ran.err


def test_an_app_can_run_its_own_command_line(project: Project) -> None:
    app = Celeriac("own", broker=f"sqlite:///{project.folder}/own.sqlite3")
    try:
        ran = project.run("queues", "--json", app=app)
    finally:
        app.close()
    assert ran.code == 0, ran
    assert '"celery"' in ran.out


def test_a_reader_that_goes_away_is_no_traceback(project: Project) -> None:
    with project.process("-A", project.name, "doctor", "--all", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait() == 1


def test_an_interrupt_is_no_traceback(project: Project) -> None:
    project.write('print("waiting", flush=True)\nimport time\ntime.sleep(60)')
    with project.process("-A", project.name, "queues") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.wait() == 1
        assert process.stderr.read().strip() == "Aborted."
