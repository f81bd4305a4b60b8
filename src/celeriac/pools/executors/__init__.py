"""What runs requests inside a child: one module each, behind :class:`Executor`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from celeriac.pools.frames import FrameReader
from celeriac.pools.page import Page
from celeriac.pools.pool import Runner

__all__ = ["EXECUTORS", "Executor", "Line", "Seat", "load_executor"]


class Line(Protocol):
    """The child's end of its socket."""

    sock: Any
    reader: FrameReader

    def send(self, kind: int, body: Any) -> None: ...


class Seat(msgspec.Struct, frozen=True):
    """What an executor works with.

    Attributes:
        line: to main.
        page: shared with main.
        runner: makes jobs of works.
        capacity: how many requests at a time.
        max_memory: resident bytes after which the child wants to leave.
    """

    line: Line
    page: Page
    runner: Runner
    capacity: int
    max_memory: int | None


class Executor(Protocol):
    """Takes works from main and sends outcomes, until main says RETIRE and all is done.

    At the end of file on its socket main is dead, and it ends the process at once. What a task raises to end the
    process (SystemExit, KeyboardInterrupt) comes out of `run`.
    """

    def run(self) -> None: ...

    def flush(self) -> None:
        """Send the outcomes that are not sent yet."""


EXECUTORS: Final = {
    "process": "celeriac.pools.executors.process:ProcessExecutor",
    "threads": "celeriac.pools.executors.threads:ThreadsExecutor",
    "asyncio": "celeriac.pools.executors.asyncio:AsyncioExecutor",
}


def load_executor(name: str) -> Callable[[Seat], Executor]:
    """Import the executor of that name."""
    module, _, attribute = EXECUTORS[name].partition(":")
    found: Callable[[Seat], Executor] = getattr(importlib.import_module(module), attribute)
    return found
