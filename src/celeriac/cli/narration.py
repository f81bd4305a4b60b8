"""What a worker's log tells of its tasks: Celery's familiar lines, written from telemetry events."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

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

__all__ = ["narrate"]

logger = logging.getLogger("celeriac.worker")

MICROSECONDS: Final = 6
"""Digits after the point of run times."""


def narrate(telemetry: Telemetry) -> None:
    """Log the events of a worker.

    Only kinds whose level is enabled now are subscribed to, so that nothing is built for the others.
    """
    for kind, (level, write) in LINES.items():
        if logger.isEnabledFor(level):
            telemetry.subscribe(kind, write)


def _received(event: TaskReceived) -> None:
    logger.info("Task %s[%s] received", event.name, event.task_id)


def _succeeded(event: TaskSucceeded) -> None:
    logger.info(
        "Task %s[%s] succeeded in %ss: %s",
        event.name,
        event.task_id,
        round(event.runtime, MICROSECONDS),
        event.result,
    )


def _failed(event: TaskFailed) -> None:
    if event.expected:
        logger.info("Task %s[%s] raised expected: %s", event.name, event.task_id, event.exception)
    else:
        text = "Task %s[%s] raised unexpected: %s" + ("\n%s" if event.traceback else "")
        traceback = (event.traceback.rstrip(),) if event.traceback else ()
        logger.error(text, event.name, event.task_id, event.exception, *traceback)


def _retried(event: TaskRetried) -> None:
    logger.info("Task %s[%s] retry: %s", event.name, event.task_id, event.exception)


def _rejected(event: TaskRejected) -> None:
    what = "rejected, and goes to the end of its queue" if event.requeue else "rejected"
    logger.warning("Task %s[%s] %s: %s", event.name, event.task_id, what, event.reason)


def _held(event: TaskHeld) -> None:
    logger.debug("Task %s[%s] is held by the broker (%s)", event.name, event.task_id, event.reason)


def _online(event: WorkerOnline) -> None:
    logger.info("%s ready.", event.hostname)


def _offline(event: WorkerOffline) -> None:
    logger.info("%s has stopped.", event.hostname)


def _child_started(event: ChildStarted) -> None:
    logger.debug("Child %d (pid %d) is up", event.index, event.pid)


LINES: Final[dict[type[Event], tuple[int, Callable[[Any], None]]]] = {
    TaskReceived: (logging.INFO, _received),
    TaskSucceeded: (logging.INFO, _succeeded),
    TaskFailed: (logging.ERROR, _failed),
    TaskRetried: (logging.INFO, _retried),
    TaskRejected: (logging.WARNING, _rejected),
    TaskHeld: (logging.DEBUG, _held),
    WorkerOnline: (logging.INFO, _online),
    WorkerOffline: (logging.INFO, _offline),
    ChildStarted: (logging.DEBUG, _child_started),
}
"""By the kind of event: the highest level that its line may have, and what writes it."""
