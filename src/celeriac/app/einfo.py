"""What hooks and signals are told about an exception."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Final

__all__ = ["ExceptionInfo"]

MAX_FRAMES: Final = 100
"""Frames in a stored traceback; deep recursion would otherwise store megabytes."""


class ExceptionInfo:
    """An exception with its traceback as text.

    Attributes:
        type: its class.
        exception: itself.
        traceback: as text.
        tb: as an object, where there is one.
    """

    def __init__(self, exception: BaseException) -> None:
        self.type = type(exception)
        self.exception = exception
        self.tb: TracebackType | None = exception.__traceback__
        self.traceback = _format(exception)

    @property
    def exc_info(self) -> tuple[type[BaseException], BaseException, TracebackType | None]:
        """As ``sys.exc_info`` gives it."""
        return self.type, self.exception, self.tb

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"


def _format(exception: BaseException) -> str:
    """The traceback as text, from the task's own frames on."""
    tb = exception.__traceback__
    while tb is not None and tb.tb_next is not None and _is_ours(tb):
        tb = tb.tb_next
    try:
        return "".join(traceback.format_exception(type(exception), exception, tb, limit=-MAX_FRAMES))
    except Exception as error:  # an exception whose own text cannot be made must not hide the failure
        return f"{type(exception).__name__} (its traceback cannot be formatted: {type(error).__name__})\n"


def _is_ours(tb: TracebackType) -> bool:
    return str(tb.tb_frame.f_globals.get("__name__", "")).startswith("celeriac.app.")
