"""A coroutine in which the cancellation of a soft time limit arrives as SoftTimeLimitExceeded."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Protocol

from celeriac.exceptions import SoftTimeLimitExceeded

__all__ = ["Exchanging", "Interruptible", "LimitStruck"]


class Interruptible(Protocol):
    """Who knows why a cancellation was injected."""

    interrupted: bool
    cancelled: bool


class LimitStruck(SoftTimeLimitExceeded, asyncio.CancelledError):
    """What a soft time limit is while it passes through a coroutine: both the error and the cancellation.

    Who waits for others on the task's behalf (``TaskGroup``, ``wait_for``, and libraries like them) ends those when it
    is cancelled, and only then: an error that is nothing else would leave them running as orphans. The task's own code
    sees the error that it knows.
    """


class Exchanging:
    """Awaits a coroutine in place of its task.

    asyncio can only inject CancelledError: ``Task.cancel()`` cancels what the task waits for, and that error is thrown
    into the task's outermost coroutine, which is this one. Here it is exchanged, once, for :class:`LimitStruck`, which
    goes on to where the inner coroutine waits: so its own ``try`` and ``finally`` see the limit, and ``uncancel()``
    lets it wait again, in ``asyncio.timeout`` and task groups too. A cancellation for another reason passes unchanged.
    """

    def __init__(self, owner: Interruptible, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._owner = owner
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, None, Any]:
        error: BaseException | None = None
        while True:
            try:
                waits_for = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            except LimitStruck as limit:  # outside of the coroutine it is an error like any other
                raise SoftTimeLimitExceeded(*limit.args).with_traceback(limit.__traceback__) from limit.__cause__
            error = None
            try:
                yield waits_for
            except GeneratorExit:
                self._coroutine.close()
                raise
            except asyncio.CancelledError as cancelled:
                error = self._exchange(cancelled)
            except BaseException as thrown:  # whatever is thrown in belongs to the inner coroutine
                error = thrown

    def _exchange(self, cancelled: asyncio.CancelledError) -> BaseException:
        owner = self._owner
        if not owner.interrupted or owner.cancelled:
            return cancelled
        owner.interrupted = False
        running = asyncio.current_task()
        if running is not None:
            running.uncancel()
        return LimitStruck()
