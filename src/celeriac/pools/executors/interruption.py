"""Raising exceptions into plain functions that run in other threads."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from typing import Final

from celeriac.exceptions import SoftTimeLimitExceeded
from celeriac.pools.pool import Job, Kind, Outcome

__all__ = ["InterruptibleJobs", "raise_in_thread"]

_set_async_exc: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)
_set_async_exc.restype = ctypes.c_int


def raise_in_thread(thread: int, exception: type[BaseException]) -> None:
    """Raise *exception* in the thread of that ident, at its next bytecode: not inside a call of C code that blocks."""
    _set_async_exc(thread, exception)


def _withdraw(thread: int) -> None:
    """Take back what was not raised yet."""
    _set_async_exc(thread, ctypes.py_object())


class InterruptibleJobs:
    """The plain functions that run now, by number, each with its thread.

    An exception for a thread is left at its door and taken in a little later. Two things keep it from striking after
    the task for which it was meant: it is only left, under a lock, while the job says that it is interruptible (see
    :class:`celeriac.pools.pool.Job`), and before the thread goes on to other work, it takes its job off the list under
    the same lock and withdraws what still lies at the door. The interpreter lets a thread take in its exception before
    the next bytecode that could leave the task's code, so the last guard, which catches one that slipped out of
    `Job.run`, is there for interpreters that are built otherwise.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[int, tuple[int, Job]] = {}

    def run(self, number: int, job: Job) -> Outcome:
        """Run the job in this thread."""
        thread = threading.get_ident()
        outcome = None
        try:
            with self._lock:
                self._jobs[number] = thread, job
            outcome = job.run()
            self._finish(number, thread)
        except (SoftTimeLimitExceeded, asyncio.CancelledError) as error:
            self._finish(number, thread)
            if outcome is None:
                outcome = Outcome(number, Kind.CANCELLED, text=f"{error!r} outside of the task's own code")
        return outcome

    def interrupt(self, number: int) -> bool:
        """The soft limit of that job is over; False when it does not run here."""
        with self._lock:
            thread, job = self._jobs.get(number, (0, None))
            if job is None:
                return False
            job.interrupted = True
            if job.interruptible:
                raise_in_thread(thread, SoftTimeLimitExceeded)
            return True

    def cancel(self, number: int) -> bool:
        """Cancel that job; False when it does not run here."""
        with self._lock:
            thread, job = self._jobs.get(number, (0, None))
            if job is None:
                return False
            job.cancelled = True
            if job.interruptible:
                raise_in_thread(thread, asyncio.CancelledError)
            return True

    def _finish(self, number: int, thread: int) -> None:
        with self._lock:
            self._jobs.pop(number, None)
        _withdraw(thread)
