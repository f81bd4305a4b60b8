"""Finished tasks whose results wait for a backend that is down: see :mod:`celeriac.stores.two_stores`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from celeriac.stores.chords import size_of
from celeriac.stores.duplicates import Duplicates
from celeriac.stores.steps import UNREACHABLE, Steps, Stored
from celeriac.stores.store import Disposition, Settlement

__all__ = ["Outbox"]

logger = logging.getLogger(__name__)

OUTBOX_SIZE: Final = 10_000
"""Settlements in the outbox from which on no new messages are taken."""

OUTBOX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of results in the outbox from which on no new messages are taken."""

BATCH_SIZE: Final = 256
"""Settlements that are written at once (DECISIONS, Redis: the largest batch of one script)."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts to reach the backend; each pause is twice the one before."""


class Outbox:
    """Settlements that wait for the backend.

    1. ``post`` takes them and starts a task that writes them, oldest first, until none is left.
    2. Each is written in the steps of any other settlement, all of which may be repeated.
    3. ``claims`` are those whose leases must be renewed meanwhile; ``drop`` takes out those that were lost anyway.
    4. ``close`` gives the writing one more moment and returns how many are left.

    Args:
        steps: of a settlement.
        duplicates: for those whose record somebody has stored before.
        size, size_in_bytes: from where on it is full.
    """

    def __init__(
        self, steps: Steps, duplicates: Duplicates, size: int = OUTBOX_SIZE, size_in_bytes: int = OUTBOX_BYTES
    ) -> None:
        self._steps = steps
        self._duplicates = duplicates
        self._size = size
        self._size_in_bytes = size_in_bytes
        self._bytes = 0
        self._numbers = 0
        self._waiting: dict[int, Settlement] = {}
        self._by_claim: dict[bytes, int] = {}
        self._writing: asyncio.Task[None] | None = None
        self._written = asyncio.Event()
        self._outage = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """No new messages should be taken."""
        return len(self._waiting) >= self._size or self._bytes >= self._size_in_bytes

    @property
    def claims(self) -> Iterable[bytes]:
        """The claims that wait."""
        return self._by_claim.keys()

    def post(
        self, settlements: Sequence[Settlement], storing: asyncio.Future[Stored] | None = None, outage: str = ""
    ) -> None:
        """Take settlements; those that wait already, since a batch was repeated whose other half failed, only once.

        Args:
            settlements: what waits from now on.
            storing: an attempt to store their results that is under way.
            outage: why the backend is taken to be down, which is said in the log once until it is back.
        """
        if outage and not self._outage:
            logger.warning("the result backend cannot be reached (%s): finished tasks wait with their results", outage)
        self._outage = self._outage or bool(outage)
        known = set(map(id, self._waiting.values()))
        for settlement in settlements:
            if id(settlement) in known:
                continue
            self._numbers += 1
            self._waiting[self._numbers] = settlement
            self._bytes += _size_of(settlement)
            if settlement.disposition is not Disposition.NONE:
                self._by_claim[settlement.claim] = self._numbers
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write(storing))
        elif storing is not None:
            storing.add_done_callback(_look_at)  # what came of it does not matter: it is repeated

    def drop(self, claims: Iterable[bytes]) -> int:
        """Forget the settlements of claims that were lost; returns how many there were."""
        numbers = [self._by_claim[claim] for claim in claims if claim in self._by_claim]
        self._remove(numbers)
        return len(numbers)

    async def room(self) -> None:
        """Wait until it is not full."""
        while self.full:
            self._written.clear()
            await self._written.wait()

    async def close(self, grace: float) -> int:
        """Write for at most ``grace`` seconds more, then forget the rest; returns how many that are."""
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=grace)
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
            self._writing = None
        left = len(self._waiting)
        self._remove(list(self._waiting))
        return left

    async def _write(self, storing: asyncio.Future[Stored] | None) -> None:
        if storing is not None:
            # The attempt that did not answer in time. Whether it works in the end does not matter: it is repeated.
            await asyncio.gather(storing, return_exceptions=True)
        pause = FIRST_PAUSE
        written = 0
        while self._waiting:
            batch = {number: self._waiting[number] for number in list(self._waiting)[:BATCH_SIZE]}
            try:
                await self._write_batch(list(batch.values()))
            except UNREACHABLE as error:
                logger.debug("still %d finished tasks wait for the result backend: %s", len(self._waiting), error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            written += len(batch)
            self._remove(batch)
        if self._outage:
            logger.warning("the result backend is back: the results of %d tasks that waited are stored", written)
        self._outage = False

    async def _write_batch(self, batch: list[Settlement]) -> None:
        stored = await self._steps.store(batch)
        # Claims that were lost meanwhile are refused here, as any others.
        await self._steps.finish(stored.ready)
        self._duplicates.post(stored.doubtful)

    def _remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            settlement = self._waiting.pop(number, None)
            if settlement is not None:
                self._bytes -= _size_of(settlement)
                self._by_claim.pop(settlement.claim, None)
        self._written.set()


def _look_at(storing: asyncio.Future[Stored]) -> None:
    """Have asyncio not complain of an error that nobody looked at."""
    if not storing.cancelled():
        storing.exception()


def _size_of(settlement: Settlement) -> int:
    """Bytes of results and effects in a settlement."""
    size = 0 if settlement.result is None else len(settlement.result.payload)
    return size if settlement.effects is None else size + size_of(settlement.effects)
