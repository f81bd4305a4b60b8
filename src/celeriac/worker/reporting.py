"""What the worker tells of its transitions: telemetry events, built only when somebody listens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from celeriac.pools.pool import Kind, Outcome
from celeriac.stores.store import Delivery
from celeriac.telemetry import (
    LeaseLost,
    TaskDeadLettered,
    TaskEvent,
    TaskFailed,
    TaskHeld,
    TaskReceived,
    TaskRedelivered,
    TaskRejected,
    TaskRetried,
    TaskRevoked,
    TaskSucceeded,
    Telemetry,
)

if TYPE_CHECKING:
    from celeriac.message import Head
    from celeriac.worker.request import Request

__all__ = ["Reporter"]

_KINDS: Final[dict[Kind, type[TaskEvent]]] = {
    Kind.SUCCESS: TaskSucceeded,
    Kind.FAILURE: TaskFailed,
    Kind.RETRY: TaskRetried,
    Kind.REJECT: TaskRejected,
    Kind.REQUEUE: TaskRejected,
}


class Reporter:
    """Emits the task events of one worker."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    @property
    def active(self) -> bool:
        """Somebody listens."""
        return self._telemetry.active

    def received(self, request: Request) -> None:
        """It was admitted."""
        if not self._telemetry.wants(TaskReceived):
            return
        head, delivery = request.head, request.delivery
        self._telemetry.emit(
            TaskReceived(
                time.time(),
                task_id=head.id,
                name=head.task,
                queue=delivery.queue,
                payload=delivery.payload,
                retries=head.retries or 0,
                losses=delivery.losses,
                eta=head.eta,
                expires=head.expires,
                root_id=head.root_id,
                parent_id=head.parent_id,
            )
        )

    def ended(self, request: Request, outcome: Outcome) -> None:
        """A child ran it to its end."""
        kind = _KINDS.get(outcome.kind)
        if kind is None or not self._telemetry.wants(kind):
            return
        head = request.head
        about: dict[str, Any] = {"task_id": head.id, "name": head.task, "queue": request.delivery.queue}
        if kind is TaskSucceeded:
            about |= {"result": outcome.text, "runtime": outcome.runtime}
        elif kind is TaskRejected:
            about |= {"reason": outcome.text, "requeue": outcome.kind is Kind.REQUEUE}
        else:
            about |= {"exception": outcome.text, "traceback": outcome.traceback, "runtime": outcome.runtime}
        if kind is TaskFailed:
            about["expected"] = outcome.expected
        self._telemetry.emit(kind(time.time(), **about))

    def held(self, head: Head, queue: str, reason: str, due: float) -> None:
        """The store keeps it until it is due."""
        if self._telemetry.wants(TaskHeld):
            self._telemetry.emit(
                TaskHeld(time.time(), task_id=head.id, name=head.task, queue=queue, reason=reason, due=due)
            )

    def revoked(self, head: Head, queue: str, expired: bool = False, terminated: bool = False) -> None:
        """It does not run (any more)."""
        self._telemetry.emit(
            TaskRevoked(
                time.time(), task_id=head.id, name=head.task, queue=queue, expired=expired, terminated=terminated
            )
        )

    def redelivered(self, request: Request, losses: int, reason: str) -> None:
        """Who ran it was lost."""
        head, queue = request.head, request.delivery.queue
        self._telemetry.emit(
            TaskRedelivered(time.time(), task_id=head.id, name=head.task, queue=queue, losses=losses, reason=reason)
        )

    def dead(self, delivery: Delivery, head: Head | None, reason: str) -> None:
        """It went to the dead letters."""
        self._telemetry.emit(
            TaskDeadLettered(
                time.time(),
                task_id=head.id if head is not None else "",
                name=head.task if head is not None else "",
                queue=delivery.queue,
                reason=reason,
                losses=delivery.losses,
            )
        )

    def lease_lost(self, request: Request) -> None:
        """Another worker may have it."""
        head, queue = request.head, request.delivery.queue
        self._telemetry.emit(LeaseLost(time.time(), task_id=head.id, name=head.task, queue=queue))
