"""``celery.app.log``: setting up logging by hand."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from celeriac import current
from celeriac.app import logs
from celeriac_dropin.absences import missing, refused
from celeriac_dropin.modules.utils_log import ColorFormatter, LoggingProxy, get_logger, mlevel

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["Logging", "TaskFormatter"]

NO_TASK = "???"


class TaskFormatter(ColorFormatter):
    """Formats lines whose format may hold ``%(task_name)s`` and ``%(task_id)s``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        task, context = current.current_task(), current.current_context()
        if task is not None and context is not None:
            record.task_name, record.task_id = task.name, context.id
        else:
            record.__dict__.setdefault("task_name", NO_TASK)
            record.__dict__.setdefault("task_id", NO_TASK)
        return super().format(record)


class Logging:
    """Sets up the loggers of a process as an app's settings say.

    Args:
        app: whose settings.
    """

    def __init__(self, app: Celeriac) -> None:
        self.app = app
        self.already_setup = False

    def setup(
        self,
        loglevel: str | int | None = None,
        logfile: str | None = None,
        redirect_stdouts: bool = False,
        redirect_level: str | int = "WARNING",
        colorize: bool | None = None,
        hostname: str | None = None,
    ) -> bool:
        """Set up root and task loggers, once; what is printed goes to the log with ``redirect_stdouts``.

        Returns:
            Whether a receiver of ``setup_logging`` did it instead.
        """
        handled = self.setup_logging_subsystem(loglevel, logfile, None, colorize, hostname)
        if not handled and redirect_stdouts:
            self.redirect_stdouts(redirect_level)
        return handled

    def setup_logging_subsystem(
        self,
        loglevel: str | int | None = None,
        logfile: str | None = None,
        format: str | None = None,  # noqa: A002  # Celery's name
        colorize: bool | None = None,
        hostname: str | None = None,
        **kwargs: Any,
    ) -> bool:
        """Set up root and task loggers, once; returns whether a receiver of ``setup_logging`` did it instead."""
        if kwargs:
            raise TypeError(f"unknown options of logging: {', '.join(kwargs)}")
        if self.already_setup:
            return False
        self.already_setup = True
        return not logs.setup(self._options(loglevel, logfile, format, colorize, hostname))

    def _options(
        self,
        loglevel: str | int | None,
        logfile: str | None,
        text: str | None,
        colorize: bool | None,
        hostname: str | None,
    ) -> logs.LogOptions:
        import msgspec

        level = logging.WARNING if loglevel is None else loglevel
        options = logs.LogOptions.of(self.app.settings, level, logfile, hostname or "", colorize)
        return options if text is None else msgspec.structs.replace(options, format=text)

    def redirect_stdouts(self, loglevel: str | int | None = None, name: str = logs.REDIRECTED_LOGGER) -> None:
        """Send what is printed to a logger."""
        self.redirect_stdouts_to_logger(logging.getLogger(name), loglevel)

    def redirect_stdouts_to_logger(
        self, logger: logging.Logger, loglevel: str | int | None = None, stdout: bool = True, stderr: bool = True
    ) -> LoggingProxy:
        """Send what is printed to a logger; returns what stands in for the streams."""
        proxy = LoggingProxy(logger, loglevel)
        if stdout:
            sys.stdout = proxy
        if stderr:
            sys.stderr = proxy
        return proxy

    def supports_color(self, colorize: bool | None = None, logfile: str | None = None) -> bool:
        """Whether lines are coloured: on a terminal, unless told otherwise."""
        stream = sys.__stderr__
        if colorize is not None or logfile:
            return bool(colorize) and not logfile
        return stream is not None and stream.isatty()

    def colored(self, logfile: str | None = None, enabled: bool | None = None) -> Any:
        """Not provided."""
        missing("app.log.colored", refused("use click.style() or rich for text in colours"))

    def get_default_logger(self, name: str = "celery", **kwargs: Any) -> logging.Logger:
        """A logger by name."""
        return get_logger(name, **kwargs)

    def setup_handlers(
        self,
        logger: logging.Logger,
        logfile: str | None,
        format: str,  # noqa: A002  # Celery's name
        colorize: bool | None,
        formatter: type[ColorFormatter] = ColorFormatter,
        **kwargs: Any,
    ) -> logging.Logger:
        """Give a logger a handler, on a file or standard error, unless it has one."""
        if kwargs:
            raise TypeError(f"unknown options of logging: {', '.join(kwargs)}")
        if not logger.handlers:
            handler = logging.FileHandler(logfile, encoding="utf-8") if logfile else logging.StreamHandler()
            handler.setFormatter(formatter(format, use_color=self.supports_color(colorize, logfile)))
            logger.addHandler(handler)
        return logger

    def setup_task_loggers(
        self,
        loglevel: str | int | None = None,
        logfile: str | None = None,
        format: str | None = None,  # noqa: A002  # Celery's name
        colorize: bool | None = None,
        propagate: bool = False,
        **kwargs: Any,
    ) -> logging.Logger:
        """Set up the parent of all task loggers."""
        logger = logging.getLogger(logs.TASK_LOGGER)
        logger.setLevel(mlevel(loglevel or logging.WARNING))
        logger.propagate = propagate
        text = format or self.app.settings.worker_task_log_format
        return self.setup_handlers(logger, logfile, text, colorize, TaskFormatter, **kwargs)
