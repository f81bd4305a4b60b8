"""The settler: everything that becomes final goes through here, in batches that form by themselves.

Whatever is pending when the previous round trip returns goes into the next one, with the claim of new messages. No timer
adds latency to a lone task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from celeriac.exceptions import OperationalError
from celeriac.stores.store import Received, Settlement

if TYPE_CHECKING:
    from celeriac.stores.store import Store

__all__ = ["Settler"]

logger = logging.getLogger("celeriac.worker")

MAX_BATCH: Final = 128
"""Settlements in one round trip (DECISIONS: Redis)."""
PAUSE: Final = 1.0
"""Seconds before a batch is sent again after the store gave up on it."""


class Settler:
    """Settles what is given to it, in order.

    Args:
        room: how many new messages to claim with the next batch.
        received: called with what each round trip brought.
    """

    def __init__(self, store: Store, queues: list[str], room: Callable[[], int], received: Callable[[Received], None]) -> None:
        self._store = store
        self._queues = queues
        self._room = room
        self._received = received
        self._pending: list[tuple[Settlement, Callable[[bool], None] | None]] = []
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self.claiming = 0
        """Messages that the round trip under way may bring."""
        self.hungry = True
        """The last claim brought less than it asked for: the queues are empty, so waiting is the intake's job."""

    @property
    def busy(self) -> bool:
        """Something is pending or under way."""
        return not self._settled.is_set()

    def add(self, settlement: Settlement, then: Callable[[bool], None] | None = None) -> None:
        """Settle it with the next batch; ``then`` is told whether the claim still held."""
        self._pending.append((settlement, then))
        self._settled.clear()
        self._wake.set()

    def extend(self, settlements: Iterable[Settlement]) -> None:
        """Settle all of them."""
        for settlement in settlements:
            self.add(settlement)

    def claims(self) -> list[bytes]:
        """The claims that wait for their settlement; their leases must live until then."""
        return [settlement.claim for settlement, _ in self._pending if settlement.claim]

    async def settled(self) -> None:
        """Wait until nothing is pending or under way."""
        await self._settled.wait()

    async def run(self) -> None:
        """Settle for ever."""
        while True:
            if not self._pending:
                self._settled.set()
                self._wake.clear()
                await self._wake.wait()
            batch = self._pending[:MAX_BATCH]
            limit = 0 if self.hungry else self._room()
            self.claiming = limit
            try:
                received = await self._store.settle([settlement for settlement, _ in batch], self._queues, limit)
            except OperationalError as error:
                logger.error("Settling %d tasks failed, trying again: %s", len(batch), error)
                await asyncio.sleep(PAUSE)
                continue
            finally:
                self.claiming = 0
            del self._pending[: len(batch)]
            if limit:
                self.hungry = len(received.deliveries) < limit
            refused = set(received.refused)
            for settlement, then in batch:
                if then is not None:
                    then(settlement.claim not in refused)
            self._received(received)
