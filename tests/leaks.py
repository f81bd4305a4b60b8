"""What a test leaves behind: threads, child processes and open file descriptors."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any, Final, NamedTuple

GRACE: Final = 3.0
"""Seconds for what ends by itself: an exiting child or thread, a descriptor of an object that awaits collection."""
PAUSE: Final = 0.005
"""Seconds between two looks."""

_PROC: Final = Path("/proc/self")


class Held(NamedTuple):
    """What this process holds."""

    threads: frozenset[threading.Thread]
    descriptors: frozenset[int]
    children: frozenset[int]

    def beyond(self, other: Held) -> Held:
        """What is held here and not there."""
        return Held(self.threads - other.threads, self.descriptors - other.descriptors, self.children - other.children)

    def plus(self, other: Held) -> Held:
        """What is held here or there."""
        return Held(self.threads | other.threads, self.descriptors | other.descriptors, self.children | other.children)


def held_now() -> Held:
    """Look. On systems without /proc only threads are seen."""
    return Held(frozenset(threading.enumerate()), frozenset(_descriptors()), frozenset(_children()))


def left_behind(before: Held) -> list[str]:
    """One line for each thing that is held beyond ``before`` and does not go away within the grace."""
    deadline = time.monotonic() + GRACE
    while any(more := held_now().beyond(before).beyond(_of_multiprocessing())):
        if time.monotonic() > deadline:
            return list(_described(more))
        gc.collect()
        time.sleep(PAUSE)
    return []


def _descriptors() -> Iterator[int]:
    with suppress(FileNotFoundError):
        names = os.listdir(_PROC / "fd")
        for name in names:
            number = int(name)
            # The descriptor of the listing itself is closed again.
            with suppress(OSError):
                os.fstat(number)
                yield number


def _children() -> Iterator[int]:
    with suppress(FileNotFoundError):
        for thread in os.listdir(_PROC / "task"):
            with suppress(FileNotFoundError, ProcessLookupError):
                yield from map(int, (_PROC / "task" / thread / "children").read_text().split())


def _of_multiprocessing() -> Held:
    """The fork server and the resource tracker serve the whole session; they end with it."""
    server: Any = forkserver._forkserver
    tracker: Any = resource_tracker._resource_tracker
    descriptors = {server._forkserver_alive_fd, tracker._fd} - {None}
    children = {server._forkserver_pid, tracker._pid} - {None}
    return Held(frozenset(), frozenset(descriptors), frozenset(children))


def _described(more: Held) -> Iterator[str]:
    for thread in more.threads:
        yield f"thread {thread.name}"
    for number in sorted(more.descriptors):
        with suppress(OSError):
            yield f"file descriptor {number}: {os.readlink(_PROC / 'fd' / str(number))}"
    for pid in sorted(more.children):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield f"child process {pid}: {command or 'a zombie that nobody waited for'}"
