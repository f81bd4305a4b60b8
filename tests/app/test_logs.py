"""Logging of a worker's processes."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import Celeriac, current, signals
from celeriac.app import logs
from celeriac.app.context import Context
from celeriac.app.logs import LogOptions, LogWriter
from celeriac.exceptions import ImproperlyConfigured

from ..logging_state import kept_logging

FORMAT = "%(levelname)s %(processName)s %(message)s"
TASK_FORMAT = "%(task_name)s %(task_id)s %(message)s"


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    with kept_logging():
        yield


def options(path: Path | None = None, **others: Any) -> LogOptions:
    given = {"level": logging.INFO, "format": FORMAT, "task_format": TASK_FORMAT, "logfile": path and str(path)}
    return LogOptions(**(given | others))


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


# ------------------------------------------------------------------------------------------------------------- options


def test_settings_and_command_line_make_the_options_together() -> None:
    app = Celeriac("shop", set_as_current=False, worker_log_format="X", worker_logfile="from-settings")
    made = LogOptions.of(app.settings, "debug", None, "celery@here", None)
    assert (made.level, made.format, made.logfile) == (logging.DEBUG, "X", "from-settings")
    assert LogOptions.of(app.settings, logfile="given").logfile == "given"


def test_the_command_line_says_more_of_colours_than_the_settings() -> None:
    app = Celeriac("shop", set_as_current=False, worker_log_color=True)
    assert LogOptions.of(app.settings).colour is True
    assert LogOptions.of(app.settings, colour=False).colour is False


@pytest.mark.parametrize(("level", "number"), [("info", 20), ("WARNING", 30), ("Fatal", 50), ("15", 15), (7, 7)])
def test_levels_are_names_in_any_case_or_numbers(level: str | int, number: int) -> None:
    assert logs.level_of(level, "--loglevel") == number


def test_a_level_that_does_not_exist_is_an_error_that_names_its_source() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"--loglevel.*'LOUD'.*DEBUG"):
        logs.level_of("LOUD", "--loglevel")


# ---------------------------------------------------------------------------------------------------------- file names


@pytest.mark.parametrize(
    ("pattern", "index", "expanded"),
    [
        ("%p.log", 0, "worker1@shop.example.com.log"),
        ("%n%I.log", 0, "worker1.log"),
        ("%n%I.log", 3, "worker1-3.log"),
        ("%h/%d/%i", 3, "shop.example.com/example.com/3"),
        ("100%%n %x %", 0, "100%n %x %"),
    ],
)
def test_codes_in_file_names_are_replaced(pattern: str, index: int, expanded: str) -> None:
    assert logs.expand(pattern, "worker1@shop.example.com", index) == expanded


@given(st.text())
def test_any_text_can_be_a_file_name_and_what_is_escaped_stays(text: str) -> None:
    assert logs.expand(text.replace("%", "%%"), "a@b") == text
    logs.expand(text, "a@b")


# -------------------------------------------------------------------------------------------------------- the handlers


def test_the_root_logger_is_hijacked(tmp_path: Path) -> None:
    root, other = logging.getLogger(), logging.NullHandler()
    root.addHandler(other)
    logs.setup(options(tmp_path / "log"))
    assert other not in root.handlers
    logging.getLogger("users.own").info("hello")
    logging.getLogger("users.own").debug("not this")
    assert lines(tmp_path / "log") == ["INFO MainProcess hello"]


def test_the_root_logger_is_left_alone_when_told_so(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = [*root.handlers, other := logging.NullHandler()]
    root.addHandler(other)
    logs.setup(options(tmp_path / "log", hijack=False))
    assert root.handlers == before


def test_setting_up_twice_does_not_write_twice(tmp_path: Path) -> None:
    logs.setup(options(tmp_path / "log"))
    logs.setup(options(tmp_path / "log"))
    logging.getLogger("users.own").info("hello")
    logs.get_task_logger("users.tasks").info("hello")
    assert len(lines(tmp_path / "log")) == 2


def test_task_loggers_name_the_task_that_runs(tmp_path: Path) -> None:
    logs.setup(options(tmp_path / "log"))
    app = Celeriac("shop", set_as_current=False)

    @app.task(name="shop.add")
    def add() -> None: ...

    logger = logs.get_task_logger("shop.tasks")
    token = current.push_request(add, Context(id="the-id"))
    logger.info("hello")
    current.pop_request(token)
    logger.info("hello")
    assert lines(tmp_path / "log") == ["shop.add the-id hello", "??? ??? hello"]


def test_a_task_logger_keeps_its_parent_when_that_is_one_already() -> None:
    parent = logs.get_task_logger("shop")
    child = logs.get_task_logger("shop.tasks")
    assert child.parent is parent
    assert parent.parent is logging.getLogger(logs.TASK_LOGGER)


@pytest.mark.parametrize("name", ["celeriac", logs.TASK_LOGGER])
def test_our_own_loggers_are_no_task_loggers(name: str) -> None:
    with pytest.raises(RuntimeError, match="__name__"):
        logs.get_task_logger(name)


def test_warnings_are_logged(tmp_path: Path) -> None:
    logs.setup(options(tmp_path / "log"))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("beware", stacklevel=1)
        logging.captureWarnings(False)
    assert "beware" in (tmp_path / "log").read_text()


def test_a_log_file_that_cannot_be_opened_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"missing.*--logfile"):
        logs.setup(options(tmp_path / "missing" / "log"))


def test_a_log_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    logs.setup(options(tmp_path / "log"))
    logger = logging.getLogger("users.own")
    logger.info("one")
    (tmp_path / "log").rename(tmp_path / "old")
    logger.info("two")
    assert lines(tmp_path / "log") == ["INFO MainProcess two"]


# ------------------------------------------------------------------------------------------------------------- colours


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "colour", "coloured"),
    [
        (Terminal(), None, True),
        (io.StringIO(), None, False),
        (Terminal(), False, False),
        (io.StringIO(), True, True),
    ],
)
def test_lines_are_coloured_on_terminals(
    stream: io.StringIO, colour: bool | None, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "__stderr__", stream)
    logs.setup(options(colour=colour))
    logging.getLogger("users.own").error("hello")
    assert stream.getvalue().startswith("\033[31m") is coloured


def test_a_file_is_never_coloured(tmp_path: Path) -> None:
    logs.setup(options(tmp_path / "log", colour=True))
    logging.getLogger("users.own").error("hello")
    assert lines(tmp_path / "log") == ["ERROR MainProcess hello"]


# ------------------------------------------------------------------------------------------------------------- signals


def test_a_receiver_of_setup_logging_does_all_of_it(tmp_path: Path) -> None:
    told = {}

    def receiver(**given: Any) -> None:
        told.update(given)

    signals.setup_logging.connect(receiver)
    try:
        handlers = list(logging.getLogger().handlers)
        assert logs.setup(options(tmp_path / "log")) is False
        assert logging.getLogger().handlers == handlers
    finally:
        signals.setup_logging.disconnect(receiver)
    assert (told["loglevel"], told["logfile"], told["format"]) == (logging.INFO, str(tmp_path / "log"), FORMAT)


def test_receivers_can_add_to_both_loggers(tmp_path: Path) -> None:
    told: list[logging.Logger] = []

    def receiver(logger: logging.Logger, **given: Any) -> None:
        told.append(logger)

    signals.after_setup_logger.connect(receiver)
    signals.after_setup_task_logger.connect(receiver)
    try:
        logs.setup(options(tmp_path / "log"))
    finally:
        signals.after_setup_logger.disconnect(receiver)
        signals.after_setup_task_logger.disconnect(receiver)
    assert told == [logging.getLogger(), logging.getLogger(logs.TASK_LOGGER)]


# ------------------------------------------------------------------------------------------------------ what is printed


def test_what_is_printed_is_logged_line_by_line(tmp_path: Path) -> None:
    logs.setup(options(tmp_path / "log"))
    writer = LogWriter(logging.getLogger("redirected"), logging.WARNING, sys.__stdout__)
    print("one\n\ntwo", file=writer)
    print("three", end="", file=writer)
    assert lines(tmp_path / "log") == [f"WARNING MainProcess {text}" for text in ("one", "two", "three")]


def test_a_handler_that_prints_does_not_go_round_in_circles() -> None:
    logger = logging.getLogger("circle")
    writer = LogWriter(logger, logging.WARNING, sys.__stdout__)
    seen: list[str] = []

    class Printing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())
            print("printed by a handler", file=writer)

    handler = Printing()
    logger.addHandler(handler)
    try:
        print("hello", file=writer)
    finally:
        logger.removeHandler(handler)
    assert seen == ["hello"]


def test_a_writer_gives_subprocesses_the_stream_that_it_stands_in_for() -> None:
    assert sys.__stdout__ is not None
    writer = LogWriter(logging.getLogger("redirected"), logging.WARNING, sys.__stdout__)
    assert writer.fileno() == sys.__stdout__.fileno()
    assert not writer.isatty()
    with pytest.raises(io.UnsupportedOperation):
        LogWriter(logging.getLogger("redirected"), logging.WARNING, None).fileno()


CHILD = """
import json, logging, os, subprocess, sys
from celeriac.app import logs
logs.apply(json.loads(sys.argv[1]))
print("printed")
print("complained", file=sys.stderr)
logging.getLogger("users.own").info("logged")
subprocess.run([sys.executable, "-c", "print('by a subprocess')"], stdout=sys.stdout, check=True)
print(os.getpid(), file=sys.__stdout__)
"""


@pytest.mark.parametrize("redirect", [True, False])
def test_a_child_logs_to_a_file_of_its_own_what_it_logs_and_prints(redirect: bool, tmp_path: Path) -> None:
    import msgspec

    plain = options(tmp_path / "log%I", redirect=redirect, hostname="a@b").plain()
    ran = subprocess.run(
        [sys.executable, "-u", "-c", CHILD, msgspec.json.encode(plain).decode()],
        capture_output=True,
        text=True,
        check=True,
    )
    *printed, pid = ran.stdout.splitlines()
    name = f"Child-{pid}"
    log = lines(tmp_path / f"log-{pid}")
    logged = [f"INFO {name} logged"]
    if redirect:
        assert printed == ["by a subprocess"]
        assert log == [f"WARNING {name} printed", f"WARNING {name} complained", *logged]
    else:
        assert printed == ["printed", "by a subprocess"]
        assert log == logged
