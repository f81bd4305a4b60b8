"""Verdicts: how an outcome, a death or a limit settles its delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from celeriac import envelope
from celeriac.pools.pool import Kind, Outcome
from celeriac.stores.store import Disposition, Outgoing, ResultRecord, Settlement
from celeriac.worker.request import Request

if TYPE_CHECKING:
    from celeriac.settings.snapshot import Settings
    from celeriac.worker.documents import Documents

__all__ = ["EXHAUSTED", "LOST", "REVOKED", "TIME_LIMIT", "Verdicts"]

TIME_LIMIT: Final = "time_limit"
"""The verdict of a request that ran to its hard limit."""
LOST: Final = "lost"
"""The verdict of a request whose child died."""
EXHAUSTED: Final = "exhausted"
"""The verdict of a request whose child died once more than ``task_delivery_limit`` allows."""
REVOKED: Final = "revoked"
"""The verdict of a request that was revoked, or that expired."""


class Verdicts:
    """Makes settlements by one worker's settings."""

    def __init__(self, settings: Settings, documents: Documents) -> None:
        self._expires = settings.result_expires
        self._limit = settings.task_delivery_limit
        self._documents = documents
        self._replies = settings.result_backend.startswith("rpc:")

    def of_outcome(self, request: Request, outcome: Outcome) -> Settlement:
        """A child ran it to its end."""
        delivery = request.delivery
        result = None
        if outcome.result is not None:
            result = ResultRecord(request.head.id, outcome.result, outcome.state, self._expires)
        follow_ups, effects, kind = outcome.follow_ups, outcome.effects, outcome.kind
        identity = envelope.identity_of(delivery.payload) if follow_ups or effects is not None else ""
        if request.acknowledged:
            if result is not None and self._replies:
                result = msgspec.structs.replace(result, reply_to=envelope.reply_to_of(delivery.payload))
            return Settlement(b"", Disposition.NONE, result, follow_ups, effects, identity=identity)
        if kind is Kind.SUCCESS:
            return Settlement(delivery.claim, Disposition.ACKNOWLEDGE, result, follow_ups, effects, identity=identity)
        disposition, reason = Disposition.ACKNOWLEDGE, ""
        if kind is Kind.REJECT or (kind is Kind.FAILURE and not request.traits.acknowledge_failures):
            disposition, reason = Disposition.DEAD_LETTER, outcome.text
            # It may be replayed: what follows from it then must not be taken for what followed from its death.
            identity = identity and f"{identity}.dead"
        elif request.verdict == EXHAUSTED:
            disposition, reason = Disposition.DEAD_LETTER, request.reason
            identity = identity and f"{identity}.dead"
        elif kind is Kind.REQUEUE:
            follow_ups = [*follow_ups, again(request)]
            identity = identity or envelope.identity_of(delivery.payload)
        return Settlement(delivery.claim, disposition, result, follow_ups, effects, reason=reason, identity=identity)

    def runs_again(self, request: Request) -> bool:
        """After its child died: it is redelivered, not failed."""
        if request.acknowledged:
            return False
        if request.verdict == TIME_LIMIT:
            return not request.traits.acknowledge_timeouts
        return request.traits.redeliver_lost

    def of_loss(self, request: Request, reason: str) -> Settlement:
        """Its child died: redelivered up to the limit, then a dead letter."""
        delivery = request.delivery
        if delivery.losses < self._limit:
            return Settlement(delivery.claim, Disposition.REDELIVER)
        text = self.exhaustion(request, reason)
        result = None if request.head.ignore_result else self._documents.lost(request.head, text)
        return Settlement(delivery.claim, Disposition.DEAD_LETTER, result, reason=text)

    def is_exhausted(self, request: Request) -> bool:
        """It has been redelivered as often as it may be."""
        return request.delivery.losses >= self._limit

    def exhaustion(self, request: Request, reason: str) -> str:
        """Why it is a dead letter now."""
        redeliveries = request.delivery.losses
        return f"WorkerLostError: {reason}, after {redeliveries} redeliveries (task_delivery_limit = {self._limit})"

    def of_failure(self, request: Request, reason: str) -> Settlement:
        """It ends without a child that could run its failure hooks."""
        record = (
            self._documents.timed_out(request.head, request.hard)
            if request.verdict == TIME_LIMIT
            else self._documents.lost(request.head, reason)
        )
        return self.of_record(request, None if request.head.ignore_result else record)

    def of_record(self, request: Request, record: ResultRecord | None) -> Settlement:
        """It ends with a result that main wrote."""
        if request.acknowledged:
            return Settlement(b"", Disposition.NONE, record)
        return Settlement(request.delivery.claim, Disposition.ACKNOWLEDGE, record)

    def revoked(self, request: Request, reason: str) -> Settlement:
        """It was revoked or terminated after it had been admitted."""
        return self.of_record(request, self._documents.revoked(request.head, reason))


def again(request: Request) -> Outgoing:
    """The same call for the end of its queue (a task that rejects itself must not starve the others).

    It is a message of its own: a copy of this one would be taken for settled already.
    """
    delivery = request.delivery
    message = envelope.decode(delivery.payload)
    return Outgoing(delivery.queue, envelope.renewed(delivery.payload), envelope.priority_of(message))
