"""The pool `solo`: runs requests in the main process itself, one at a time, for debugging."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Final

from celeriac.exceptions import SoftTimeLimitExceeded
from celeriac.pools.errors import PoolError
from celeriac.pools.executors.interruption import StartedRequests
from celeriac.pools.pool import (
    Child,
    ChildExit,
    Job,
    Kind,
    Outcome,
    PoolOptions,
    PoolWatcher,
    Runner,
    Running,
    Work,
)
from celeriac.pools.preload import format_failure, preload

__all__ = ["SoloPool"]

NEVER: Final = 0.0
"""Switches the alarm off."""
MIN_WAIT: Final = 0.001
"""Seconds; for limits of 0, which would switch the alarm off."""
HARD_REPEAT: Final = 1.0
"""Seconds after which a task that swallowed the end of its hard limit meets it again."""


class SoloPool:
    """One "child" that is this process.

    A plain function blocks the loop while it runs; that is what `solo` is for. There is nothing to kill: the hard
    limit cancels, and cancels again. A task that calls ``sys.exit`` is reported as a child that exited.
    """

    enforces_limits = True

    def __init__(self, options: PoolOptions) -> None:
        self._options = options
        self._child: SoloChild | None = None
        self.children: list[Child] = []

    async def start(self, watcher: PoolWatcher) -> None:
        """Load the app.

        Raises:
            PoolError: it cannot be imported; the text is its traceback.
        """
        try:
            runner = preload(self._options.runner, self._options.arguments)(self._options.arguments)
            runner.start()
        except (Exception, SystemExit) as error:
            raise PoolError(format_failure(error)) from error
        self._child = SoloChild(runner, watcher)
        self.children.append(self._child)
        watcher.ready(self._child)

    async def stop(self) -> None:
        """Cancel what runs; idempotent."""
        if self._child is not None:
            child, self._child = self._child, None
            await child.stop()


class SoloChild:
    """This process in the role of a child."""

    index = 0
    capacity = 1

    def __init__(self, runner: Runner, watcher: PoolWatcher) -> None:
        self.pid = os.getpid()
        self.ready = True
        self._runner = runner
        self._watcher = watcher
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Work] = deque()
        self._running: Running | None = None
        self._job: Job | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._timers: list[asyncio.TimerHandle] = []
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._run_limited = _run_with_alarm if in_main_thread and hasattr(signal, "setitimer") else _run_with_timers

    def send(self, works: Sequence[Work]) -> None:
        self._queue.extend(works)
        self._loop.call_soon(self._next)

    def running(self) -> list[Running]:
        return [self._running] if self._running is not None else []

    def interrupt(self, number: int) -> None:
        self._stop_task(number, "interrupted")

    def cancel(self, number: int) -> None:
        for work in self._queue:
            if work.number == number:
                self._queue.remove(work)
                self._loop.call_soon(self._watcher.outcomes, self, [Outcome(number, Kind.CANCELLED)])
                return
        self._asked = True
        self._stop_task(number, "cancelled")

    def recall(self) -> None:
        numbers = [work.number for work in self._queue]
        self._queue.clear()
        self._loop.call_soon(self._watcher.returned, self, numbers)

    def retire(self) -> None:
        """Nothing to replace: this process stays."""

    def kill(self) -> None:
        """Cancel what runs. This process is main, which outlives its requests."""
        if self._running is not None:
            self.cancel(self._running.number)

    def dump(self) -> None:
        import faulthandler

        faulthandler.dump_traceback(2, all_threads=True)

    async def stop(self) -> None:
        """Cancel what runs, drop what waits, and end the runner."""
        self.ready = False
        self._queue.clear()
        if self._task is not None:
            task = self._task
            self.kill()
            await asyncio.wait([task])
        self._runner.stop()

    def _stop_task(self, number: int, flag: str) -> None:
        """Only a coroutine can be met here: while a plain function runs, nobody else does."""
        if self._running is not None and self._running.number == number and self._task is not None:
            setattr(self._job, flag, True)
            self._loop.call_soon(self._task.cancel)  # after its first step, which is inside `Job.arun`

    def _next(self) -> None:
        if self._running is not None or not self._queue:
            return
        work = self._queue.popleft()
        self._asked = False
        self._running = Running(work.number, monotonic())
        job = self._job = self._runner.load(work)
        if job.is_coroutine:
            self._task = self._loop.create_task(self._arun(work, job))
            return
        try:
            outcome = self._run_limited(work, job)
        except SystemExit as error:
            self._exited(error)
        else:
            self._done(work, outcome)

    async def _arun(self, work: Work, job: Job) -> None:
        if work.soft is not None:
            self._timers.append(self._loop.call_later(work.soft, self._stop_task, work.number, "interrupted"))
        if work.hard is not None:
            self._timers.append(self._loop.call_later(work.hard, self._overdue, work.number))
        try:
            outcome = await job.arun()
        except asyncio.CancelledError:
            outcome = Outcome(work.number, Kind.CANCELLED)
        except SystemExit as error:
            self._exited(error)
            return
        self._done(work, outcome)

    def _overdue(self, number: int) -> None:
        self._stop_task(number, "cancelled")
        self._timers.append(self._loop.call_later(HARD_REPEAT, self._overdue, number))

    def _done(self, work: Work, outcome: Outcome) -> None:
        if outcome.kind is Kind.CANCELLED and not self._asked and work.hard is not None:
            outcome.text = f"over its hard time limit of {work.hard:g} seconds"
        self._free()
        self._watcher.outcomes(self, [outcome])

    def _exited(self, error: SystemExit) -> None:
        """As in a child process, where it would have ended that; here the process goes on."""
        running, waiting = self.running(), [work.number for work in self._queue]
        self._queue.clear()
        self._free()
        if waiting:
            self._watcher.returned(self, waiting)
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        text = f"the task called sys.exit({error.code!r})"
        self._watcher.exited(self, ChildExit(self.pid, code, None, text), running)
        self._watcher.ready(self)

    def _free(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._running = self._job = self._task = None
        self._loop.call_soon(self._next)


def _run_with_alarm(work: Work, job: Job) -> Outcome:
    """Run a plain function under its time limits, kept by the alarm clock of this process (setitimer(2)).

    Like every signal handler in Python this one waits for C code that does not return.
    """
    if work.soft is None and work.hard is None:
        return job.run()
    waits = _waits(work)
    previous = signal.signal(signal.SIGALRM, lambda _number, _frame: _alarm(job, waits))
    try:
        signal.setitimer(signal.ITIMER_REAL, next(waits)[0])
        return job.run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, NEVER)
        signal.signal(signal.SIGALRM, previous)


def _waits(work: Work) -> Iterator[tuple[float, bool]]:
    """Yield how long to wait until the next alarm, in seconds, and whether the alarm before it was the hard limit."""
    soft, hard = work.soft, work.hard
    if hard is None:
        yield max(soft or 0.0, MIN_WAIT), False
        yield NEVER, False
        return
    if soft is not None and soft < hard:
        yield max(soft, MIN_WAIT), False
        yield max(hard - soft, MIN_WAIT), False
    else:
        yield max(hard, MIN_WAIT), False
    while True:
        yield HARD_REPEAT, True


def _alarm(job: Job, waits: Iterator[tuple[float, bool]]) -> None:
    wait, hard = next(waits)
    signal.setitimer(signal.ITIMER_REAL, wait)
    if hard:
        job.cancelled = True
    else:
        job.interrupted = True
    if job.interruptible:
        raise asyncio.CancelledError if hard else SoftTimeLimitExceeded


_requests = StartedRequests()


def _run_with_timers(work: Work, job: Job) -> Outcome:
    """The same where the loop is not in the main thread, which alone gets signals: asynchronous exceptions."""
    _requests.expect(work.number)
    timers = []
    if work.soft is not None:
        timers.append(threading.Timer(work.soft, _requests.stop, (work.number, "interrupted")))
    if work.hard is not None:
        timers.append(threading.Timer(work.hard, _requests.stop, (work.number, "cancelled")))
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        return _requests.run(work.number, job)
    finally:
        for timer in timers:
            timer.cancel()
