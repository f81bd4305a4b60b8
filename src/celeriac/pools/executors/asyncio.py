"""The executor of `asyncio`: one event loop with up to `capacity` coroutines; plain functions go to a few threads."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Final

import msgspec

from celeriac.pools.channel import Channel
from celeriac.pools.executors import Seat
from celeriac.pools.executors.interruption import StartedRequests
from celeriac.pools.frames import FrameKind, decode_number, decode_works
from celeriac.pools.pool import Job, Kind, Outcome, Work
from celeriac.pools.system import resident_bytes

__all__ = ["AsyncioExecutor"]

THREADS: Final = 32
"""Plain functions at a time: as many as the interpreter's own executor has on a large machine (28 cores)."""


class _Running(msgspec.Struct):
    job: Job
    task: asyncio.Task[None]


class AsyncioExecutor:
    """Duties: start works in order as slots become free, each coroutine as an asyncio task in a context of its own;
    send what has ended in one turn of the loop as one batch; obey main, which the loop hears at any time."""

    def __init__(self, seat: Seat) -> None:
        self._line = seat.line
        self._page = seat.page
        self._runner = seat.runner
        self._max_memory = seat.max_memory
        self._free = list(range(seat.capacity - 1, -1, -1))
        self._queue: deque[Work] = deque()
        self._running: dict[int, _Running] = {}
        self._outcomes: list[Outcome] = []
        self._in_threads = StartedRequests()
        self._threads = ThreadPoolExecutor(min(THREADS, seat.capacity), "celeriac")
        self._retired = False
        self._leaving = False

    def run(self) -> None:
        """Run works until main says RETIRE and none is left."""
        self._loop = _new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._finished = self._loop.create_future()
        self._channel = Channel(self._loop, self._line.sock, self._line.reader, self._obey, lambda: os._exit(0))
        self._loop.run_until_complete(self._finished)
        self._channel.finish()

    def flush(self) -> None:
        """Send the outcomes that are not sent yet. The process ends after this, so it waits for main to take them."""
        self._flush()
        self._channel.finish()

    def _flush(self) -> None:
        if self._outcomes:
            self._channel.send(FrameKind.OUTCOMES, self._outcomes)
            self._outcomes = []
        if self._max_memory is not None and not self._leaving and resident_bytes() > self._max_memory:
            self._leaving = True
            self._give_back()
            self._channel.send(FrameKind.LEAVING, None)
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        idle = not self._running and not self._queue and not self._outcomes
        if self._retired and idle and not self._finished.done():
            self._finished.set_result(None)

    def _obey(self, kind: int, body: memoryview[int]) -> None:
        if kind == FrameKind.WORKS:
            self._queue.extend(decode_works(body))
            if self._leaving:
                self._give_back()
            self._start_queued()
        elif kind == FrameKind.INTERRUPT:
            self._interrupt(decode_number(body))
        elif kind == FrameKind.CANCEL:
            self._cancel(decode_number(body))
        elif kind == FrameKind.RECALL:
            self._give_back()
        elif kind == FrameKind.RETIRE:
            self._retired = True
            self._finish_if_done()

    def _start_queued(self) -> None:
        while self._free and self._queue:
            work, slot = self._queue.popleft(), self._free.pop()
            self._page.begin(slot, work.number, monotonic())
            job = self._runner.load(work)
            if not job.is_coroutine:
                self._in_threads.expect(work.number)
            self._running[work.number] = _Running(job, self._loop.create_task(self._run(work.number, job, slot)))

    async def _run(self, number: int, job: Job, slot: int) -> None:
        try:
            if job.is_coroutine:
                outcome = await job.arun()
            else:
                outcome = await self._loop.run_in_executor(self._threads, self._in_threads.run, number, job)
        except asyncio.CancelledError as error:  # before it had a thread, or the task cancelled itself
            self._in_threads.finish(number)
            outcome = Outcome(number, Kind.CANCELLED, text=repr(error))
        del self._running[number]
        self._page.end(slot)
        self._free.append(slot)
        if not self._outcomes:
            self._loop.call_soon(self._flush)
        self._outcomes.append(outcome)
        self._start_queued()

    def _interrupt(self, number: int) -> None:
        running = self._running.get(number)
        if running is None:
            return
        if running.job.is_coroutine:
            running.job.interrupted = True
            self._loop.call_soon(running.task.cancel)  # after its first step, which is inside `Job.arun`
        else:
            self._in_threads.stop(number, "interrupted")

    def _cancel(self, number: int) -> None:
        running = self._running.get(number)
        if running is None:
            self._cancel_queued(number)
        elif running.job.is_coroutine:
            running.job.cancelled = True
            self._loop.call_soon(running.task.cancel)
        elif not self._in_threads.stop(number, "cancelled"):
            running.task.cancel()  # it still waits for a thread

    def _cancel_queued(self, number: int) -> None:
        for work in self._queue:
            if work.number == number:
                self._queue.remove(work)
                self._channel.send(FrameKind.OUTCOMES, [Outcome(number, Kind.CANCELLED)])
                return

    def _give_back(self) -> None:
        numbers = [work.number for work in self._queue]
        self._queue.clear()
        self._channel.send(FrameKind.RETURNED, numbers)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
