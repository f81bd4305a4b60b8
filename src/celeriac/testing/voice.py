"""What the worker logs becomes part of the trace; an error with a traceback is an objection."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from celeriac.testing.process import Process, running_loop

if TYPE_CHECKING:
    from celeriac.testing.world import World

__all__ = ["listening"]

HEARD: Final = ("celeriac.worker", "celeriac.stores", "celeriac.app.options")
"""The loggers; what tasks log is the app's own."""


class _Listener(logging.Handler):
    def __init__(self, world: World, objections: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._world = world
        self._objections = objections

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        loop = running_loop()
        place = loop.name if isinstance(loop, Process) else "log"
        self._world.note(place, record.levelname.lower(), text)
        if record.exc_info:
            self._objections.append(f"logged with a traceback: {text}: {record.exc_info[1]!r}")


@contextmanager
def listening(world: World, objections: list[str]) -> Iterator[None]:
    """Hear the worker's log within the block, and let nobody else hear it."""
    loggers = [logging.getLogger(name) for name in HEARD]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    listener = _Listener(world, objections)
    try:
        for logger in loggers:
            logger.addHandler(listener)
            logger.setLevel(logging.WARNING)
            logger.propagate = False
        yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(listener)
            logger.level, logger.propagate = level, propagate
