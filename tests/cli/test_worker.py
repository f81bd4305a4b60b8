"""``celeriac worker``."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from celeriac import Celeriac
from celeriac.cli.worker import worker

from ..servers import redis_server
from .conftest import Project

WAIT = 15.0
"""Seconds for a result: far more than it takes, on a machine that does other things."""


def until(stream: IO[str] | None, text: str) -> str:
    """Read lines until one has the text; returns all of them."""
    assert stream is not None
    seen = ""
    for line in stream:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} never came:\n{seen}")


@contextmanager
def running(project: Project, *options: str, app: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """A worker that is ready."""
    words = ["-A", app or project.name, "worker", "-l", "INFO", "-c", "1", *options]
    with project.process(*words) as process:
        until(process.stderr, "ready.")
        yield process


def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    """Ask it to stop; returns its exit code and what else it printed."""
    process.send_signal(number)
    out, err = process.communicate(timeout=WAIT)
    return process.returncode, out, err


@pytest.fixture
def client(project: Project) -> Iterator[Celeriac]:
    """An app that sends to the project's workers."""
    with Celeriac("shop", set_as_current=False) as app:
        yield app


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["prefork", "threads", "asyncio", "solo"])
def test_a_worker_runs_tasks_tells_of_them_and_ends_well(pool: str, project: Project, client: Celeriac) -> None:
    with running(project, "-P", pool) as process:
        sent = client.send_task(f"{project.name}.add", [1, 2])
        assert sent.get(timeout=WAIT) == 3
        failed = client.send_task(f"{project.name}.fail", ["no"])
        assert isinstance(failed.get(timeout=WAIT, propagate=False), ValueError)
        code, _, log = end(process)
    assert code == 0
    assert f"Task {project.name}.add[{sent.id}] received" in log
    assert f"Task {project.name}.add[{sent.id}] succeeded in" in log
    assert f"Task {project.name}.fail[{failed.id}] raised unexpected: ValueError('no')" in log
    assert "raise ValueError(text)" in log
    assert "has stopped" in log


@pytest.mark.slow
def test_the_banner_says_where_and_how_the_worker_works(project: Project) -> None:
    place = f"sqlite:///{project.folder}/store.sqlite3"
    with running(project, "-n", "w1@%h", "-Q", "one,two", "-P", "threads", "-c", "2x3") as process:
        code, out, _ = end(process, signal.SIGINT)
    assert code == 1
    for text in (
        " w1@",
        f"shop ({project.name})",
        f"transport    {place}",
        f"results      {place} (the same store: one atomic step)",
        "concurrency  2 x 3 (threads)",
        "at least once (late acknowledgement): 2 tasks",
        "queues       one, two",
        f"   . {project.name}.add",
    ):
        assert text in out


@pytest.mark.slow
def test_a_quiet_worker_prints_no_banner(project: Project) -> None:
    with running(project, "-q") as process:
        assert end(process)[1] == ""


@pytest.mark.slow
def test_only_the_named_queues_are_consumed(project: Project, client: Celeriac) -> None:
    with running(project, "-Q", "mine") as process:
        other = client.send_task(f"{project.name}.add", [1, 2])
        mine = client.send_task(f"{project.name}.add", [1, 2], queue="mine")
        assert mine.get(timeout=WAIT) == 3
        end(process)
    assert other.state == "PENDING"


@pytest.mark.slow
def test_settings_hold_where_options_are_left_out(project: Project) -> None:
    project.write('from celeriac import Celeriac\napp = Celeriac("shop", worker_pool="threads", worker_concurrency=3)')
    with project.process("-A", project.name, "worker", "-l", "INFO") as process:
        until(process.stderr, "ready.")
        assert "concurrency  1 x 3 (threads)" in end(process)[1]


@pytest.mark.slow
def test_receivers_may_configure_a_worker_and_add_queues(project: Project) -> None:
    project.write(
        """
        from celeriac import Celeriac
        from celeriac.signals import celeryd_after_setup, celeryd_init
        app = Celeriac("shop")

        @celeryd_init.connect(sender="special@here")
        def configure(conf, **given):
            conf.worker_pool = "threads"

        @celeryd_after_setup.connect
        def add_queue(sender, instance, **given):
            instance.app.queues.select_add(f"{sender}.own")
        """
    )
    with running(project, "-n", "special@here") as process:
        _, out, _ = end(process)
    assert "(threads)" in out
    assert "celery, special@here.own" in out


@pytest.mark.slow
def test_the_log_file_has_what_main_and_children_say(project: Project, client: Celeriac) -> None:
    project.write(
        """
        from celeriac import Celeriac
        from celeriac.app.logs import get_task_logger
        app = Celeriac("shop")

        @app.task(name="speak")
        def speak():
            get_task_logger(__name__).info("by the logger")
            print("by hand")
        """
    )
    words = ["-A", project.name, "worker", "-l", "INFO", "-c", "1", "-n", "w1@here", "-f", "%n.log"]
    with project.process(*words):
        sent = client.send_task("speak")
        assert sent.get(timeout=WAIT) is None
        log = (project.folder / "w1.log").read_text()
    assert "w1@here ready." in log
    assert f"speak[{sent.id}]: by the logger" in log
    assert "by hand" in log
    assert "WARNING/Child-" in log


@pytest.mark.slow
def test_a_script_is_its_own_worker(project: Project, client: Celeriac) -> None:
    project.write(
        """
        from celeriac import Celeriac
        app = Celeriac("shop")

        @app.task
        def add(x, y):
            return x + y

        if __name__ == "__main__":
            app.worker_main(["worker", "-l", "INFO", "-c", "1"])
        """
    )
    command = [sys.executable, f"{project.name}.py"]
    with subprocess.Popen(
        command, cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            until(process.stderr, "ready.")
            assert client.send_task("shop.add", [1, 2]).get(timeout=WAIT) == 3
            assert end(process)[0] == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["-P", "prefrok"], 1, "did you mean 'prefork'?"),
        (["-P", "gevent"], 1, "later release"),
        (["-P", "solo", "-c", "2"], 1, "one "),
        (["-P", "solo", "--max-tasks-per-child", "2"], 1, "--max-tasks-per-child"),
        (["-c", "2x3"], 1, "write -c 2"),
        (["-c", "many"], 1, "NxM"),
        (["-l", "LOUD"], 1, "--loglevel"),
        (["--time-limit", "3", "--soft-time-limit", "3"], 2, "--soft-time-limit"),
        (["--time-limit", "-1"], 2, "--time-limit"),
        (["-Q", ","], 2, "--queues"),
    ],
)
def test_what_cannot_be_honoured_is_refused_at_the_start(
    options: list[str], code: int, text: str, project: Project
) -> None:
    ran = project("worker", *options)
    assert ran.code == code
    assert text in ran.err
    assert "Traceback" not in ran.err


def test_a_soft_limit_is_checked_against_the_setting_too(project: Project) -> None:
    project.write('from celeriac import Celeriac\napp = Celeriac("shop", task_time_limit=5)')
    ran = project("worker", "--soft-time-limit", "6")
    assert ran.code == 2
    assert "task_time_limit" in ran.err


def test_a_queue_that_is_not_declared_is_refused_where_none_is_made(project: Project) -> None:
    project.write('from celeriac import Celeriac\napp = Celeriac("shop", task_create_missing_queues=False)')
    ran = project("worker", "-Q", "celry")
    assert ran.code == 1
    assert 'did you mean "celery"?' in ran.err
    assert "Traceback" not in ran.err


def test_the_superuser_does_not_run_pickle(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write('from celeriac import Celeriac\napp = Celeriac("shop", accept_content=["json", "pickle"])')
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.delenv("C_FORCE_ROOT", raising=False)
    ran = project("worker")
    assert ran.code == 1
    assert "C_FORCE_ROOT" in ran.err


@pytest.mark.slow
def test_a_broker_that_is_not_tried_again_ends_the_worker_with_one_message(project: Project) -> None:
    project.write('from celeriac import Celeriac\napp = Celeriac("shop", broker_connection_retry_on_startup=False)')
    with project.process("-A", project.name, "-b", "redis://127.0.0.1:1/0", "worker", "-c", "1") as process:
        _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 1
    assert "redis://127.0.0.1:1/0" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_worker_that_waits_for_its_broker_can_be_interrupted(project: Project) -> None:
    with project.process("-A", project.name, "-b", "redis://127.0.0.1:1/0", "worker", "-c", "1") as process:
        until(process.stderr, "Trying again")
        code, _, err = end(process, signal.SIGINT)
    assert code == 1
    assert "Traceback" not in err


def test_the_worker_has_the_options_that_were_promised() -> None:
    options = {word for option in worker.params for word in option.opts}
    promised = "-Q -c -P -n -l -f -q --time-limit --soft-time-limit --max-tasks-per-child --max-memory-per-child"
    assert set(promised.split()) <= options


@pytest.mark.slow
def test_a_wrong_password_ends_the_worker_with_one_message(project: Project) -> None:
    with redis_server(password="right") as server:
        url = f"redis://:hidden-word@127.0.0.1:{server.port}/0"
        with project.process("-A", project.name, "-b", url, "worker", "-c", "1", "-q") as process:
            _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 1
    assert "password" in err
    assert "hidden-word" not in err
    assert "Traceback" not in err
