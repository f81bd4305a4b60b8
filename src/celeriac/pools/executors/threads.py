"""The executor of `threads`: one thread a slot; coroutines share one event loop."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import traceback
from collections import deque
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final

from celeriac.pools.executors import Seat
from celeriac.pools.executors.interruption import Flag, StartedRequests
from celeriac.pools.frames import FrameKind, decode_number, decode_works
from celeriac.pools.pool import Job, Kind, Outcome, Work
from celeriac.pools.system import exit_process, resident_bytes

__all__ = ["CoroutineThread", "ThreadsExecutor"]

_STOP: Final = Work(0, b"", "")
"""Ends a thread."""


class ThreadsExecutor:
    """Duties: the main thread reads the socket and obeys; `capacity` threads take works, run them and send outcomes.

    Batches form by themselves: a thread whose outcome is ready while another one sends leaves it to that one.
    """

    def __init__(self, seat: Seat) -> None:
        self._line = seat.line
        self._page = seat.page
        self._runner = seat.runner
        self._capacity = seat.capacity
        self._max_memory = seat.max_memory
        self._queue: SimpleQueue[Work] = SimpleQueue()
        self._outcomes: deque[Outcome] = deque()
        self._sending = threading.Lock()
        self._counting = threading.Lock()
        self._unfinished = 0
        self._retired = False
        self._leaving = False
        self._requests = StartedRequests()
        self._coroutines = CoroutineThread(self._requests)

    def run(self) -> None:
        """Run works until main says RETIRE and none is left."""
        for slot in range(self._capacity):
            threading.Thread(target=self._work, args=(slot,), name=f"celeriac-{slot}", daemon=True).start()
        while not self._finished():
            frames = self._line.reader.read()
            if frames is None:
                if self._finished():
                    break
                os._exit(0)
            for kind, body in frames:
                self._obey(kind, body)
        for _ in range(self._capacity):
            self._queue.put(_STOP)

    def flush(self) -> None:
        """Send the outcomes that are not sent yet. Whoever sends looks again afterwards for what came meanwhile."""
        while self._outcomes and self._sending.acquire(blocking=False):
            try:
                batch = []
                while self._outcomes:
                    batch.append(self._outcomes.popleft())
                if batch:
                    self._line.send(FrameKind.OUTCOMES, batch)
            finally:
                self._sending.release()
            with self._counting:
                self._unfinished -= len(batch)
            if self._finished():
                self._wake_reader()

    def _finished(self) -> bool:
        return self._retired and not self._unfinished

    def _wake_reader(self) -> None:
        """The main thread waits in `recv`: end its stream. Main sends nothing more after RETIRE."""
        self._line.sock.shutdown(socket.SHUT_RD)

    def _send(self, kind: int, body: Any) -> None:
        with self._sending:
            self._line.send(kind, body)
        self.flush()  # what others left to this thread

    def _obey(self, kind: int, body: memoryview[int]) -> None:
        if kind == FrameKind.WORKS:
            works = decode_works(body)
            with self._counting:
                self._unfinished += len(works)
            for work in works:
                self._queue.put(work)
            if self._leaving:
                self._give_back()
        elif kind == FrameKind.INTERRUPT:
            self._requests.stop(decode_number(body), "interrupted")
        elif kind == FrameKind.CANCEL:
            self._cancel(decode_number(body))
        elif kind == FrameKind.RECALL:
            self._give_back()
        elif kind == FrameKind.RETIRE:
            self._retired = True

    def _take_queued(self) -> list[Work]:
        queued = []
        try:
            while True:
                queued.append(self._queue.get_nowait())
        except Empty:
            return queued

    def _give_back(self) -> None:
        numbers = [work.number for work in self._take_queued()]
        with self._counting:
            self._unfinished -= len(numbers)
        self._send(FrameKind.RETURNED, numbers)

    def _cancel(self, number: int) -> None:
        if self._requests.stop(number, "cancelled"):
            return
        for work in self._take_queued():
            if work.number == number:
                self._outcomes.append(Outcome(number, Kind.CANCELLED))
            else:
                self._queue.put(work)
        self.flush()

    def _work(self, slot: int) -> None:
        try:
            while (work := self._queue.get()) is not _STOP:
                self._run(slot, work)
        except (SystemExit, KeyboardInterrupt) as error:
            # The same as in a child that runs one request at a time: the process ends. Main knows what ran in it.
            self.flush()
            code = error.code if isinstance(error, SystemExit) else 1
            exit_process(code & 0xFF if isinstance(code, int) else int(code is not None))
        except BaseException:  # a defect: a slot that is lost in silence would hang its tasks
            traceback.print_exc()
            os._exit(1)

    def _run(self, slot: int, work: Work) -> None:
        self._requests.expect(work.number)
        with self._counting:
            self._page.begin(slot, work.number, monotonic())
        job = self._runner.load(work)
        run = self._coroutines.run if job.is_coroutine else self._requests.run
        outcome = run(work.number, job)
        self._page.end(slot)
        self._outcomes.append(outcome)
        self.flush()
        if self._max_memory is not None and not self._leaving and resident_bytes() > self._max_memory:
            self._leaving = True
            self._give_back()
            self._send(FrameKind.LEAVING, None)


class CoroutineThread:
    """An event loop in a thread of its own, started by the first coroutine; a slot's thread waits for each."""

    def __init__(self, requests: StartedRequests) -> None:
        self._requests = requests
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def run(self, number: int, job: Job) -> Outcome:
        """Run the job on the loop and wait for its outcome, in the slot's thread."""
        done: SimpleQueue[Outcome | BaseException] = SimpleQueue()
        loop = self._start()

        def reach(flag: Flag) -> None:
            loop.call_soon_threadsafe(self._stop, number)

        loop.call_soon_threadsafe(self._begin, number, job, done)
        self._requests.attach(number, job, reach)
        outcome = done.get()
        self._requests.finish(number)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="celeriac-coroutines", daemon=True).start()
            return self._loop

    def _begin(self, number: int, job: Job, done: SimpleQueue[Outcome | BaseException]) -> None:
        self._tasks[number] = asyncio.get_running_loop().create_task(self._run(number, job, done))

    async def _run(self, number: int, job: Job, done: SimpleQueue[Outcome | BaseException]) -> None:
        try:
            done.put(await job.arun())
        except asyncio.CancelledError as error:  # the task cancelled itself, and its job let that out
            done.put(Outcome(number, Kind.CANCELLED, text=repr(error)))
        except BaseException as error:  # the slot's thread raises it
            done.put(error)
        finally:
            del self._tasks[number]

    def _stop(self, number: int) -> None:
        task = self._tasks.get(number)
        if task is not None:
            task.get_loop().call_soon(task.cancel)  # after its first step, which is inside `Job.arun`
