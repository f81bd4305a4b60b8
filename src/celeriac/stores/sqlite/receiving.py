"""Receiving: claim what is there, or register and sleep until somebody publishes.

There is no moment at which a message is missed: the transaction that found nothing registers the waiter itself, so
every later publisher sees the registration in its own transaction and rings after its commit. The ring is only a hint.
Whoever publishes and dies before ringing, and whoever is rung and dies or is stopped before it claims, costs others at
most the time until they look by themselves (LOOK_INTERVAL, or when a lease ends, or when a held message is due).

A claim that empties the queues leaves its waiter registered, since most workers come back at once: then they sleep
without another look. One that does not come back within KEEP passes on what it may have been rung for.

A message that comes alone is handed over with the ring, see the handover module; then there is no look at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Final

from celeriac.stores.sqlite import claiming, handover, settling, waiters
from celeriac.stores.sqlite.bell import LoopBell
from celeriac.stores.sqlite.claiming import Holder
from celeriac.stores.sqlite.database import Database
from celeriac.stores.sqlite.handover import Handover
from celeriac.stores.sqlite.transaction import Transaction
from celeriac.stores.sqlite.wakeup import DATAGRAM
from celeriac.stores.store import Delivery, Disposition, Received, Settlement

__all__ = ["LOOK_INTERVAL", "Receiver"]

LOOK_INTERVAL: Final = 30.0
"""Seconds after which one who waits looks by itself: the safety net under the wake-ups."""
LOOKS_PER_LEASE: Final = 2
"""Looks in the lifetime of a lease: what was handed over and never arrived is found before its lease ends."""
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
        self._look_interval = min(LOOK_INTERVAL, holder.options.lease / LOOKS_PER_LEASE)
        # The queues of each receive under way.
        self._waiting: list[tuple[str, ...]] = []
        self._left = asyncio.Event()
        self._closed = False
        self._rung = False
        self._standing: _Registration | None = None
        self._keep: asyncio.TimerHandle | None = None
        # Of the latest registration that was asked for; grows when its end is asked for, too.
        self._number = 0
        # What was handed over under it and no receive has returned, and the batch of the last that arrived.
        self._arrived: list[Handover] = []
        self._last_batch = 0
        self._revocations = 0
        bell.on_ring = self._read_rings

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> Received:
        """See :meth:`celeriac.stores.store.Store.receive`."""
        if limit <= 0 or timeout <= 0 or not queues:
            return await self._look(queues, limit, None)
        deadline = time.monotonic() + timeout
        wanted = tuple(queues)
        self._waiting.append(wanted)
        if self._keep is not None:
            self._keep.cancel()
            self._keep = None
        claimed = False
        try:
            received = await self._wait(wanted, limit, deadline)
            claimed = bool(received.deliveries)
            return received
        finally:
            self._waiting.remove(wanted)
            self._left.set()
            if self._waiting:
                # The registration that others of this store relied on may be used up: they look and register again.
                self._ring()
            elif not claimed:
                self._pass_on()

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str], limit: int) -> Received:
        """See :meth:`celeriac.stores.store.Store.settle`."""
        operation = partial(_settle, holder=self._holder, settlements=settlements, queues=queues, limit=limit)
        quick = len(settlements) <= QUICK and limit <= QUICK
        return await self._database.claim(operation, self._give_back, quick=quick)

    async def close(self) -> None:
        """End all waits."""
        self._closed = True
        self._ring()
        while self._waiting:
            self._left.clear()
            await self._left.wait()
        if self._keep is not None:
            self._keep.cancel()
            self._pass_on()
        self._bell.close()

    async def _wait(self, queues: tuple[str, ...], limit: int, deadline: float) -> Received:
        registration = self._resume(queues, limit)
        quick = self._rung
        while True:
            if registration is not None:
                await self._sleep(registration, deadline)
                if self._arrived:
                    self._drop_ended()
                if self._arrived and (len(self._arrived) >= limit or not self._rung):
                    self._stand(registration)
                    return self._with_arrived(Received([]))
                quick = True
            left = deadline - time.monotonic()
            room = limit - len(self._arrived)
            registration = self._ask(room, left)
            received = await self._look(queues, min(room, QUICK) if quick else room, registration, quick=quick)
            if received.deliveries or self._arrived or left <= 0 or self._closed:
                if registration.stays:
                    self._stand(registration)
                return self._with_arrived(received)

    def _resume(self, queues: tuple[str, ...], limit: int) -> _Registration | None:
        """The registration that stands still, None when it is not the right one for this receive."""
        standing, self._standing = self._standing, None
        if standing is None or standing.queues != queues or len(self._waiting) > 1:
            self._return_arrived()
            return None
        return standing if self._arrived or standing.fits(limit) else None

    async def _sleep(self, registration: _Registration, deadline: float) -> None:
        """Sleep until there is something to do, at most until the registration's alarm."""
        seconds = min(registration.alarm - self._clock(), deadline - time.monotonic())
        if seconds > 0 and not (self._arrived or self._rung or self._closed):
            await self._bell.sleep(self._bell.expect(), seconds)

    def _ask(self, room: int, left: float) -> _Registration:
        """The next registration: for all receives under way, but only one that is alone is handed anything."""
        self._rung = False
        self._number += 1
        queues = self._waiting[0] if len(self._waiting) == 1 else tuple(dict.fromkeys(chain(*self._waiting)))
        alarm = self._clock() + min(left, self._look_interval)
        if len(self._waiting) > 1:
            room = 0
        return _Registration(self._bell.name, self._number, queues, room, alarm, self._last_batch)

    def _ring(self) -> None:
        """Make everybody look."""
        self._rung = True
        self._bell.ring()

    def _read_rings(self, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            handed = None if datagram == DATAGRAM else handover.read(datagram)
            if handed is None or not self._accept(handed):
                self._rung = True

    def _accept(self, handed: Handover) -> bool:
        """Take a message that was handed over, unless it is no longer for this worker to take."""
        if handover.registration_of(handed.batch) != self._number or handed.deadline <= self._clock():
            return False
        self._last_batch = handed.batch
        self._revocations = max(self._revocations, handed.revocations)
        self._arrived.append(handed)
        return True

    def _drop_ended(self) -> None:
        """Forget what arrived so long ago that its lease has ended: this process was stopped, and others have it."""
        now = self._clock()
        self._arrived = [handed for handed in self._arrived if handed.deadline > now]

    def _with_arrived(self, received: Received) -> Received:
        """Add what has arrived; the registrations that it came under had room for it (see the handover module)."""
        if self._arrived:
            received.deliveries += [Delivery(each.claim, each.queue, each.payload) for each in self._arrived]
            received.revocations = max(received.revocations, self._revocations)
            self._arrived = []
        return received

    def _return_arrived(self) -> None:
        """Give back what has arrived."""
        self._give_back(self._with_arrived(Received([])))

    def _stand(self, registration: _Registration) -> None:
        """Stay registered for a moment: the caller is about to receive again."""
        if self._keep is not None:
            self._keep.cancel()
        self._standing = registration
        self._keep = asyncio.get_running_loop().call_later(KEEP, self._stand_down)

    def _stand_down(self) -> None:
        self._standing = self._keep = None
        if not self._waiting:
            self._pass_on()

    def _pass_on(self) -> None:
        """Nobody waits: end the registration, and leave to others what came for it."""
        self._number += 1
        end = partial(waiters.pass_on, holder=self._holder.name, socket=self._bell.name, arrived=self._last_batch)
        self._database.post(end)
        self._return_arrived()

    async def _look(
        self, queues: Sequence[str], limit: int, registration: _Registration | None, quick: bool = False
    ) -> Received:
        operation = partial(_claim, holder=self._holder, queues=queues, limit=limit, registration=registration)
        return await self._database.claim(operation, self._give_back, can_skip=True, quick=quick)

    def _give_back(self, received: Received) -> None:
        """Nobody waits for these deliveries any more."""
        if received.deliveries:
            back = [Settlement(delivery.claim, Disposition.GIVE_BACK) for delivery in reversed(received.deliveries)]
            self._database.post(partial(settling.settle, options=self._holder.options, settlements=back))


class _Registration:
    """How a look registers.

    Attributes:
        socket: the bell.
        number: tells it from the others of this store.
        queues: what it waits for.
        limit: how many messages it may be handed, those that the look claims included; 0 for none.
        room: those not included.
        stays: the look left nothing, so the waiter is registered.
        alarm: when the waiter looks again by itself at the latest; the look moves it to where it must be.
        arrived: the batch of the last message that was handed over and arrived before it.
    """

    __slots__ = ("alarm", "arrived", "limit", "number", "queues", "room", "socket", "stays")

    def __init__(
        self, socket: str, number: int, queues: tuple[str, ...], limit: int, alarm: float, arrived: int
    ) -> None:
        self.socket = socket
        self.number = number
        self.queues = queues
        self.limit = self.room = limit
        self.stays = False
        self.alarm = alarm
        self.arrived = arrived

    def fits(self, limit: int) -> bool:
        """Whether it serves another receive too: the file only asks whether there is room for more than one message."""
        return (self.room > 1) == (limit > 1)


def _claim(
    transaction: Transaction, holder: Holder, queues: Sequence[str], limit: int, registration: _Registration | None
) -> Received:
    if registration is not None:
        waiters.leave(transaction, holder.name, registration.socket, registration.arrived)
    deliveries = claiming.claim(transaction, holder, queues, limit)
    if registration is not None:
        if not deliveries and claiming.end_expired(transaction, holder):
            deliveries = claiming.claim(transaction, holder, queues, limit)
        registration.stays = len(deliveries) < limit
        if registration.stays:
            _register(transaction, holder, registration, len(deliveries))
    return Received(deliveries, [], claiming.revocation_count(transaction))


def _register(transaction: Transaction, holder: Holder, registration: _Registration, claimed: int) -> None:
    change = claiming.next_change(transaction, registration.queues)
    if change is not None:
        registration.alarm = min(registration.alarm, change)
    registration.room = max(0, registration.limit - claimed)
    waiters.register(
        transaction,
        registration.queues,
        registration.socket,
        registration.alarm,
        registration.room,
        holder.name,
        holder.options.lease,
        handover.first_batch(registration.number),
    )


def _settle(
    transaction: Transaction, holder: Holder, settlements: Sequence[Settlement], queues: Sequence[str], limit: int
) -> Received:
    refused = settling.settle(transaction, holder.options, settlements)
    deliveries = claiming.claim(transaction, holder, queues, limit)
    return Received(deliveries, refused, claiming.revocation_count(transaction))
