"""Reaching requests that run in other threads: raising exceptions into plain functions, cancelling coroutines."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from celeriac.exceptions import SoftTimeLimitExceeded
from celeriac.pools.pool import Job, Kind, Outcome

__all__ = ["Flag", "StartedRequests"]

Flag = Literal["interrupted", "cancelled"]
"""The attribute of a job that says why it is stopped."""

_EXCEPTIONS: Final[dict[Flag, type[BaseException]]] = {
    "interrupted": SoftTimeLimitExceeded,
    "cancelled": asyncio.CancelledError,
}

_set_async_exc: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)
_set_async_exc.restype = ctypes.c_int


def _raise_in_thread(thread: int, exception: type[BaseException]) -> None:
    """Raise in that thread at its next bytecode: not inside a call of C code that blocks."""
    _set_async_exc(thread, exception)


def _withdraw(thread: int) -> None:
    """Take back what was not raised yet."""
    _set_async_exc(thread, ctypes.py_object())


class _Request(msgspec.Struct):
    flags: list[Flag] = []
    job: Job | None = None
    reach: Callable[[Flag], None] | None = None


class StartedRequests:
    """The requests of a child that have started, by number, and how each can be stopped.

    A request is expected here before main can see on the page that it runs, and so before its message is decoded: main
    may already want to stop it, and that is remembered until there is a job to tell.

    An exception for a thread is left at its door and taken in a little later. Two things keep it from striking after
    the task for which it was meant: it is only left, under a lock, while the job says that it is interruptible (see
    :class:`celeriac.pools.pool.Job`), and before the thread goes on to other work, it takes its request off the list
    under the same lock and withdraws what still lies at the door. The interpreter lets a thread take in its exception
    before the next bytecode that could leave the task's code, so the last guard, which catches one that slipped out of
    `Job.run`, is there for interpreters that are built otherwise.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[int, _Request] = {}

    def expect(self, number: int) -> None:
        """The request starts."""
        self._requests[number] = _Request()

    def attach(self, number: int, job: Job, reach: Callable[[Flag], None]) -> None:
        """It can be reached from now on: *reach* is called once the job's flag is set, maybe in another thread."""
        with self._lock:
            request = self._requests[number]
            request.job, request.reach = job, reach
            for flag in request.flags:
                setattr(job, flag, True)
                reach(flag)

    def finish(self, number: int) -> None:
        """It has ended; nothing reaches it any more."""
        with self._lock:
            self._requests.pop(number, None)

    def stop(self, number: int, flag: Flag) -> bool:
        """Stop it now, or as soon as it can be reached; False when that is not now or when it does not run."""
        with self._lock:
            request = self._requests.get(number)
            if request is None:
                return False
            if request.job is None or request.reach is None:
                request.flags.append(flag)
                return False
            setattr(request.job, flag, True)
            request.reach(flag)
            return True

    def run(self, number: int, job: Job) -> Outcome:
        """Run the job of a plain function in this thread, to the end of the request."""
        thread = threading.get_ident()

        def reach(flag: Flag) -> None:
            if job.interruptible:
                _raise_in_thread(thread, _EXCEPTIONS[flag])

        outcome = None
        try:
            self.attach(number, job, reach)
            outcome = job.run()
            self.finish(number)
            _withdraw(thread)
        except (SoftTimeLimitExceeded, asyncio.CancelledError) as error:
            self.finish(number)
            _withdraw(thread)
            if outcome is None:
                outcome = Outcome(number, Kind.CANCELLED, text=f"{error!r} outside of the task's own code")
        return outcome
