"""Where an exception was raised in the process that ran the task, shown where it is raised again."""

from __future__ import annotations

__all__ = ["RemoteTraceback", "with_remote_traceback"]


class RemoteTraceback(Exception):
    """The cause of an exception that was raised in another process: its traceback there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n\n{self.text}"


def with_remote_traceback(error: BaseException, text: str | None) -> None:
    """Give an exception the traceback of its task as its cause (setting ``task_remote_tracebacks``)."""
    if text and error.__cause__ is None:
        error.__cause__ = RemoteTraceback(text)
