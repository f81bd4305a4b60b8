"""Logging as it was before a test."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celeriac.app.logs import TASK_LOGGER

__all__ = ["kept_logging"]


@contextmanager
def kept_logging() -> Iterator[None]:
    """Put the root logger and the task logger back as they were."""
    loggers = [logging.getLogger(), logging.getLogger(TASK_LOGGER)]
    before = [(logger, list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger, handlers, level, propagate in before:
            for handler in [handler for handler in logger.handlers if handler not in handlers]:
                handler.close()
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate = propagate
