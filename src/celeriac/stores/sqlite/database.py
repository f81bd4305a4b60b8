"""The one database thread of an asynchronous store, and a second one that keeps its log short.

Everything that waits when a transaction ends goes into the next one: batches form by themselves, and no timer makes a
lone operation late.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from celeriac.exceptions import OperationalError
from celeriac.stores.bounds import deadline_within
from celeriac.stores.sqlite.errors import Locked
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.transaction import Operation

__all__ = ["Database"]

logger = logging.getLogger("celeriac.stores.sqlite")

T = TypeVar("T")

BATCH_LIMIT: Final = 64
"""Operations in one transaction at most: others in line for the lock wait that long."""


class _Job:
    """An operation on its way through the thread.

    Attributes:
        operation: what to do.
        future: who waits for it; cancelled when nobody does any more.
        only_reads: it needs no write lock.
        can_skip: it need not happen when nobody waits for it any more.
        abandoned: gets the outcome that nobody waits for any more.
        deadline: until when it waits for the file's lock, by the monotonic clock.
        outcome, error: what came of it.
    """

    __slots__ = ("abandoned", "can_skip", "deadline", "error", "future", "only_reads", "operation", "outcome")

    def __init__(
        self,
        operation: Operation[Any],
        future: asyncio.Future[Any],
        only_reads: bool,
        can_skip: bool,
        abandoned: Callable[[Any], None] | None,
        deadline: float,
    ) -> None:
        self.operation = operation
        self.deadline = deadline
        self.future = future
        self.only_reads = only_reads
        self.can_skip = can_skip
        self.abandoned = abandoned
        self.outcome: Any = None
        self.error: BaseException | None = None


class Database:
    """Runs operations on the store's file in a thread of its own, for one event loop.

    Args:
        file: the file, used by this thread only from :meth:`open` on.
        patience: seconds that an operation waits for the file's lock, less when the bounds of its caller say so.
    """

    def __init__(self, file: StoreFile, patience: float) -> None:
        self._file = file
        self._patience = patience
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._keeper: threading.Thread | None = None
        self._checkpoints: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._unfinished = 0
        self._idle = asyncio.Event()

    def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="celeriac-sqlite", daemon=True)
        self._keeper = threading.Thread(target=self._keep, name="celeriac-sqlite-checkpoint", daemon=True)
        self._thread.start()
        self._keeper.start()

    async def stop(self) -> None:
        """Finish what was submitted, disconnect, and end the thread. Idempotent."""
        thread = self._thread
        if thread is None:
            return
        while self._unfinished:
            self._idle.clear()
            await self._idle.wait()
        self._thread = None
        self._jobs.put(None)
        await asyncio.to_thread(self._join, thread)

    def _join(self, thread: threading.Thread) -> None:
        thread.join()
        if self._keeper is not None:
            self._keeper.join()

    def submit(
        self,
        operation: Operation[T],
        *,
        only_reads: bool = False,
        can_skip: bool = False,
        abandoned: Callable[[T], None] | None = None,
        quick: bool = False,
    ) -> asyncio.Future[T]:
        """Have an operation run; the future brings its outcome.

        Args:
            operation: may be run again from the start, in another transaction.
            only_reads: it writes nothing.
            can_skip: when the future is cancelled before its turn, it does not happen.
            abandoned: called with the outcome when the future was cancelled too late for that.
            quick: it is small, so it is done here and now when the thread has nothing to do and the file is not locked:
                handing it over and back would take longer than doing it (0.1 ms each way beside 0.1 ms).
        """
        if self._thread is None or self._loop is None:
            raise OperationalError("this store is closed, or was never opened: call open() first")
        if not self._thread.is_alive():
            raise OperationalError("this store was opened before a fork: open another one in the child process")
        if quick and not self._unfinished and (done := self._do_now(operation)) is not None:
            return done
        deadline = deadline_within(self._patience)
        job = _Job(operation, self._loop.create_future(), only_reads, can_skip, abandoned, deadline)
        self._unfinished += 1
        self._jobs.put(job)
        return job.future

    def _do_now(self, operation: Operation[T]) -> asyncio.Future[T] | None:
        assert self._loop is not None
        future: asyncio.Future[T] = self._loop.create_future()
        try:
            done = self._file.try_run(operation)
        except Exception as error:  # it belongs to the caller
            future.set_exception(error)
            return future
        if done is None:
            return None
        outcome, owed = done
        if owed is not None:
            self.post(owed)
        if self._file.take_checkpoint_due():
            self._checkpoints.put(True)
        future.set_result(outcome)
        return future

    def post(self, operation: Operation[object]) -> None:
        """Have an operation run that nobody waits for; nothing happens when the store is closed."""
        if self._thread is not None:
            self.submit(operation).add_done_callback(_log_failure)

    async def claim(
        self, operation: Operation[T], abandoned: Callable[[T], None], can_skip: bool = False, quick: bool = False
    ) -> T:
        """Run an operation whose outcome must reach the caller, or else ``abandoned``; see :meth:`submit`."""
        future = self.submit(operation, can_skip=can_skip, abandoned=abandoned, quick=quick)
        try:
            return await future
        except asyncio.CancelledError:
            # Cancelled after the future was done, before this coroutine went on: nobody has seen the outcome.
            if not future.cancelled() and future.exception() is None:
                abandoned(future.result())
            raise

    def _work(self) -> None:
        stopping = False
        while not stopping:
            batch, stopping = self._next_batch()
            # A cancelled future is seen here or not: either is right, the loop decides in _deliver.
            wanted = [job for job in batch if not (job.can_skip and job.future.cancelled())]
            self._run([job for job in wanted if job.only_reads], self._read)
            self._run([job for job in wanted if not job.only_reads], self._write)
            if batch:
                stopping = not self._hand_over(batch) or stopping
                if self._file.take_checkpoint_due():
                    self._checkpoints.put(True)
        self._checkpoints.put(False)
        self._file.close()

    def _hand_over(self, batch: Sequence[_Job]) -> bool:
        """Give the outcomes to the loop; False when it was closed, with the store still open."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch)
        except RuntimeError:
            return False
        return True

    def _keep(self) -> None:
        """Copy the log back whenever enough was written, on a connection of its own: settling goes on meanwhile."""
        file = self._file.clone()
        while self._checkpoints.get():
            file.checkpoint(self._patience)
        file.close()

    def _next_batch(self) -> tuple[list[_Job], bool]:
        job = self._jobs.get()
        batch: list[_Job] = []
        while job is not None:
            batch.append(job)
            if len(batch) == BATCH_LIMIT:
                return batch, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _run(self, jobs: Sequence[_Job], run: Callable[[Sequence[_Job]], None]) -> None:
        if not jobs:
            return
        try:
            run(jobs)
        except Exception as error:
            # Whatever it is: it belongs to those who wait for the jobs.
            if len(jobs) > 1 and not isinstance(error, Locked):
                # One of them spoils the transaction for all: each gets one of its own.
                for job in jobs:
                    self._run([job], run)
                return
            for job in jobs:
                job.error = error

    def _read(self, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            job.outcome = self._file.read(job.operation, max(0.0, job.deadline - time.monotonic()))

    def _write(self, jobs: Sequence[_Job]) -> None:
        deadline = max(job.deadline for job in jobs)
        outcomes = self._file.run_all([job.operation for job in jobs], max(0.0, deadline - time.monotonic()))
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.outcome = outcome

    def _deliver(self, batch: Sequence[_Job]) -> None:
        for job in batch:
            self._unfinished -= 1
            if job.future.cancelled():
                if job.abandoned is not None and job.outcome is not None:
                    job.abandoned(job.outcome)
            elif job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.outcome)
        if not self._unfinished:
            self._idle.set()


def _log_failure(done: asyncio.Future[object]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        logger.warning("an operation that nobody waits for has failed: %s", error)
