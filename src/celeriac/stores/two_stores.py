"""A broker and a result backend that are two places.

Where both are one store a settlement is one atomic step. Here it is two, in an order that loses nothing whichever of
the processes and servers dies in between:

1. The backend stores the result and counts the chord part, in one step. Both are idempotent: a stored SUCCESS stays, a
   part counts once.
2. The broker publishes the follow-ups and acknowledges, in one step that the claim fences.

A crash before 1 or between 1 and 2 leaves the message in flight: its lease ends, another worker runs the task again and
both steps follow. The other order would lose the result, and acknowledging apart from publishing would lose a chain's
next step or run it twice.

Only the broker can refuse a stale claim, and step 1 does not ask it. So the claims are remembered with the time until
which their leases cannot have ended (by this process's clock, from before the request that got or renewed them), and a
settlement that comes later, as after a long suspension, asks the broker first.

A backend that is down must not make finished tasks run again. Their settlements wait in an outbox: their leases are
renewed with all others, step 1 is repeated until the backend is back, step 2 follows. While the outbox is full no new
messages are taken, which bounds it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from celeriac.stores.forwarding import Forwarding, SyncForwarding
from celeriac.stores.options import StoreOptions
from celeriac.stores.outbox import UNREACHABLE, Outbox, only_result, says_anything, without_result
from celeriac.stores.store import (
    Capabilities,
    Disposition,
    Received,
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

    1. Results, waits and chord parts go to the backend, everything else to the broker.
    2. Settlements go to the backend first, then to the broker, see the top of this module.
    3. Those that the backend did not take in time wait in the outbox and follow by themselves.

    ``close`` gives the outbox one more moment; what is left is said in the log, and those tasks run again.

    Args:
        broker, backend: the two, not opened yet.
        lease: the lifetime of the broker's claims, seconds.
        grace: seconds that a settlement waits for the backend.
        now: the clock that the leases are judged by, seconds.
    """

    def __init__(
        self,
        broker: Store,
        backend: Store,
        lease: float = StoreOptions.lease,
        grace: float = GRACE,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(broker)
        self.backend = backend
        self.capabilities = merged_capabilities(broker.capabilities, backend.capabilities)
        self.outbox = Outbox(broker, backend)
        self._lease = lease
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
        storing = [each for each in settlements if each.result is not None or each.chord_part is not None]
        settling = [each for each in settlements if each.result is None and each.chord_part is None]
        stale = await self._stale(storing)
        storing = [each for each in storing if each.claim not in stale]
        if storing and await self._store(storing):
            settling += map(without_result, storing)
        for settlement in settlements:
            self._certain.pop(settlement.claim, None)
        since = self._now()
        received = await self.broker.settle(
            [each for each in settling if says_anything(each)], queues, 0 if self.outbox.full else limit
        )
        self._remember(received, since)
        received.refused = [*stale, *received.refused]
        return received

    async def renew(self, claims: Sequence[bytes]) -> list[bytes]:
        """Renew these and the claims that wait in the outbox."""
        certain = self._now() + self._lease
        lost = await self.broker.renew([*claims, *self.outbox.claims])
        for claim in claims:
            if claim in self._certain:  # else it was settled meanwhile
                self._certain[claim] = certain
        for claim in lost:
            self._certain.pop(claim, None)
        dropped = self.outbox.drop(lost)
        if dropped:
            logger.warning("%d finished tasks run again: their leases were lost while their results waited", dropped)
        known = set(claims)
        return [claim for claim in lost if claim in known]

    async def store_results(self, records: Sequence[ResultRecord]) -> None:
        """See :meth:`celeriac.stores.store.Store.store_results`."""
        await self.backend.store_results(records)

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

    def _remember(self, received: Received, since: float) -> None:
        # ``since`` is before the request. A receive that waited got its claims later than that, which only makes the
        # memory more careful than it needs to be.
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

    async def _store(self, settlements: list[Settlement]) -> bool:
        """Store results and chord parts; False when they went to the outbox instead."""
        if self.outbox:  # the backend is taken to be down until these are written
            self.outbox.post(settlements)
            return False
        storing = asyncio.ensure_future(self.backend.settle([only_result(each) for each in settlements]))
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
                return True
            if not isinstance(error, UNREACHABLE):
                raise error
            reason = str(error)
        self.outbox.post(settlements, storing, reason)
        return False


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


def merged_capabilities(broker: Capabilities, backend: Capabilities) -> Capabilities:
    """What the two can do together: messages as the broker, results as the backend, the weaker of both guarantees."""
    return msgspec.structs.replace(
        broker,
        results=backend.results,
        between_processes=broker.between_processes and backend.between_processes,
        survives_restart=broker.survives_restart and backend.survives_restart,
    )
