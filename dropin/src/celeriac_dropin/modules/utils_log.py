"""``celery.utils.log``: loggers and formatters."""

from __future__ import annotations

import io
import logging
import os
import threading
from typing import Any, Final

from celeriac.app.logs import get_task_logger
from celeriac_dropin.absences import absent_names, refused

__all__ = [
    "LOG_LEVELS",
    "ColorFormatter",
    "LoggingProxy",
    "base_logger",
    "current_process_index",
    "get_logger",
    "get_task_logger",
    "mlevel",
]

LOG_LEVELS: Final[dict[Any, Any]] = {
    **logging.getLevelNamesMapping(),
    **{number: name for name, number in logging.getLevelNamesMapping().items()},
    "FATAL": logging.FATAL,
    logging.FATAL: "FATAL",
}

base_logger: Final = logging.getLogger("celery")

_RESET: Final = "\033[0m"
_COLOURS: Final = {"DEBUG": "\033[34m", "WARNING": "\033[33m", "ERROR": "\033[31m", "CRITICAL": "\033[35m"}
"""ANSI: blue, yellow, red, magenta; INFO has none."""


def get_logger(name: str) -> logging.Logger:
    """A logger below ``celery``.

    Args:
        name: usually ``__name__``.
    """
    logger = logging.getLogger(name)
    if logger is not base_logger and (logger.parent is None or logger.parent is logging.root):
        logger.parent = base_logger
    return logger


def mlevel(level: str | int | None) -> int:
    """The number of a level by name, whatever its case, or number; None is 0."""
    if not level:
        return logging.NOTSET
    return level if isinstance(level, int) else int(LOG_LEVELS[level.upper()])


def current_process_index(base: int = 1) -> int | None:
    """The number of this child of a worker's pool; None, since children here have no numbers that stay."""
    import multiprocessing

    identity: tuple[int, ...] = getattr(multiprocessing.current_process(), "_identity", ())
    return identity[0] - 1 + base if identity else None


class ColorFormatter(logging.Formatter):
    """Formats lines in the colour of their level.

    Args:
        fmt: the format.
        use_color: colour them.
    """

    def __init__(self, fmt: str | None = None, use_color: bool = True) -> None:
        super().__init__(fmt)
        self.use_color = use_color

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; one whose message cannot be made says why."""
        try:
            text = super().format(record)
        except Exception as error:  # a log line never fails what is logged
            text = f"<unrepresentable {type(record.msg).__name__}: {error!r}>"
        colour = _COLOURS.get(record.levelname) if self.use_color else None
        return f"{colour}{text}{_RESET}" if colour else text


class LoggingProxy(io.TextIOBase):
    """A stream whose lines go to a logger.

    Args:
        logger: that one.
        loglevel: the level of the lines; the logger's own, or ERROR, when None.
    """

    mode = "w"
    name = None

    def __init__(self, logger: logging.Logger, loglevel: str | int | None = None) -> None:
        self.logger = logger
        self.loglevel = mlevel(loglevel or logger.level or logging.ERROR)
        self._busy = threading.local()

    def write(self, data: str | bytes) -> int:
        """Log each line that is not empty; what the logger's handlers print themselves does not come back."""
        if self.closed or getattr(self._busy, "here", False):
            return 0
        text = os.fsdecode(data)
        self._busy.here = True
        try:
            for line in filter(str.strip, text.splitlines()):
                self.logger.log(self.loglevel, line.rstrip())
        finally:
            self._busy.here = False
        return len(text)

    def writable(self) -> bool:
        """Yes."""
        return True

    def isatty(self) -> bool:
        """No."""
        return False


_HANDLER = refused("our signal handlers only set flags, so that they may log like any code")
_BILLIARD = refused("children are processes of multiprocessing: multiprocessing.get_logger()")

__getattr__ = absent_names(
    "celery.utils.log",
    {
        "get_multiprocessing_logger": _BILLIARD,
        "in_sighandler": _HANDLER,
        "reset_multiprocessing_logger": _BILLIARD,
        "set_in_sighandler": _HANDLER,
    },
)
