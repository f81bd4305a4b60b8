"""The executor of `prefork`: one request at a time, in the child's main thread."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from time import monotonic
from typing import Any, Final

from celeriac.exceptions import SoftTimeLimitExceeded
from celeriac.pools.executors import Seat
from celeriac.pools.frames import FrameKind, decode_number, decode_works
from celeriac.pools.page import FIRST_SLOT, STARTED, TARGET
from celeriac.pools.pool import Job, Kind, Outcome, Work
from celeriac.pools.system import resident_bytes

__all__ = ["ATTENTION", "ProcessExecutor"]

ATTENTION: Final = getattr(signal, "SIGUSR1", signal.SIGTERM)
"""Main's signal to a busy child: look at the page and at the socket."""

BATCH_SECONDS: Final = 0.001
"""Outcomes wait for each other that long while works are queued: short beside a round trip of the store."""
BATCH_OUTCOMES: Final = 64
"""As many as one settlement of the store takes."""


class ProcessExecutor:
    """Duties:

    1. Run the queued works in order, writing on the page what runs.
    2. Send outcomes: at once when nothing is queued, else in batches.
    3. Obey main between two tasks, and during one at its signal.

    The signal. A task owns the main thread, so nobody reads the socket while it runs. Main therefore sends SIGUSR1
    whenever a busy child must listen; its handler runs between two bytecodes of the task. It sends the outcomes that
    wait, reads the socket (a recall is answered now, not in an hour), and looks whether the number that main has
    written on the page is the one that runs: then the soft limit is over. A thread that reads the socket would do, too,
    but a process with threads is one that a task cannot safely fork, and each message would wait for the interpreter
    lock.

    What can go wrong, and does not:

    - The signal comes while the loop below is between two tasks: ``_job`` is None, the handler only notes it. The loop
      sets ``_job`` first and looks at the note afterwards, so that no signal falls between.
    - It comes when the task whose limit is over has ended: the page's target is another number than the one that runs.
      Numbers never repeat.
    - It comes while the handler is at work: the inner one only notes it, the outer one goes round once more.
    - It comes while ``Job.run`` is not in the task's own code: ``interruptible`` is false, and the handler sets
      ``interrupted`` instead of raising; see :class:`celeriac.pools.pool.Job`.
    """

    def __init__(self, seat: Seat) -> None:
        self._line = seat.line
        self._page = seat.page
        self._runner = seat.runner
        self._max_memory = seat.max_memory
        self._queue: deque[Work] = deque()
        self._outcomes: list[Outcome] = []
        self._flushed = 0.0
        self._job: Job | None = None
        self._number = 0
        self._aimed = 0
        self._noted = False
        self._attending = False
        self._retired = False
        self._leaving = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Outcome] | None = None
        signal.signal(ATTENTION, self._attention)

    def run(self) -> None:
        """Run works until main says RETIRE and none is left."""
        queue, outcomes, load = self._queue, self._outcomes, self._runner.load
        words, times = self._page.words, self._page.times
        while True:
            while not queue:
                if outcomes:
                    self.flush()
                if self._retired:
                    return
                self._read()
            work = queue.popleft()
            number = work.number
            times[0] = monotonic()
            words[FIRST_SLOT] = words[STARTED] = self._number = number
            job = self._job = load(work)
            if self._noted:
                self._attend(job)
            try:
                outcome = self._run_coroutine(job) if job.is_coroutine else job.run()
            except asyncio.CancelledError as error:  # the task cancelled itself, and its job let that out
                outcome = Outcome(number, Kind.CANCELLED, text=repr(error))
            self._job = None
            words[FIRST_SLOT] = 0
            outcomes.append(outcome)
            if queue and (monotonic() - self._flushed >= BATCH_SECONDS or len(outcomes) >= BATCH_OUTCOMES):
                self.flush()
                self._read(socket.MSG_DONTWAIT)
            if self._max_memory is not None and not self._leaving and resident_bytes() > self._max_memory:
                self._ask_to_leave()

    def flush(self) -> None:
        """Send the outcomes that are not sent yet."""
        if self._outcomes:
            self._line.send(FrameKind.OUTCOMES, self._outcomes)
            self._outcomes.clear()
        self._flushed = monotonic()

    def _read(self, flags: int = 0) -> bool:
        """Obey what is in the socket; False when nothing was there."""
        try:
            frames = self._line.reader.read(flags)
        except BlockingIOError:
            return False
        if frames is None:
            os._exit(0)
        for kind, body in frames:
            self._obey(kind, body)
        return True

    def _obey(self, kind: int, body: memoryview[int]) -> None:
        if kind == FrameKind.WORKS:
            self._queue.extend(decode_works(body))
            if self._leaving:
                self._give_back()
        elif kind == FrameKind.RECALL:
            self._give_back()
        elif kind == FrameKind.RETIRE:
            self._retired = True
        elif kind == FrameKind.CANCEL:
            self._cancel(decode_number(body))

    def _give_back(self) -> None:
        numbers = [work.number for work in self._queue]
        self._queue.clear()
        self._line.send(FrameKind.RETURNED, numbers)

    def _ask_to_leave(self) -> None:
        """Start nothing more. Main may have sent works before it hears that: they come back too."""
        self._leaving = True
        self.flush()
        self._give_back()
        self._line.send(FrameKind.LEAVING, None)

    def _cancel(self, number: int) -> None:
        """Cancel what waits; what runs alone in its process, main kills."""
        for work in self._queue:
            if work.number == number:
                self._queue.remove(work)
                self._outcomes.append(Outcome(number, Kind.CANCELLED))
                return

    def _attention(self, signum: int, frame: Any) -> None:
        job = self._job
        if job is None or self._attending:
            self._noted = True
        else:
            self._attend(job)

    def _attend(self, job: Job) -> None:
        while True:
            self._attending = True
            self._noted = False
            while self._read(socket.MSG_DONTWAIT):
                pass
            self.flush()
            self._attending = False
            if not self._noted:
                break
        target = self._page.words[TARGET]
        if target == self._number and target != self._aimed:
            self._aimed = target
            self._interrupt(job)

    def _interrupt(self, job: Job) -> None:
        job.interrupted = True
        if not job.is_coroutine:
            if job.interruptible:
                raise SoftTimeLimitExceeded
        elif self._loop is not None and self._task is not None:
            # From outside of the loop's turn, which may be asleep: this wakes it.
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _run_coroutine(self, job: Job) -> Outcome:
        """Run it on the one loop of this child, so that clients which tasks keep stay on their loop."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
        task = self._task = loop.create_task(_arun(job))
        if job.interrupted:
            loop.call_soon(task.cancel)  # after its first step, which is inside `Job.arun`
        try:
            return loop.run_until_complete(task)
        finally:
            self._task = None


async def _arun(job: Job) -> Outcome:
    return await job.arun()
