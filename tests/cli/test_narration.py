"""What a worker's log tells of its tasks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from celeriac.cli.narration import LINES, narrate
from celeriac.telemetry import (
    ChildStarted,
    Event,
    TaskFailed,
    TaskHeld,
    TaskReceived,
    TaskRejected,
    TaskRetried,
    TaskSucceeded,
    Telemetry,
    WorkerOffline,
    WorkerOnline,
)

TASK: dict[str, Any] = {"task_id": "the-id", "name": "shop.add", "queue": "celery"}
WORKER: dict[str, Any] = {"hostname": "celery@here"}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log of ``celeriac.worker``."""
    with caplog.at_level(logging.DEBUG, "celeriac.worker"):
        yield caplog


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (TaskReceived(0.0, **TASK), "INFO", "Task shop.add[the-id] received"),
        (
            TaskSucceeded(0.0, **TASK, result="4", runtime=0.0123456789),
            "INFO",
            "Task shop.add[the-id] succeeded in 0.012346s: 4",
        ),
        (
            TaskFailed(0.0, **TASK, exception="ValueError('no')", traceback="Traceback 100%\n"),
            "ERROR",
            "Task shop.add[the-id] raised unexpected: ValueError('no')\nTraceback 100%",
        ),
        (TaskFailed(0.0, **TASK, exception="E()"), "ERROR", "Task shop.add[the-id] raised unexpected: E()"),
        (
            TaskFailed(0.0, **TASK, exception="KeyError('no')", traceback="Traceback", expected=True),
            "INFO",
            "Task shop.add[the-id] raised expected: KeyError('no')",
        ),
        (TaskRetried(0.0, **TASK, exception="Retry in 3s"), "INFO", "Task shop.add[the-id] retry: Retry in 3s"),
        (TaskRejected(0.0, **TASK, reason="no"), "WARNING", "Task shop.add[the-id] rejected: no"),
        (
            TaskRejected(0.0, **TASK, reason="no", requeue=True),
            "WARNING",
            "Task shop.add[the-id] rejected, and goes to the end of its queue: no",
        ),
        (TaskHeld(0.0, **TASK, reason="eta", due=1.0), "DEBUG", "Task shop.add[the-id] is held by the broker (eta)"),
        (WorkerOnline(0.0, **WORKER), "INFO", "celery@here ready."),
        (WorkerOffline(0.0, **WORKER), "INFO", "celery@here has stopped."),
        (ChildStarted(0.0, **WORKER, index=1, pid=23), "DEBUG", "Child 1 (pid 23) is up"),
    ],
)
def test_events_are_told_in_familiar_lines(event: Event, level: str, text: str, log: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry()
    narrate(telemetry)
    telemetry.emit(event)
    assert [(record.levelname, record.getMessage()) for record in log.records] == [(level, text)]


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL])
def test_nothing_is_built_for_lines_that_are_not_logged(level: int, caplog: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry()
    with caplog.at_level(level, "celeriac.worker"):
        narrate(telemetry)
    for kind, (highest, _) in LINES.items():
        assert telemetry.wants(kind) == (highest >= level)
    assert telemetry.active == (level <= logging.ERROR)
