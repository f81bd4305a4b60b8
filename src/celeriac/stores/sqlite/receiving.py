"""Receiving: claim what is there, or register and sleep until somebody publishes.

There is no moment at which a message is missed: the transaction that found nothing registers the waiter itself, so
every later publisher sees the registration in its own transaction and rings after its commit. The ring is only a hint.
Whoever publishes and dies before ringing, and whoever is rung and dies or is stopped before it claims, costs others at
most the time until they look by themselves (LOOK_INTERVAL, or when a lease ends, or when a held message is due).

A claim that empties the queues leaves its waiter registered, since most workers come back at once: then they sleep
without another look. One that does not come back within KEEP passes on what it may have been rung for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from celeriac.stores.sqlite import claiming, settling, waiters
from celeriac.stores.sqlite.bell import LoopBell
from celeriac.stores.sqlite.claiming import Holder
from celeriac.stores.sqlite.database import Database
from celeriac.stores.sqlite.transaction import Transaction
from celeriac.stores.store import Disposition, Received, Settlement

__all__ = ["LOOK_INTERVAL", "Receiver"]

LOOK_INTERVAL: Final = 30.0
"""Seconds after which one who waits looks by itself: the safety net under the wake-ups."""
KEEP: Final = 0.005
"""Seconds that a waiter stays registered after a claim: long for one that comes back, short for who waits instead."""
QUICK: Final = 8
"""Messages up to which an operation takes well below a millisecond, so that the loop may do it itself."""


class Receiver:
    """Claims messages for one open store.

    Duties: claiming at once; waiting for the first message; giving back what was claimed for a caller who was cancelled
    meanwhile. It ends with :meth:`close`, which ends all waits.

    Args:
        database: where the operations run.
        holder: whose claims these are.
        bell: rung for messages.
        clock: the store's time.
    """

    def __init__(self, database: Database, holder: Holder, bell: LoopBell, clock: Callable[[], float]) -> None:
        self._database = database
        self._holder = holder
        self._bell = bell
        self._clock = clock
        self._waiting = 0
        self._left = asyncio.Event()
        self._closed = False
        self._standing: _Registration | None = None
        self._keep: asyncio.TimerHandle | None = None
        self._rung = False
        bell.on_ring = self._note_ring

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> Received:
        """See :meth:`celeriac.stores.store.Store.receive`."""
        if limit <= 0 or timeout <= 0 or not queues:
            return await self._look(queues, limit, None)
        deadline = time.monotonic() + timeout
        self._waiting += 1
        if self._keep is not None:
            self._keep.cancel()
            self._keep = None
        claimed = False
        try:
            received = await self._wait(queues, limit, deadline)
            claimed = bool(received.deliveries)
            return received
        finally:
            self._waiting -= 1
            self._left.set()
            if self._waiting:
                # The registration that others of this store relied on may be used up: they look and register again.
                self._bell.ring()
            elif not claimed:
                self._database.post(partial(waiters.pass_on, queues=queues, socket=self._bell.name))

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str], limit: int) -> Received:
        """See :meth:`celeriac.stores.store.Store.settle`."""
        operation = partial(_settle, holder=self._holder, settlements=settlements, queues=queues, limit=limit)
        quick = len(settlements) <= QUICK and limit <= QUICK
        return await self._database.claim(operation, self._give_back, quick=quick)

    async def close(self) -> None:
        """End all waits."""
        self._closed = True
        if self._keep is not None:
            self._keep.cancel()
        self._bell.ring()
        while self._waiting:
            self._left.clear()
            await self._left.wait()
        self._bell.close()

    async def _wait(self, queues: Sequence[str], limit: int, deadline: float) -> Received:
        rung = self._rung
        standing, self._standing = self._standing, None
        if standing is not None and not rung and standing.queues == tuple(queues):
            wake_at = min(standing.alarm, self._clock() + deadline - time.monotonic())
            await self._bell.sleep(self._bell.expect(), wake_at - self._clock())
            rung = True
        while True:
            self._rung = False
            ring = self._bell.expect()
            left = deadline - time.monotonic()
            waiter = _Registration(self._bell.name, tuple(queues), self._clock() + min(left, LOOK_INTERVAL))
            received = await self._look(queues, min(limit, QUICK) if rung else limit, waiter, quick=rung)
            if received.deliveries or left <= 0 or self._closed:
                ring.cancel()
                if waiter.stays:
                    self._stand(waiter)
                return received
            await self._bell.sleep(ring, waiter.alarm - self._clock())
            rung = True

    def _note_ring(self) -> None:
        self._rung = True

    def _stand(self, waiter: _Registration) -> None:
        """Stay registered for a moment: the caller is about to receive again."""
        self._standing = waiter
        self._keep = asyncio.get_running_loop().call_later(KEEP, self._stand_down)

    def _stand_down(self) -> None:
        standing, self._standing, self._keep = self._standing, None, None
        if standing is not None and not self._waiting:
            self._database.post(partial(waiters.pass_on, queues=standing.queues, socket=self._bell.name))

    async def _look(
        self, queues: Sequence[str], limit: int, waiter: _Registration | None, quick: bool = False
    ) -> Received:
        operation = partial(_claim, holder=self._holder, queues=queues, limit=limit, waiter=waiter)
        return await self._database.claim(operation, self._give_back, can_skip=True, quick=quick)

    def _give_back(self, received: Received) -> None:
        """Nobody waits for these deliveries any more."""
        if received.deliveries:
            back = [Settlement(delivery.claim, Disposition.GIVE_BACK) for delivery in reversed(received.deliveries)]
            self._database.post(partial(settling.settle, options=self._holder.options, settlements=back))


class _Registration:
    """How a look that finds nothing registers.

    Attributes:
        socket: the bell.
        queues: what it waits for.
        stays: the look found messages and left nothing, so the waiter stays registered.
        alarm: when the waiter looks again by itself at the latest; the look moves it to where it must be.
    """

    __slots__ = ("alarm", "queues", "socket", "stays")

    def __init__(self, socket: str, queues: tuple[str, ...], alarm: float) -> None:
        self.socket = socket
        self.queues = queues
        self.stays = False
        self.alarm = alarm


def _claim(
    transaction: Transaction, holder: Holder, queues: Sequence[str], limit: int, waiter: _Registration | None
) -> Received:
    deliveries = claiming.claim(transaction, holder, queues, limit)
    if waiter is not None:
        if not deliveries and claiming.end_expired(transaction, holder):
            deliveries = claiming.claim(transaction, holder, queues, limit)
        waiter.stays = 0 < len(deliveries) < limit
        if len(deliveries) == limit:
            waiters.unregister(transaction, queues, waiter.socket)
        else:
            change = claiming.next_change(transaction, queues)
            if change is not None:
                waiter.alarm = min(waiter.alarm, change)
            waiters.register(transaction, queues, waiter.socket, waiter.alarm)
    return Received(deliveries, [], claiming.revocation_count(transaction))


def _settle(
    transaction: Transaction, holder: Holder, settlements: Sequence[Settlement], queues: Sequence[str], limit: int
) -> Received:
    refused = settling.settle(transaction, holder.options, settlements)
    deliveries = claiming.claim(transaction, holder, queues, limit)
    return Received(deliveries, refused, claiming.revocation_count(transaction))
