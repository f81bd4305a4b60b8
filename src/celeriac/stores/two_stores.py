"""A broker and a result backend that are two places.

Where both are one store a settlement is one atomic step. Here it is several, in an order that loses nothing whichever
of the processes and servers dies in between:

1. The backend stores the result and the effects, in one step. They are idempotent: a stored SUCCESS stays, a part of a
   chord counts once. It tells the completions of the chords that are complete now.
2. The broker publishes these and the follow-ups and acknowledges, in one step that the claim fences.

A crash before 1 or between 1 and 2 leaves the message in flight: its lease ends, another worker runs the task again and
both steps follow. The other order would lose the result.

The completion of a chord comes from the backend with step 1, once, so a crash between the steps would lose it. So a
settlement with a part that may be the last leaves a *record* under the message's identity, which holds the completions
and the follow-ups. Who gets the message again finds it, and publishes what it holds. Without an identity the completion
is told again for a part that was counted before, until the chord is closed; whoever gets the completion twice finds at
the second one that it is closed.

A broker that is not atomic (RabbitMQ) confirms the follow-ups before it is told to acknowledge: a crash in between
would let the task run again and publish other messages for the same next step, and all that follows from them would
happen twice. For such a broker, settlements with follow-ups take these steps:

1. The backend stores, in one step, the result, the effects and a *record* under the message's identity that holds the
   follow-ups and completions as they are: ids, bytes and all. If there is such a record already, nothing is stored: the
   task ran before, and what it recorded then is what counts.
2. The broker publishes the follow-ups of the record, and confirms them.
3. The backend marks the record as published, while the broker acknowledges.

Whoever gets the message again runs the task, and finds a record that is marked: he only acknowledges. Or one that is
not: whoever stored it may be at step 2 just now or be dead, so he looks again a second later (`Duplicates`), and then
publishes those very follow-ups. What remains is a crash within step 2, or after it and before the mark as well as the
acknowledgement: then the same messages, with the same ids, are in their queues twice. Each copy runs, but all copies
share one record, so what follows from them is published once: nothing propagates, and no step ever has two different
successors. See docs/decisions/0012.

A message without an identity of its own (Celery's producers give none on AMQP) has no record: a task id can be used
twice on purpose, and taking the second call for a copy of the first would lose what follows from it.

Only the broker can refuse a stale claim, and step 1 does not ask it. So the claims are remembered with the time until
which their leases cannot have ended (by this process's clock, from before the request that got or renewed them), and a
settlement that comes later, as after a long suspension, asks the broker first.

A backend that is down must not make finished tasks run again. Their settlements wait in an outbox: their leases are
renewed with all others, step 1 is repeated until the backend is back, the others follow. While the outbox is full no
new messages are taken, which bounds it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from celeriac.stores.duplicates import PATIENCE, Duplicates
from celeriac.stores.forwarding import Forwarding, SyncForwarding
from celeriac.stores.options import StoreOptions
from celeriac.stores.outbox import Outbox
from celeriac.stores.steps import UNREACHABLE, Steps, Stored
from celeriac.stores.store import (
    Capabilities,
    Disposition,
    Document,
    Received,
    Recorded,
    ResultRecord,
    Settlement,
    Store,
    SyncStore,
)

__all__ = ["SyncTwoStores", "TwoStores"]

logger = logging.getLogger(__name__)

GRACE: Final = 1.0
"""Seconds that a settlement waits for the backend before it goes to the outbox, and close() for the outbox."""


class TwoStores(Forwarding):
    """Messages in ``broker``, results in ``backend``.

    1. Results, waits, chords and documents go to the backend, everything else to the broker.
    2. Settlements go to the backend first, then to the broker, see the top of this module.
    3. Those that the backend did not take in time wait in the outbox and follow by themselves.
    4. Those whose record somebody else is about to publish are looked at again a moment later.

    ``close`` gives the outbox one more moment; what is left is said in the log, and those tasks run again.

    Args:
        broker, backend: the two, not opened yet.
        lease: the lifetime of the broker's claims, seconds.
        grace: seconds that a settlement waits for the backend.
        now: the clock that the leases are judged by, seconds.
        patience: seconds before a record that somebody else stored is looked at again.
    """

    def __init__(
        self,
        broker: Store,
        backend: Store,
        lease: float = StoreOptions.lease,
        grace: float = GRACE,
        now: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(broker)
        self.backend = backend
        self.capabilities = merged_capabilities(broker.capabilities, backend.capabilities)
        self.steps = Steps(broker, backend)
        self.duplicates = Duplicates(self.steps, patience)
        self.outbox = Outbox(self.steps, self.duplicates)
        self._lease = lease if broker.capabilities.timed_leases else 0.0
        self._grace = grace
        self._now = now
        #: Until when each claim is ours for certain.
        self._certain: dict[bytes, float] = {}

    async def open(self) -> None:
        """Open both; neither stays open when one cannot be reached."""
        await self.broker.open()
        try:
            await self.backend.open()
        except BaseException:
            await self.broker.close()
            raise

    async def close(self) -> None:
        """Empty the outbox if that is possible now, then close both. Idempotent."""
        left = await self.outbox.close(self._grace)
        if left:
            logger.error(
                "the result backend could not be reached until the end: the results of %d finished tasks are not "
                "stored, and these tasks will run again when their leases end",
                left,
            )
        await self.duplicates.close()
        await self.steps.close(self._grace)
        try:
            await self.backend.close()
        finally:
            await self.broker.close()

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> Received:
        """As of the broker; while the outbox is full nothing is taken."""
        if self.outbox.full:
            try:
                async with asyncio.timeout(timeout):
                    await self.outbox.room()
            except TimeoutError:
                limit = 0
            timeout = 0.0
        since = self._now()
        received = await self.broker.receive(queues, limit, timeout)
        self._remember(received, since)
        return received

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        """See :meth:`celeriac.stores.store.Store.settle`.

        A claim that is lost while its settlement waits in the outbox is said in the log and not in ``refused``.
        """
        storing: list[Settlement] = []
        settling: list[Settlement] = []
        for settlement in settlements:
            (storing if self.steps.concerns_backend(settlement) else settling).append(settlement)
        stale = await self._stale(storing)
        if stale:
            storing = [each for each in storing if each.claim not in stale]
        if storing and (stored := await self._store(storing)) is not None:
            settling += stored.ready
            self.duplicates.post(stored.doubtful)
        for settlement in settlements:
            self._certain.pop(settlement.claim, None)
        since = self._now()
        received = await self.steps.finish(settling, queues, 0 if self.outbox.full else limit)
        self._remember(received, since)
        received.refused = [*stale, *received.refused]
        return received

    async def renew(self, claims: Sequence[bytes]) -> list[bytes]:
        """Renew these and the claims of finished tasks that wait here."""
        self.steps.mark()
        certain = self._now() + self._lease
        lost = await self.broker.renew([*claims, *self.outbox.claims, *self.duplicates.claims])
        for claim in claims:
            if claim in self._certain:  # else it was settled meanwhile
                self._certain[claim] = certain
        for claim in lost:
            self._certain.pop(claim, None)
        self.duplicates.drop(lost)
        dropped = self.outbox.drop(lost)
        if dropped:
            logger.warning("%d finished tasks run again: their leases were lost while their results waited", dropped)
        known = set(claims)
        return [claim for claim in lost if claim in known]

    async def store_results(self, records: Sequence[ResultRecord]) -> None:
        """See :meth:`celeriac.stores.store.Store.store_results`."""
        await self.backend.store_results(records)

    async def record(self, settlements: Sequence[Settlement], published: Sequence[str] = ()) -> list[Recorded]:
        """See :meth:`celeriac.stores.store.Store.record`."""
        return await self.backend.record(settlements, published)

    async def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """See :meth:`celeriac.stores.store.Store.results`."""
        return await self.backend.results(task_ids)

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.Store.wait`."""
        return self.backend.wait(task_ids, ready, timeout)

    async def forget(self, task_ids: Sequence[str]) -> None:
        """See :meth:`celeriac.stores.store.Store.forget`."""
        await self.backend.forget(task_ids)

    async def store_documents(self, documents: Sequence[Document]) -> None:
        """See :meth:`celeriac.stores.store.Store.store_documents`."""
        await self.backend.store_documents(documents)

    async def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """See :meth:`celeriac.stores.store.Store.documents`."""
        return await self.backend.documents(kind, ids)

    async def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """See :meth:`celeriac.stores.store.Store.drop_documents`."""
        await self.backend.drop_documents(kind, ids)

    async def chord_parts(self, group_id: str) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.chord_parts`."""
        return await self.backend.chord_parts(group_id)

    def _remember(self, received: Received, since: float) -> None:
        # ``since`` is before the request. A receive that waited got its claims later than that, which only makes the
        # memory more careful than it needs to be.
        if not self._lease:
            return
        certain = since + self._lease
        for delivery in received.deliveries:
            self._certain[delivery.claim] = certain

    async def _stale(self, settlements: Sequence[Settlement]) -> set[bytes]:
        """The claims among these that the broker no longer knows, asking it about the doubtful ones only."""
        now = self._now()
        doubtful = [
            each.claim
            for each in settlements
            if each.disposition is not Disposition.NONE and self._certain.get(each.claim, now) <= now
        ]
        return set(await self.broker.renew(doubtful)) if doubtful else set()

    async def _store(self, settlements: list[Settlement]) -> Stored | None:
        """The first step; None when they went to the outbox instead."""
        if self.outbox:  # the backend is taken to be down until these are written
            self.outbox.post(settlements)
            return None
        storing = asyncio.ensure_future(self.steps.store(settlements))
        try:
            await asyncio.wait({storing}, timeout=self._grace)
        except asyncio.CancelledError:
            # The caller has gone, but the tasks are finished: they are settled all the same.
            self.outbox.post(settlements, storing)
            raise
        if not storing.done():
            reason = f"no answer within {self._grace:g} seconds"
        else:
            error = storing.exception()
            if error is None:
                return storing.result()
            if not isinstance(error, UNREACHABLE):
                raise error
            reason = str(error)
        self.outbox.post(settlements, storing, reason)
        return None


class SyncTwoStores(SyncForwarding):
    """The synchronous twin of :class:`TwoStores`."""

    def __init__(self, broker: SyncStore, backend: SyncStore) -> None:
        super().__init__(broker)
        self.backend = backend
        self.capabilities = merged_capabilities(broker.capabilities, backend.capabilities)

    def close(self) -> None:
        """Close both."""
        try:
            self.backend.close()
        finally:
            self.broker.close()

    def store_results(self, records: Sequence[ResultRecord]) -> None:
        """See :meth:`celeriac.stores.store.Store.store_results`."""
        self.backend.store_results(records)

    def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """See :meth:`celeriac.stores.store.Store.results`."""
        return self.backend.results(task_ids)

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> Iterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.Store.wait`."""
        return self.backend.wait(task_ids, ready, timeout)

    def forget(self, task_ids: Sequence[str]) -> None:
        """See :meth:`celeriac.stores.store.Store.forget`."""
        self.backend.forget(task_ids)

    def store_documents(self, documents: Sequence[Document]) -> None:
        """See :meth:`celeriac.stores.store.Store.store_documents`."""
        self.backend.store_documents(documents)

    def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """See :meth:`celeriac.stores.store.Store.documents`."""
        return self.backend.documents(kind, ids)

    def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """See :meth:`celeriac.stores.store.Store.drop_documents`."""
        self.backend.drop_documents(kind, ids)

    def chord_parts(self, group_id: str) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.chord_parts`."""
        return self.backend.chord_parts(group_id)


def merged_capabilities(broker: Capabilities, backend: Capabilities) -> Capabilities:
    """What the two can do together: messages as the broker, results as the backend, the weaker of both guarantees."""
    return msgspec.structs.replace(
        broker,
        results=backend.results,
        records=backend.records,
        workflows=backend.workflows,
        between_processes=broker.between_processes and backend.between_processes,
        survives_restart=broker.survives_restart and backend.survives_restart,
    )
