"""One queue of the memory store: what is ready, by priority, and what is held until it is due."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from celeriac.envelope import PRIORITY_MAX

__all__ = ["Entry", "MessageQueue"]

OLDEST_EVERY: Final = 8
"""Every so manieth message is the oldest of any priority, so that none starves."""


class Entry(msgspec.Struct):
    """A message in the store.

    Attributes:
        order: grows with every published message; tells which is older.
        queue: the queue that it belongs to.
        payload: the encoded message.
        priority: 0 to 9, 0 first.
        losses, holds, granted: see :class:`~celeriac.stores.store.Delivery`.
    """

    order: int
    queue: str
    payload: bytes
    priority: int
    losses: int = 0
    holds: int = 0
    granted: bool = False


class MessageQueue:
    """The ready and the held messages of one queue."""

    def __init__(self) -> None:
        self._ready: list[deque[Entry]] = [deque() for _ in range(PRIORITY_MAX + 1)]
        self._held: list[tuple[float, int, Entry]] = []
        self._served = 0
        self.ready = 0
        self.in_flight = 0

    @property
    def held(self) -> int:
        """How many messages are held."""
        return len(self._held)

    @property
    def empty(self) -> bool:
        """Nothing is ready, held or in flight."""
        return not (self.ready or self._held or self.in_flight)

    @property
    def next_due(self) -> float | None:
        """When the first held message is due."""
        return self._held[0][0] if self._held else None

    def append(self, entry: Entry) -> None:
        """Make a message ready behind the others of its priority."""
        self._ready[entry.priority].append(entry)
        self.ready += 1

    def append_front(self, entry: Entry) -> None:
        """Make a message ready before the others of its priority."""
        self._ready[entry.priority].appendleft(entry)
        self.ready += 1

    def hold(self, entry: Entry, due: float) -> None:
        """Keep a message until it is due, seconds since the epoch."""
        heapq.heappush(self._held, (due, entry.order, entry))

    def release_due(self, now: float) -> int:
        """Make the messages that are due ready, the one that was due first in front; returns how many."""
        due: list[Entry] = []
        while self._held and self._held[0][0] <= now:
            due.append(heapq.heappop(self._held)[2])
        for entry in reversed(due):
            self.append_front(entry)
        return len(due)

    def take(self, strict: bool) -> Entry | None:
        """Take the next message: by priority, but every eighth the oldest of any (never when ``strict``)."""
        if not self.ready:
            return None
        line = self._next_line(self._ready, strict, self._served)
        self._served += 1
        self.ready -= 1
        return line.popleft()

    def peek(self, limit: int, strict: bool) -> list[bytes]:
        """The payloads of the next messages, in the order in which :meth:`take` would give them."""
        lines = [deque(islice(line, limit)) for line in self._ready]
        served = range(self._served, self._served + min(limit, self.ready))
        return [self._next_line(lines, strict, turn).popleft().payload for turn in served]

    def clear(self) -> int:
        """Drop everything ready and held; returns how many."""
        dropped = self.ready + self.held
        for line in self._ready:
            line.clear()
        self._held.clear()
        self.ready = 0
        return dropped

    @staticmethod
    def _next_line(lines: list[deque[Entry]], strict: bool, served: int) -> deque[Entry]:
        filled: Iterator[deque[Entry]] = (line for line in lines if line)
        if not strict and served % OLDEST_EVERY == OLDEST_EVERY - 1:
            return min(filled, key=lambda line: line[0].order)
        return next(filled)
