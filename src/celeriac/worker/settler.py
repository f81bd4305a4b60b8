"""The settler: everything that becomes final goes through here, in batches that form by themselves.

Whatever is pending when a lane is free goes into its next round trip, with the claim of new messages. No timer adds
latency to a lone task. There are two lanes, so that the store works on one batch while main makes the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from celeriac.exceptions import OperationalError
from celeriac.stores.store import Received, Settlement

if TYPE_CHECKING:
    from celeriac.stores.store import Store

__all__ = ["Settler"]

logger = logging.getLogger("celeriac.worker")

MAX_BATCH: Final = 128
"""Settlements, and claimed messages, in one round trip: enough to hide its cost, too few to stop the other workers."""
LANES: Final = 2
"""Round trips under way at the same time."""
PAUSE: Final = 1.0
"""Seconds before a batch is sent again after the store gave up on it."""

Then = Callable[[bool], None]


class Settler:
    """Settles what is given to it.

    Args:
        room: how many new messages may be claimed, those under way not counted.
        received: called with what each round trip brought.
    """

    def __init__(
        self, store: Store, queues: list[str], room: Callable[[], int], received: Callable[[Received], None]
    ) -> None:
        self._store = store
        self._queues = queues
        self._room = room
        self._received = received
        self._pending: deque[tuple[Settlement, Then | None]] = deque()
        self._travelling: dict[asyncio.Task[None], list[tuple[Settlement, Then | None]]] = {}
        self._flushing = False
        self._settled = asyncio.Event()
        self._settled.set()
        self.claiming = 0
        """Messages that the round trips under way may bring."""
        self.hungry = True
        """The last claim brought less than it asked for: the queues are empty, so waiting is the intake's job."""

    @property
    def busy(self) -> bool:
        """Something is pending or under way."""
        return not self._settled.is_set()

    @property
    def backlog(self) -> int:
        """Settlements that wait for a lane."""
        return len(self._pending)

    def add(self, settlement: Settlement, then: Then | None = None) -> None:
        """Settle it with the next batch; ``then`` is told whether the claim still held."""
        self._pending.append((settlement, then))
        if not self._flushing:
            self._flushing = True
            self._settled.clear()
            asyncio.get_running_loop().call_soon(self._flush)

    def extend(self, settlements: Iterable[Settlement]) -> None:
        """Settle all of them."""
        for settlement in settlements:
            self.add(settlement)

    def claims(self) -> list[bytes]:
        """The claims that are not settled yet; their leases must live until then."""
        waiting = [*self._pending, *(each for batch in self._travelling.values() for each in batch)]
        return [settlement.claim for settlement, _ in waiting if settlement.claim]

    async def settled(self) -> None:
        """Wait until nothing is pending or under way."""
        await self._settled.wait()

    async def run(self) -> None:
        """Watch over the round trips until cancelled; then end them, which their leases make good."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for task in self._travelling:
                task.cancel()
            await asyncio.gather(*self._travelling, return_exceptions=True)

    def _flush(self) -> None:
        """Send what is pending, as far as lanes are free."""
        self._flushing = False
        while self._pending and len(self._travelling) < LANES:
            batch = [self._pending.popleft() for _ in range(min(MAX_BATCH, len(self._pending)))]
            task = asyncio.get_running_loop().create_task(self._settle(batch))
            self._travelling[task] = batch
            task.add_done_callback(self._arrived)
        if not self._pending and not self._travelling:
            self._settled.set()

    def _arrived(self, task: asyncio.Task[None]) -> None:
        del self._travelling[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a batch could not be settled", exc_info=error)
        self._flush()

    async def _settle(self, batch: list[tuple[Settlement, Then | None]]) -> None:
        settlements = [settlement for settlement, _ in batch]
        while True:
            limit = 0 if self.hungry else max(0, min(MAX_BATCH, self._room() - self.claiming))
            self.claiming += limit
            try:
                received = await self._store.settle(settlements, self._queues, limit)
            except OperationalError as error:
                logger.error("Settling %d tasks failed, trying again: %s", len(batch), error)
                await asyncio.sleep(PAUSE)
                continue
            finally:
                self.claiming -= limit
            break
        if limit:
            self.hungry = len(received.deliveries) < limit
        refused = set(received.refused)
        for settlement, then in batch:
            if then is not None:
                then(settlement.claim not in refused)
        self._received(received)
