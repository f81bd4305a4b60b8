"""What the client process asks of a system, as loops over the four things that a user does."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

ANSWER_LIMIT = 60.0
"""Seconds to wait for one result: the first one may have to wait for a cold worker."""
WARM_UP = 100
"""Tasks sent before the clock starts: connections, scripts and caches are then in place."""


class Sender(ABC):
    """A system whose client is synchronous; one with an asynchronous client overrides the loops instead.

    The loops are part of the measurement: they do what a user's loop would do and nothing else. Each starts with
    `WARM_UP` tasks that are not timed.
    """

    @abstractmethod
    def send(self) -> object:
        """Send one no-op task."""

    @abstractmethod
    def call(self) -> object:
        """Send one no-op task and wait for its result, at most `ANSWER_LIMIT` seconds."""

    @abstractmethod
    def send_stamp(self, reference: float) -> object:
        """Send a task that stamps its start beside `reference`."""

    @abstractmethod
    def send_at(self, due: float) -> object:
        """Send a task that stamps its start beside `due` and is to run then (seconds since the epoch)."""

    def send_batch(self, count: int) -> object:
        """Send `count` no-op tasks the way the system has for sending many."""
        raise NotImplementedError(f"{type(self).__name__} has no way of sending a batch")

    def enqueue(self, count: int) -> float:
        """Send `count` no-op tasks one by one, warm-up included; return tasks per second."""
        send = self.send
        for _ in range(min(WARM_UP, count)):
            send()
        start = time.perf_counter()
        for _ in range(WARM_UP, count):
            send()
        return max(0, count - WARM_UP) / (time.perf_counter() - start)

    def batch(self, count: int) -> float:
        """Send `count` no-op tasks as a batch, after the warm-up; return tasks per second."""
        self.enqueue(WARM_UP)
        start = time.perf_counter()
        self.send_batch(count)
        return count / (time.perf_counter() - start)

    def round_trips(self, count: int, limit: float) -> list[float]:
        """Seconds of each of at most `count` calls, one after the other, started within `limit` seconds.

        The calls of the warm-up are bounded in the same way.
        """
        durations: list[float] = []
        for calls in (WARM_UP, count):
            durations.clear()
            deadline = time.perf_counter() + limit
            while len(durations) < calls and (start := time.perf_counter()) < deadline:
                self.call()
                durations.append(time.perf_counter() - start)
        return durations

    def paced(self, rate: float, count: int) -> float:
        """Send `count` stamps at `rate` a second, each at its own time whatever became of those before (open loop)."""
        beginning = time.time()
        for number in range(count):
            if (ahead := beginning + number / rate - time.time()) > 0:
                time.sleep(ahead)
            self.send_stamp(time.time())
        return time.time() - beginning

    def schedule(self, dues: Sequence[float]) -> float:
        """Send one task for each time in `dues`; return the seconds it took."""
        start = time.perf_counter()
        for due in dues:
            self.send_at(due)
        return time.perf_counter() - start
