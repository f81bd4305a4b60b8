"""Shutdown, in stages (behaviours.md, section O).

Warm (TERM or INT once): nothing new is taken, what has not started goes back at once, what runs is finished. After the
grace period (``worker_shutdown_grace``), or cold (a second TERM or INT, or QUIT): what runs is ended and goes back
without spending an attempt. ``worker_soft_shutdown_timeout`` gives it that many seconds more before a cold end.

While it drains, leases are renewed and limits are kept; exit codes are 0 for TERM, 1 for INT and for a cold end.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import signal
import sys
from time import monotonic
from typing import TYPE_CHECKING, Final

from celeriac import signals
from celeriac.stores.store import Disposition, Settlement
from celeriac.worker.request import Request

if TYPE_CHECKING:
    from celeriac.worker.worker import Worker

__all__ = ["Shutdown"]

logger = logging.getLogger("celeriac.worker")

LAST_WAIT: Final = 5.0
"""Seconds that the last settlements may take at the end; what is not confirmed by then is redelivered by its lease."""

SAME_SIGNAL: Final = 0.1
"""Seconds within which a signal that comes again is the same one: timeout(1) sends it to the process and its group."""

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Shutdown:
    """Ends one worker.

    Attributes:
        draining: nothing new is taken.
        handing_back: what still runs is being ended and handed back.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.draining = False
        self.handing_back = False
        self._done = asyncio.Event()
        self._grace_ends: float | None = None
        self._steps: asyncio.Task[None] | None = None
        self._cold_now = asyncio.Event()
        self._last_signal = (0, 0.0)

    # -- signals -----------------------------------------------------------------------------------------------------

    def install(self) -> None:
        """Listen to signals; only the main thread can."""
        loop = asyncio.get_running_loop()
        try:
            for number in _STOPPING:
                loop.add_signal_handler(number, self.on_signal, number)
            loop.add_signal_handler(signal.SIGUSR1, self.dump)
        except (ValueError, RuntimeError, NotImplementedError):
            logger.debug("signals are not watched: this is not the main thread")

    def uninstall(self) -> None:
        """Stop to listen to signals."""
        loop = asyncio.get_running_loop()
        for number in (*_STOPPING, signal.SIGUSR1):
            try:
                loop.remove_signal_handler(number)
            except (ValueError, RuntimeError, NotImplementedError):
                return

    def on_signal(self, number: int) -> None:
        """A signal to stop: the first is warm, a second one cold; QUIT is cold at once."""
        worker = self._worker
        now = monotonic()
        last, self._last_signal = self._last_signal, (number, now)
        if last[0] == number and now - last[1] < SAME_SIGNAL:
            return
        name = signal.Signals(number).name
        if number == signal.SIGQUIT or self.draining:
            worker.exit_code = 1
            logger.warning("%s: cold shutdown, unfinished work is handed back", name)
            self.cold()
        else:
            worker.exit_code = 1 if number == signal.SIGINT else 0
            logger.warning("%s: warm shutdown, waiting for what runs (once more for a cold one)", name)
            signals.worker_shutting_down.send(
                sender=worker.options.hostname, sig=name, how="Warm", exitcode=worker.exit_code
            )
            self.warm()

    def dump(self) -> None:
        """Write the stacks of all threads and children to standard error."""
        faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr)
        for slot in self._worker.dispatch.slots.values():
            slot.child.dump()

    # -- stages ------------------------------------------------------------------------------------------------------

    def warm(self) -> None:
        """Finish what runs, then end."""
        if self._steps is None:
            self.draining = True
            self._steps = asyncio.get_running_loop().create_task(self._run())

    def cold(self) -> None:
        """Hand back what runs, then end."""
        self._cold_now.set()
        self.warm()

    async def finished(self) -> None:
        """Wait for the end of the last stage."""
        await self._done.wait()

    async def _run(self) -> None:
        worker = self._worker
        try:
            worker.stop_intake("shutdown")
            grace = worker.settings.worker_shutdown_grace
            self._grace_ends = None if grace is None else asyncio.get_running_loop().time() + grace
            waiting = [*worker.dispatch.ready, *worker.early.clear()]
            worker.dispatch.ready.clear()
            worker.dispatch.put(self.give_back_unstarted(waiting))
            worker.dispatch.recall_all()
            await self._finish_running()
            while await self._last_settled() and not (self.handing_back or worker.dispatch.idle()):
                # What was being acknowledged early when the signal came has to run: nobody else will get it.
                await self._finish_running()
        finally:
            self._done.set()

    async def _last_settled(self) -> bool:
        """Wait until all is settled; False when that takes too long."""
        try:
            async with asyncio.timeout(LAST_WAIT):
                await self._worker.settler.settled()
        except TimeoutError:
            logger.error(
                "The last settlements were not confirmed; those tasks are redelivered when their leases end. "
                "What came of those that were acknowledged early is lost"
            )
            return False
        return True

    async def _finish_running(self) -> None:
        """Wait for what runs as long as it is given, then end it and hand it back."""
        if not self.handing_back and not await self._drained():
            await self._hand_back()

    async def _drained(self) -> bool:
        """Wait for what runs, until the grace is over or a cold end is asked for; True when nothing is left."""
        settings = self._worker.settings
        try:
            async with asyncio.timeout_at(self._grace_ends):
                if await self._drained_or_cold():
                    return True
        except TimeoutError:
            logger.warning("The grace of %s s is over", settings.worker_shutdown_grace)
            return False
        if not settings.worker_soft_shutdown_timeout:
            return False
        logger.warning("Soft shutdown: %s s for what still runs", settings.worker_soft_shutdown_timeout)
        self._cold_now.clear()
        try:
            async with asyncio.timeout(settings.worker_soft_shutdown_timeout):
                return await self._drained_or_cold()
        except TimeoutError:
            return False

    async def _drained_or_cold(self) -> bool:
        while not self._worker.dispatch.idle():
            if self._cold_now.is_set():
                return False
            cold = asyncio.create_task(self._cold_now.wait())
            change = asyncio.create_task(self._worker.changed())
            try:
                await asyncio.wait([cold, change], return_when=asyncio.FIRST_COMPLETED)
            finally:
                cold.cancel()
                change.cancel()
        return True

    async def _hand_back(self) -> None:
        """End what runs; it goes back without spending an attempt once its child is known dead."""
        self.handing_back = True
        worker = self._worker
        self._end_waiting()
        for slot in list(worker.dispatch.slots.values()):
            slot.open = False
            if slot.assigned:
                slot.child.kill()
        try:
            async with asyncio.timeout(LAST_WAIT):
                while any(slot.assigned for slot in worker.dispatch.slots.values()):
                    await worker.changed()
        except TimeoutError:
            logger.error("Some children did not die; their tasks are redelivered when their leases end")
        self._end_waiting()

    def _end_waiting(self) -> None:
        """What waits for a child gets none any more: it goes back, or ends without its failure hooks."""
        worker = self._worker
        waiting = list(worker.dispatch.ready)
        worker.dispatch.ready.clear()
        for request in waiting:
            if request.judged:
                worker.settler.add(worker.verdicts.of_failure(request, request.reason))
            else:
                self.give_back([request])

    # -- handing back ------------------------------------------------------------------------------------------------

    def give_back_unstarted(self, requests: list[Request]) -> list[Request]:
        """Give back what has not started; returns what must run: it was acknowledged, or has to fail."""
        bound = [request for request in requests if request.acknowledged or request.judged]
        self.give_back([request for request in requests if request not in bound])
        return bound

    def give_back(self, requests: list[Request]) -> None:
        """Return requests that did not run to their end; an attempt is not spent."""
        worker = self._worker
        for request in requests:
            if request.acknowledged:
                # It cannot go back any more, so its result says what happened.
                worker.settler.add(worker.verdicts.of_failure(request, "the worker was shut down before it ended"))
            else:
                worker.settler.add(Settlement(request.delivery.claim, Disposition.GIVE_BACK))
