"""The memory store's clock: the system's, or one that a test moves by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "SystemClock", "VirtualClock"]


class Clock(Protocol):
    """Tells the time that leases, holds, lifetimes and waits go by."""

    def now(self) -> float:
        """Return the seconds since the epoch."""
        ...

    def sleep_for(self, when: float) -> float | None:
        """Return how many real seconds to sleep until ``when``; None when only a wake-up can tell."""
        ...

    def on_advance(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` whenever the time jumps."""


class SystemClock:
    """The system's clock; it never jumps."""

    def now(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def sleep_for(self, when: float) -> float:
        """Return the seconds from now to ``when``, 0 when it has passed."""
        return max(0.0, when - time.time())

    def on_advance(self, wake: Callable[[], None]) -> None:
        """Do nothing: this clock never jumps."""


class VirtualClock:
    """A clock that stands still until :meth:`advance` moves it, for tests.

    Whatever becomes due on the way happens at once, without real time passing: leases end, held messages become ready,
    results expire, waits time out. Safe to use from any thread.

    Args:
        start: the first time it tells, seconds since the epoch; None is the present.
    """

    def __init__(self, start: float | None = None) -> None:
        self._now = time.time() if start is None else start
        self._lock = threading.Lock()
        self._wakes: list[Callable[[], None]] = []

    def now(self) -> float:
        """Return the seconds since the epoch that the clock stands at."""
        return self._now

    def sleep_for(self, when: float) -> float | None:
        """Return 0 when ``when`` has passed; else None, as no amount of real time gets there."""
        return 0.0 if when <= self._now else None

    def on_advance(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` after every advance."""
        with self._lock:
            self._wakes.append(wake)

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        Raises:
            ValueError: seconds is negative.
        """
        if seconds < 0:
            raise ValueError(f"a clock goes forward only: {seconds} seconds")
        with self._lock:
            self._now += seconds
            wakes = list(self._wakes)
        for wake in wakes:
            wake()
