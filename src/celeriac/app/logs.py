"""Logging of a worker's processes (behaviours.md, S.233 to S.236).

The main process calls :func:`setup` with :class:`LogOptions`, a child :func:`apply` with the same as plain data. The
root logger gets one handler, on standard error or a file; loggers of :func:`get_task_logger` have their own, whose
lines name the task that runs. Whoever connects to the signal ``setup_logging`` does all of it instead.
"""

from __future__ import annotations

import io
import logging
import os
import re
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

from celeriac import current, signals
from celeriac.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from celeriac.settings.snapshot import Settings

__all__ = ["TASK_LOGGER", "LogOptions", "apply", "expand", "get_task_logger", "level_of", "setup"]

TASK_LOGGER: Final = "celeriac.task"
"""The parent of all task loggers."""
REDIRECTED_LOGGER: Final = "celeriac.redirected"
"""Where what is printed goes."""

_RESERVED: Final = ("celeriac", TASK_LOGGER)
_NO_TASK: Final = "???"
"""What task_name and task_id read where no task runs (Celery's text)."""

_CODE: Final = re.compile(r"%([pnhdiI%])")
_RESET: Final = "\033[0m"
_COLOURS: Final = {
    logging.DEBUG: "\033[2m",
    logging.WARNING: "\033[33m",
    logging.ERROR: "\033[31m",
    logging.CRITICAL: "\033[1;35m",
}
"""ANSI: dim, yellow, red, bold magenta; INFO has none."""


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the processes of one worker log; plain data.

    Attributes:
        level: the least level that is logged.
        logfile: path, with the codes of :func:`expand`; None is standard error.
        hostname: the node's name.
        format, datefmt: of lines.
        task_format, task_datefmt: of lines that task loggers write.
        colour: None is on a terminal; never in a file.
        hijack: remove the handlers that the root logger has.
        redirect: what is printed goes to the log.
        redirect_level: with this level.
    """

    level: int = logging.WARNING
    logfile: str | None = None
    hostname: str = ""
    format: str = "%(message)s"
    datefmt: str | None = None
    task_format: str = "%(message)s"
    task_datefmt: str | None = None
    colour: bool | None = None
    hijack: bool = True
    redirect: bool = True
    redirect_level: int = logging.WARNING

    @classmethod
    def of(
        cls,
        settings: Settings,
        level: str | int = logging.WARNING,
        logfile: str | None = None,
        hostname: str = "",
        colour: bool | None = None,
    ) -> LogOptions:
        """The options that settings and command line give together.

        Args:
            level, logfile, hostname: of the command line.
            colour: of the command line, None when it says nothing.

        Raises:
            ImproperlyConfigured: there is no such level.
        """
        return cls(
            level=level_of(level, "--loglevel"),
            logfile=logfile or settings.worker_logfile,
            hostname=hostname,
            format=settings.worker_log_format,
            datefmt=settings.worker_log_datefmt,
            task_format=settings.worker_task_log_format,
            task_datefmt=settings.worker_task_log_datefmt,
            colour=settings.worker_log_color if colour is None else colour,
            hijack=settings.worker_hijack_root_logger,
            redirect=settings.worker_redirect_stdouts,
            redirect_level=level_of(settings.worker_redirect_stdouts_level, "worker_redirect_stdouts_level"),
        )

    def plain(self) -> dict[str, Any]:
        """As a dictionary, for :func:`apply` in a child."""
        return msgspec.structs.asdict(self)


def level_of(level: str | int, source: str) -> int:
    """The number of a level by name, whatever its case, or number.

    Raises:
        ImproperlyConfigured: there is no such level; the text names ``source``.
    """
    if isinstance(level, int):
        return level
    if level.isdigit():
        return int(level)
    found = logging.getLevelNamesMapping().get(level.upper())
    if found is None:
        raise ImproperlyConfigured(
            f"{source}: there is no log level {level!r}; write DEBUG, INFO, WARNING, ERROR or CRITICAL"
        )
    return found


def get_task_logger(name: str) -> logging.Logger:
    """A logger for tasks: its lines name the task that runs.

    Args:
        name: usually ``__name__``.

    Raises:
        RuntimeError: the name is one of ours.
    """
    if name in _RESERVED:
        raise RuntimeError(f"the logger {name!r} is Celeriac's own; use get_task_logger(__name__)")
    logger, tasks = logging.getLogger(name), logging.getLogger(TASK_LOGGER)
    ancestor: logging.Logger | None = logger
    while ancestor is not None and ancestor is not tasks:
        ancestor = ancestor.parent
    if ancestor is None:
        logger.parent = tasks
    return logger


def setup(options: LogOptions, process: str = "MainProcess", index: int = 0) -> bool:
    """Set up the loggers of this process.

    Args:
        options: how.
        process: the process's name in lines.
        index: its number in file names; 0 is the main process.

    Returns:
        False when a receiver of ``setup_logging`` did it.

    Raises:
        ImproperlyConfigured: the log file cannot be opened.
    """
    told: dict[str, Any] = {
        "loglevel": options.level,
        "logfile": options.logfile,
        "format": options.format,
        "colorize": options.colour,
    }
    if signals.setup_logging.send(sender=None, **told):
        return False
    root, tasks = logging.getLogger(), logging.getLogger(TASK_LOGGER)
    if options.hijack:
        _remove(root, root.handlers)
    _remove(tasks, tasks.handlers)
    if options.hijack or not root.handlers:
        root.addHandler(_handler(options, index, options.format, options.datefmt, process))
        root.setLevel(options.level)
    tasks.addHandler(_handler(options, index, options.task_format, options.task_datefmt, process))
    tasks.setLevel(options.level)
    tasks.propagate = False
    logging.captureWarnings(True)
    signals.after_setup_logger.send(sender=None, logger=root, **told)
    signals.after_setup_task_logger.send(sender=None, logger=tasks, **{**told, "format": options.task_format})
    return True


def apply(options: dict[str, Any]) -> None:
    """Set up the loggers of a child of a worker.

    Args:
        options: what :meth:`LogOptions.plain` gave in the main process.
    """
    chosen = msgspec.convert(options, LogOptions)
    pid = os.getpid()
    if setup(chosen, f"Child-{pid}", pid) and chosen.redirect:
        redirect(chosen.redirect_level)


def redirect(level: int) -> None:
    """Send what is printed to the log, line by line."""
    logger = logging.getLogger(REDIRECTED_LOGGER)
    sys.stdout = LogWriter(logger, level, sys.__stdout__)
    sys.stderr = LogWriter(logger, level, sys.__stderr__)


def expand(pattern: str, hostname: str, index: int = 0) -> str:
    """A file name with its codes replaced.

    ``%p`` is the node's name, ``%n`` its part before the @, ``%h`` its host, ``%d`` the host's domain, ``%i`` the
    process's number, ``%I`` the same with a dash before it, and nothing in the main process, ``%%`` a percent sign.
    """
    name, _, host = hostname.partition("@")
    host = host or socket.gethostname()
    codes = {
        "p": hostname,
        "n": name,
        "h": host,
        "d": host.partition(".")[2],
        "i": str(index),
        "I": f"-{index}" if index else "",
        "%": "%",
    }
    return _CODE.sub(lambda found: codes[found[1]], pattern)


class Formatter(logging.Formatter):
    """Formats lines: the process by our name for it, the task that runs, and colours.

    Args:
        process: the process's name.
        colour: colour whole lines by level.
    """

    def __init__(self, text: str, datefmt: str | None, process: str, colour: bool) -> None:
        super().__init__(text, datefmt)
        self._process = process
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines, of a record."""
        record.processName = self._process
        task, context = current.current_task(), current.current_context()
        record.task_name = task.name if task is not None else _NO_TASK
        record.task_id = context.id if context is not None and context.id else _NO_TASK
        text = super().format(record)
        colour = _COLOURS.get(record.levelno) if self._colour else None
        return f"{colour}{text}{_RESET}" if colour else text


class LogWriter(io.TextIOBase):
    """A stream whose lines go to a logger; what the logger's handlers print themselves does not come back.

    Args:
        stream: what it stands in for: subprocesses get its descriptor.
    """

    encoding = "utf-8"

    def __init__(self, logger: logging.Logger, level: int, stream: TextIO | None) -> None:
        self._logger = logger
        self._level = level
        self._stream = stream
        self._here = threading.local()

    def write(self, text: str) -> int:
        """Log the lines; a line's end is not needed."""
        busy = getattr(self._here, "busy", False)
        if not busy:
            self._here.busy = True
            try:
                for line in text.splitlines():
                    if line.strip():
                        self._logger.log(self._level, line)
            finally:
                self._here.busy = False
        return len(text)

    def writable(self) -> bool:
        """Yes."""
        return True

    def isatty(self) -> bool:
        """No."""
        return False

    def fileno(self) -> int:
        """The descriptor of the stream that it stands in for."""
        if self._stream is None:
            raise io.UnsupportedOperation("this process has no such stream")
        return self._stream.fileno()


def _handler(options: LogOptions, index: int, text: str, datefmt: str | None, process: str) -> logging.Handler:
    handler: logging.Handler
    if options.logfile:
        handler, colour = _file_handler(expand(options.logfile, options.hostname, index)), False
    else:
        stream = sys.__stderr__
        handler = logging.StreamHandler(stream)
        on_terminal = stream is not None and stream.isatty()
        colour = on_terminal if options.colour is None else options.colour
    handler.setFormatter(Formatter(text, datefmt, process, colour))
    return handler


def _file_handler(path: str) -> logging.Handler:
    from logging.handlers import WatchedFileHandler  # follows a file that is rotated

    try:
        return WatchedFileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ImproperlyConfigured(
            f"the log file {path} cannot be opened: {error.strerror} (--logfile, worker_logfile)"
        ) from error


def _remove(logger: logging.Logger, handlers: list[logging.Handler]) -> None:
    for handler in list(handlers):
        logger.removeHandler(handler)
        if isinstance(handler.formatter, Formatter):  # one of ours, from before
            handler.close()
