"""The results that came to this process over the rpc backend, for all its threads and event loops.

A reply queue belongs to a process, and whoever reads from it may get what another one waits for. So everything goes
through here. Results are kept until they are forgotten, or until there are too many.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

__all__ = ["Mailbox", "mailbox"]

_MOST: Final = 100_000
"""Results of a process that are kept; the oldest give way."""


class Mailbox:
    """Results by task id. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: OrderedDict[str, bytes] = OrderedDict()
        self._listeners: list[Callable[[], object]] = []

    def put(self, results: Iterable[tuple[str, bytes]]) -> None:
        """Take results, and tell those who listen."""
        with self._lock:
            for task_id, payload in results:
                self._results[task_id] = payload
                self._results.move_to_end(task_id)
            while len(self._results) > _MOST:
                self._results.popitem(last=False)
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def read(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The results of these tasks, None where none came."""
        with self._lock:
            return [self._results.get(task_id) for task_id in task_ids]

    def forget(self, task_ids: Iterable[str]) -> None:
        """Drop results."""
        with self._lock:
            for task_id in task_ids:
                self._results.pop(task_id, None)

    def listen(self, listener: Callable[[], object]) -> None:
        """Have it called in some thread whenever results came."""
        with self._lock:
            self._listeners.append(listener)

    def leave(self, listener: Callable[[], object]) -> None:
        """Take back :meth:`listen`."""
        with self._lock:
            self._listeners.remove(listener)


_of_process: tuple[int, Mailbox] = (0, Mailbox())


def mailbox() -> Mailbox:
    """The mailbox of this process; the child of a fork has one of its own."""
    global _of_process
    pid, found = _of_process
    if pid != os.getpid():
        found = Mailbox()
        _of_process = (os.getpid(), found)
    return found
