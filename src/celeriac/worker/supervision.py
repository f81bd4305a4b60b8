"""Supervision: what the pool tells, and what must be ended: limits, revocations, lost leases, deaths.

The rule behind all of it: a request leaves this module exactly once, as one settlement, or back to dispatch; and it
goes to another child only after the one that had it is known dead or has given it back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from celeriac import signals
from celeriac.envelope import carries_workflow
from celeriac.pools.pool import Child, ChildExit, Kind, Outcome, Running
from celeriac.stores.store import Disposition, Settlement
from celeriac.telemetry import ChildExited, ChildStarted
from celeriac.worker.dispatch import Slot
from celeriac.worker.request import Request
from celeriac.worker.verdicts import EXHAUSTED, LOST, REVOKED, TIME_LIMIT

if TYPE_CHECKING:
    from celeriac.stores.store import Revocation
    from celeriac.worker.worker import Worker

__all__ = ["Supervision"]

logger = logging.getLogger("celeriac.worker")

CANCEL_GRACE: Final = 1.0
"""Seconds that a cancelled request in a shared child has before it is settled without it (DECISIONS: children)."""


class Supervision:
    """Watches the pool of one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    # -- told by the pool --------------------------------------------------------------------------------------------

    def ready(self, child: Child) -> None:
        """A child is up."""
        worker = self._worker
        worker.dispatch.add(child)
        self._emit(ChildStarted(time.time(), hostname=worker.options.hostname, index=child.index, pid=child.pid))
        worker.dispatch.run()
        worker.early.run()
        worker.wake()

    def outcomes(self, child: Child, outcomes: list[Outcome]) -> None:
        """A child ran requests to their ends."""
        worker = self._worker
        dispatch = worker.dispatch
        slot = dispatch.slot(child)
        if slot is None:
            return
        reporting = worker.reporter.active
        for outcome in outcomes:
            request = dispatch.finished(slot, outcome.number, outcome.runtime)
            if request is None:
                continue
            request.holder = None
            if request.abandoned:
                continue
            if outcome.kind is Kind.CANCELLED:
                if not request.verdict and worker.pool.enforces_limits:
                    request.verdict, request.reason = TIME_LIMIT, outcome.text
                self._cancelled(request)
                continue
            settlement = worker.verdicts.of_outcome(request, outcome)
            worker.settler.add(settlement)
            if reporting and request.verdict != REVOKED:
                worker.reporter.ended(request, outcome)
            if settlement.disposition is Disposition.DEAD_LETTER:
                self._dead(request, settlement)
        self._retire_stuck(slot)
        dispatch.run()
        worker.early.run()
        dispatch.balance()
        worker.wake()

    def returned(self, child: Child, numbers: list[int]) -> None:
        """A child gives back what it has not started."""
        worker = self._worker
        slot = worker.dispatch.slot(child)
        if slot is None:
            return
        back = worker.dispatch.returned(slot, numbers)
        if worker.shutdown.draining:
            back = worker.shutdown.give_back_unstarted(back)
        worker.dispatch.put_first(back)
        worker.dispatch.run()
        worker.wake()

    def exited(self, child: Child, exit: ChildExit, running: list[Running]) -> None:  # noqa: A002  # PoolWatcher's
        """A child is dead: what had started is judged, the rest goes to another child at once."""
        worker = self._worker
        slot = worker.dispatch.remove(child)
        self._emit(
            ChildExited(
                time.time(),
                hostname=worker.options.hostname,
                index=child.index,
                pid=exit.pid,
                text=exit.text,
                retired=exit.retired,
            )
        )
        if not exit.retired:
            logger.error("Child %d (pid %d) died: %s", child.index, exit.pid, exit.text)
        if slot is None or not slot.assigned:
            return
        started = {one.number for one in running}
        alone = len(started) <= 1
        back: list[Request] = []
        for number, request in slot.assigned.items():
            request.holder = None
            if request.abandoned:
                continue
            if number in started or (request.verdict and not request.judged):
                self._died(request, exit.text, alone or request.alone, back)
            else:
                back.append(request)
        if worker.shutdown.draining:
            back = worker.shutdown.give_back_unstarted(back)
        worker.dispatch.put_first(back)
        worker.dispatch.run()
        worker.wake()

    def broken(self, text: str) -> None:
        """The pool cannot start children; it tries again by itself."""
        logger.error("No child can be started: %s", text)

    # -- deaths ------------------------------------------------------------------------------------------------------

    def _died(self, request: Request, text: str, alone: bool, back: list[Request]) -> None:
        """The child died while the request ran in it; what is to run again somewhere is added to ``back``."""
        worker = self._worker
        if request.judged:  # its failure hooks killed a child as well: it ends without them
            worker.settler.add(worker.verdicts.of_failure(request, request.reason))
        elif worker.shutdown.handing_back:
            worker.shutdown.give_back([request])
        elif not request.verdict and not alone and not request.acknowledged:
            # One of several suspects: run it with nothing beside it. (What was acknowledged early runs once at most.)
            request.alone = True
            back.append(request)
        else:
            if not request.verdict:
                request.verdict, request.reason = LOST, f"the process that ran {request.label} died: {text}"
            self._lost(request, back)

    def _lost(self, request: Request, back: list[Request]) -> None:
        """It ended without an outcome: it is redelivered, or fails in a healthy child, where its failure hooks run."""
        worker = self._worker
        request.alone = False
        if worker.verdicts.runs_again(request):
            if worker.verdicts.is_exhausted(request) and carries_workflow(request.delivery.payload):
                request.verdict, request.reason = EXHAUSTED, worker.verdicts.exhaustion(request, request.reason)
                request.judged = True
                back.append(request)
                return
            settlement = worker.verdicts.of_loss(request, request.reason)
            worker.settler.add(settlement)
            if settlement.disposition is Disposition.DEAD_LETTER:
                self._dead(request, settlement)
            else:
                logger.warning("%s is redelivered: %s", request.label, request.reason)
                worker.reporter.redelivered(request, request.delivery.losses + 1, request.reason)
        else:
            request.judged = True
            back.append(request)

    def _dead(self, request: Request, settlement: Settlement) -> None:
        logger.error("%s goes to the dead letters: %s", request.label, settlement.reason)
        self._worker.reporter.dead(request.delivery, request.head, settlement.reason)

    # -- limits ------------------------------------------------------------------------------------------------------

    def soft_limit(self, request: Request) -> None:
        """It ran to its soft limit: SoftTimeLimitExceeded is raised inside."""
        slot = request.holder
        if slot is not None:
            logger.warning("Soft time limit (%ss) exceeded for %s", request.soft, request.label)
            slot.child.interrupt(request.number)

    def hard_limit(self, request: Request) -> None:
        """It ran to its hard limit: its child is killed, or in a shared child only the request is cancelled."""
        if request.holder is not None:
            logger.error("Hard time limit (%ss) exceeded for %s", request.hard, request.label)
            request.verdict, request.reason = TIME_LIMIT, f"hard time limit ({request.hard} s)"
            self._end(request)

    def _end(self, request: Request) -> None:
        slot = request.holder
        if slot is None:
            return
        if slot.capacity == 1:
            slot.open = False
            slot.child.kill()
            return
        slot.child.cancel(request.number)
        asyncio.get_running_loop().call_later(CANCEL_GRACE, self._give_up, slot, request)

    def _give_up(self, slot: Slot, request: Request) -> None:
        """A cancelled request did not end: settle it, and replace its child when the others are done."""
        if request.number not in slot.assigned or request.abandoned:
            return
        self._cancelled(request)
        request.abandoned = True
        slot.open = False
        self._retire_stuck(slot)

    def _retire_stuck(self, slot: Slot) -> None:
        """Replace a child in which nothing is left but what was given up."""
        if not slot.open and slot.capacity > 1 and all(request.abandoned for request in slot.assigned.values()):
            slot.child.kill()

    def _cancelled(self, request: Request) -> None:
        """A shared child ended it because main asked for that, or main gave it up."""
        worker = self._worker
        if request.verdict == TIME_LIMIT:
            back: list[Request] = []
            self._lost(request.copy(), back)
            worker.dispatch.put_first(back)
            worker.dispatch.run()
        elif request.verdict == REVOKED:
            self._revoked(request)
        elif worker.shutdown.handing_back:
            worker.shutdown.give_back([request])

    # -- revocations -------------------------------------------------------------------------------------------------

    def revoke(self, revocation: Revocation) -> None:
        """A task was revoked after it had been received, maybe."""
        worker = self._worker
        for request in list(worker.dispatch.ready):
            if request.head.id == revocation.task_id and not request.verdict:
                worker.dispatch.ready.remove(request)
                self._revoked(request)
        for request in worker.early.requests():
            if request.head.id == revocation.task_id:
                worker.early.forget(request)
                self._revoked(request)
        for slot in list(worker.dispatch.slots.values()):
            for request in list(slot.assigned.values()):
                if request.head.id == revocation.task_id and not request.verdict:
                    self._revoke_in_child(slot, request, revocation)

    def _revoke_in_child(self, slot: Slot, request: Request, revocation: Revocation) -> None:
        running = any(one.number == request.number for one in slot.child.running())
        if running and not revocation.terminate:
            return
        request.verdict, request.reason = REVOKED, "terminated" if running else "revoked"
        if not running:
            self._revoked(request)
            request.abandoned = True
            if not slot.recalling:
                slot.recalling = True
                slot.child.recall()
        elif slot.capacity == 1:
            self._revoked(request)
            request.abandoned = True
            slot.open = False
            slot.child.kill()
        else:
            self._end(request)

    def _revoked(self, request: Request) -> None:
        worker = self._worker
        reason = request.reason or "revoked"
        logger.warning("Discarding revoked task: %s", request.label)
        if carries_workflow(request.delivery.payload):
            judged = request.copy()
            judged.verdict, judged.reason, judged.judged = REVOKED, reason, True
            worker.dispatch.put_first([judged])
            worker.dispatch.run()
        else:
            worker.settler.add(worker.verdicts.revoked(request, reason))
        worker.reporter.revoked(request.head, request.delivery.queue, terminated=reason == "terminated")
        if signals.task_revoked:
            task = worker.app.tasks.get(request.head.task)
            signals.task_revoked.send(
                sender=task, request=request, terminated=reason == "terminated", signum=None, expired=False
            )

    # -- leases ------------------------------------------------------------------------------------------------------

    def lease_lost(self, request: Request) -> None:
        """Another worker may have it: end it here, and let nothing of it be stored."""
        worker = self._worker
        logger.warning("The lease on %s is lost: it is ended here, another worker may run it", request.label)
        worker.reporter.lease_lost(request)
        slot = request.holder
        request.abandoned = True
        if slot is None:
            worker.dispatch.forget(request)
            worker.early.forget(request)
        elif slot.capacity == 1 and slot.open:
            slot.open = False
            slot.child.kill()
        elif slot.capacity > 1:
            slot.child.cancel(request.number)

    def _emit(self, event: ChildStarted | ChildExited) -> None:
        self._worker.app.telemetry.emit(event)
