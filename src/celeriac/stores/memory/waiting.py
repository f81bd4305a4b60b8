"""How a thread or a coroutine sleeps until the state changes.

Whoever waits makes a waiter, registers it with the state, looks (again), and sleeps: a change between registration and
sleep is never missed, because the state wakes the waiters after the change and a wake-up stays pending until the next
sleep. A sleep may end without a reason; the caller looks again in a loop.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol

__all__ = ["LoopWaiter", "ThreadWaiter", "Waiter"]


class Waiter(Protocol):
    """Something asleep."""

    def wake(self) -> None:
        """End the sleep, or the next one; called from any thread."""


class LoopWaiter:
    """Sleeps in the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._pending = False

    def wake(self) -> None:
        """End the sleep, or the next one."""
        # One pending call is enough: whoever finds the flag set changed the state before the sleeper's next look,
        # because the flag falls (in the loop's thread) before that look.
        if self._pending:
            return
        self._pending = True
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    async def sleep(self, seconds: float | None) -> None:
        """Sleep until woken, at most that long."""
        timer = None if seconds is None else self._loop.call_later(seconds, self._event.set)
        try:
            await self._event.wait()
        finally:
            if timer is not None:
                timer.cancel()
            self._event.clear()
            self._pending = False


class ThreadWaiter:
    """Sleeps in the calling thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def wake(self) -> None:
        """End the sleep, or the next one."""
        self._event.set()

    def sleep(self, seconds: float | None) -> None:
        """Sleep until woken, at most that long."""
        self._event.wait(seconds)
        self._event.clear()
