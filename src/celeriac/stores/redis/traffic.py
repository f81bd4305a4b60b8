"""Claims and settlements: the hot path.

A claim whose reply was lost (the connection broke, the caller was cancelled) is not forgotten: its numbers are known,
so the entries that it made are read from ``unacked`` before the next claim, and delivered by it. A settlement whose
reply was lost is sent again with its batch number; the server remembers the last one of each lane and answers the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

from hiredis import ReplyError

from celeriac.exceptions import OperationalError
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.claiming import CLAIM_LIMIT, Claims, Home, Plan, remember, tail_of
from celeriac.stores.redis.entries import priority_of, read_entry
from celeriac.stores.redis.errors import Disconnected
from celeriac.stores.redis.holdings import Holdings, Reservation
from celeriac.stores.redis.lane import ClaimPart, Lane
from celeriac.stores.redis.link import Link
from celeriac.stores.redis.places import Places
from celeriac.stores.redis.scripts import CLAIM, RECOVER, TAKE
from celeriac.stores.redis.server import Server
from celeriac.stores.redis.settling import ENVELOPE_NEEDED, Context, batches, encode
from celeriac.stores.redis.waiting import Waiting
from celeriac.stores.store import Delivery, Disposition, Received, Settlement

__all__ = ["Traffic"]

logger = logging.getLogger("celeriac.stores.redis")

_GIVE_BACK_AT_ONCE: Final = 256
TAKEN_IN_A_ROW: Final = 8
"""Messages that BLMOVE may bring one by one before a claim looks for more: without that look a backlog that met an idle
worker would be served one by one for ever."""
MARKING: Final = (Disposition.HOLD, Disposition.REDELIVER)
"""After these the store may remember something of a message."""


class Traffic:
    """Receives and settles for one store.

    Three lanes: *commands* for claims and settlements, *second* for a settlement that comes while another is under way,
    so that the server works on one while the next is made, and *bulk* for settlements above a megabyte, so that
    nothing waits behind them.

    Args:
        server, places, options: where and how.
        incarnation: of the store.
        waiting: waits for messages.
        control: the connection for what is rare.
    """

    def __init__(
        self,
        server: Server,
        places: Places,
        options: StoreOptions,
        incarnation: bytes,
        waiting: Waiting,
        control: Link,
    ) -> None:
        keys = places.keys
        self.commands: Final = Lane(Link(server, "commands"), keys, incarnation, b"commands")
        self.second: Final = Lane(Link(server, "second"), keys, incarnation, b"second")
        self.bulk: Final = Lane(Link(server, "bulk"), keys, incarnation, b"bulk")
        self._server = server
        self._places = places
        self._lease = options.lease
        self._keys = keys
        self._waiting = waiting
        self._control = control
        self._claims = Claims(keys, incarnation, options.lease, options.strict_priorities)
        self._holdings = Holdings()
        self._receiving = asyncio.Lock()
        self._recovering = asyncio.Lock()
        self._revocations = 0
        self._due: float | None = None
        self._problems: set[str] = set()
        self._closing = False
        self._any_marked = True
        self._taking: set[asyncio.Task[None]] = set()
        self._taken_in_a_row = 0
        self._claims_under_way = 0

    @property
    def links(self) -> tuple[Link, Link, Link]:
        """The connections: commands, bulk, and the second lane."""
        return self.commands.link, self.bulk.link, self.second.link

    def stop(self) -> None:
        """End the wait of a receiver, now and from now on."""
        self._closing = True
        self._waiting.stop()

    async def give_back_everything(self) -> None:
        """Make ready again what no caller got; the receiver that was stopped leaves first."""
        async with self._receiving:
            await self.taken()
            await self._waiting.release()
            self._holdings.doubt_again()
            await self._recover()
            while buffered := self._holdings.take(_GIVE_BACK_AT_ONCE):
                await self.settle([Settlement(each.claim, Disposition.GIVE_BACK) for each in reversed(buffered)])

    def buffered(self) -> set[bytes]:
        """The claims of what no caller got yet."""
        return {delivery.claim for delivery in self._holdings.buffered}

    def lost(self, claims: Sequence[bytes]) -> None:
        """These are ours no longer."""
        holdings = self._holdings
        holdings.doubt_again()
        holdings.forget(claims)
        if claims and holdings.buffered:
            holdings.drop_buffered(set(claims))

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> Received:
        """See :meth:`celeriac.stores.store.Store.receive`."""
        if limit <= 0 or not queues:
            return Received([], [], self._revocations)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        async with self._receiving:
            self._waiting.turn_to(queues)
            plan = self._claims.plan(queues)
            if timeout <= 0 or not self._is_quiet(plan, loop.time()):
                received = await self._claim(plan, limit)
                if received.deliveries or timeout <= 0:
                    return received
            while not self._closing and (left := deadline - loop.time()) > 0:
                brought = await self._waiting.wait(plan, self._due, left)
                if self._closing:
                    break
                if brought is not None and self._may_take():
                    self._taken_in_a_row += 1
                    self._due = self._waiting.due  # no claim tells it this time
                    return Received([self._take(brought)], [], self._revocations)
                received = await self._claim(plan, limit)
                if received.deliveries:
                    return received
            return Received([], [], self._revocations)

    def _may_take(self) -> bool:
        """One by one is for a queue that is empty otherwise: now and then a claim looks whether it is."""
        if self._taken_in_a_row >= TAKEN_IN_A_ROW:
            return False
        return not (self._any_marked or self._claims_under_way or self._holdings.doubtful)

    def _take(self, payload: bytes) -> Delivery:
        """Deliver what BLMOVE brought without waiting until its claim is confirmed: that saves a lone task a round
        trip.

        It is safe, since the message is in our registered list until take.lua, sent now and before any settlement of
        it, makes it a claim. Should another worker have adopted the list (we were frozen longer than its lease), the
        claim is not made and everything that is said under it is refused. What the store remembers of the message
        (losses, a granted rate limit) comes with the reply; so this way is not taken once it remembers anything of any
        message.
        """
        queue = self._waiting.queue
        delivery = Delivery(self._claims.next(), queue, payload)
        self._holdings.homes[delivery.claim] = Home(queue, 0)
        task = asyncio.ensure_future(self._confirm(delivery))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)
        return delivery

    async def _confirm(self, delivery: Delivery) -> None:
        keys = self._claims.fixed_keys(self._waiting.waiter)
        arguments = (delivery.claim, self._lease, delivery.payload, tail_of(delivery.queue))
        try:
            found, self._revocations, any_marked, tag, record = await self.commands.link.run(TAKE, keys, arguments)
        except OperationalError as error:
            logger.warning("a message may be delivered again, its claim was not confirmed: %s", error)
            return
        self._any_marked = bool(any_marked)
        if record:
            remember(delivery, record)
            self._holdings.marked[delivery.claim] = tag
            if delivery.losses:
                self._holdings.redelivered.add(delivery.claim)
        if not found:
            self._holdings.forget([delivery.claim])

    async def taken(self) -> None:
        """Wait until the claims of :meth:`_take` are confirmed."""
        if self._taking:
            await asyncio.wait(self._taking)

    def _is_quiet(self, plan: Plan, now: float) -> bool:
        """Whether a claim would find nothing, so that waiting can begin at once."""
        holdings = self._holdings
        if holdings.buffered or holdings.doubtful or (self._due is not None and self._due <= now):
            return False
        return self._waiting.is_quiet(plan)

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        """See :meth:`celeriac.stores.store.Store.settle`."""
        claims = limit > 0 and bool(queues)
        try:
            if claims:
                await self._begin_claim()
            elif self._taking:
                await self.taken()
            return await self._settle_and_claim(settlements, queues, limit)
        finally:
            if claims:
                self._end_claim()

    async def _settle_and_claim(self, settlements: Sequence[Settlement], queues: Sequence[str], limit: int) -> Received:
        if self._holdings.doubtful:
            await self._recover()
        received = Received(self._holdings.take(limit), [], self._revocations)
        try:
            await self._settle_all(settlements, queues, limit - len(received.deliveries), received)
        except BaseException:
            self._holdings.buffered.extendleft(reversed(received.deliveries))
            raise
        received.revocations = self._revocations
        return received

    async def _settle_all(
        self, settlements: Sequence[Settlement], queues: Sequence[str], limit: int, received: Received
    ) -> None:
        plan = None
        if limit > 0 and queues:
            self._waiting.turn_to(queues)
            plan = self._claims.plan(queues)
        await self._find_homes(settlements)
        small: list[list[Settlement]] = []
        large: list[Settlement] = []
        for is_large, batch in batches(settlements):
            if is_large:
                large += batch
            else:
                small.append(batch)
        travelling = [asyncio.ensure_future(self._settle(self.bulk, [each], received)) for each in large]
        try:
            for number, batch in enumerate(small, 1):
                lane = self.second if self.commands.busy else self.commands
                await self._settle(lane, batch, received, plan if number == len(small) else None, limit)
            if plan is not None and not small:
                received.deliveries += (await self._claim(plan, limit)).deliveries
        finally:
            if travelling:
                await asyncio.gather(*travelling)

    def _reserve(self, plan: Plan, limit: int) -> tuple[Reservation, ClaimPart]:
        queue = self._waiting.queue
        limit = min(limit, CLAIM_LIMIT)
        first, arguments = self._claims.arguments(plan, limit, queue)
        return Reservation(first, limit, plan, queue), (plan.keys, arguments)

    async def _claim(self, plan: Plan, limit: int) -> Received:
        """Claim, without waiting; first of all what an earlier claim left."""
        try:
            await self._begin_claim()
            return await self._claim_now(plan, limit)
        finally:
            self._end_claim()

    async def _begin_claim(self) -> None:
        """From now on BLMOVE's messages are not delivered by :meth:`_take`, and those that were are confirmed.

        Claims take from the list that BLMOVE fills. One that overtakes take.lua, or whose reply comes before BLMOVE's
        (they travel on two connections), would bring a message that is delivered already once more.
        """
        self._claims_under_way += 1
        self._waiting.claims += 1
        if self._taking:
            await self.taken()

    def _end_claim(self) -> None:
        self._claims_under_way -= 1
        self._waiting.claims += 1

    async def _claim_now(self, plan: Plan, limit: int) -> Received:
        holdings = self._holdings
        if holdings.doubtful:
            await self._recover()
        if holdings.buffered:
            return Received(holdings.take(limit), [], self._revocations)
        fixed = self._claims.fixed_keys(self._waiting.waiter)
        reservation, (keys, arguments) = self._reserve(plan, limit)

        async def again() -> tuple[Sequence[bytes], Sequence[Any]]:
            nonlocal reservation
            holdings.doubt(reservation)
            reservation, (keys, arguments) = self._reserve(plan, limit)
            return (*fixed, *keys), arguments

        reply = await self.commands.link.run(
            CLAIM, (*fixed, *keys), arguments, orphan=lambda reply: self._orphaned(reply, reservation), again=again
        )
        deliveries = self._claimed(reply, reservation)
        # The reply to a claim that was cancelled may have come just before this one.
        return Received(deliveries or holdings.take(limit), [], self._revocations)

    def _claimed(self, reply: Any, reservation: Reservation) -> list[Delivery]:
        claimed = self._claims.read(reply, reservation.first, reservation.plan, reservation.queue)
        self._holdings.add(claimed)
        self._revocations = claimed.revocations
        self._any_marked = claimed.any_marked
        self._taken_in_a_row = 0
        self._due = None if claimed.next_due is None else asyncio.get_running_loop().time() + claimed.next_due
        if claimed.problem and claimed.problem not in self._problems:
            self._problems.add(claimed.problem)
            logger.error("a queue at %s cannot be read: %s", self._places.address.public, claimed.problem)
        return claimed.deliveries

    def _orphaned(self, reply: Any, reservation: Reservation) -> None:
        """The caller of a claim was cancelled: keep what it brought for the next one."""
        if isinstance(reply, Disconnected):
            self._holdings.doubt(reservation)
        elif not isinstance(reply, ReplyError):
            self._holdings.buffered.extend(self._claimed(reply, reservation))
        self._waiting.nudge()

    async def _settle(
        self, lane: Lane, batch: Sequence[Settlement], received: Received, plan: Plan | None = None, limit: int = 0
    ) -> None:
        """Settle one batch; what is refused and what is claimed goes into ``received``."""
        fixed = (*self._claims.fixed_keys(self._waiting.waiter), lane.record)
        self._any_marked = self._any_marked or any(each.disposition in MARKING for each in batch)
        encoded = encode(batch, self._context(fixed))
        reservation: Reservation | None = None
        part: ClaimPart | None = None
        if plan is not None:
            reservation, part = self._reserve(plan, limit)

        async def claim_again() -> ClaimPart:
            nonlocal reservation
            assert plan is not None
            assert reservation is not None
            self._holdings.doubt(reservation)
            reservation, part = self._reserve(plan, limit)
            return part

        def orphan(reply: Any) -> None:
            if reservation is not None and isinstance(reply, Disconnected):
                self._holdings.doubt(reservation)
            elif reservation is not None and not isinstance(reply, ReplyError):
                self._holdings.buffered.extend(self._claimed(reply[1], reservation))
            self._waiting.nudge()

        try:
            refused, claimed = await lane.settle(encoded, part, orphan, None if plan is None else claim_again)
        except OperationalError:
            if len(batch) == 1:
                raise
            await self._settle_apart(lane, batch, received)
            return
        self._holdings.forget(encoded.claims)
        received.refused += [encoded.claims[place - 1] for place in refused]
        if reservation is not None:
            received.deliveries += self._claimed(claimed, reservation)

    async def _settle_apart(self, lane: Lane, batch: Sequence[Settlement], received: Received) -> None:
        """One settlement spoils the batch (a key of another type, say): settle the others, then raise its error."""
        failure: OperationalError | None = None
        for settlement in batch:
            try:
                await self._settle(lane, [settlement], received)
            except OperationalError as error:
                if self._server.closed or lane.link.connection is None:
                    raise
                failure = error
        if failure is not None:
            raise failure

    def _context(self, fixed: tuple[bytes, ...]) -> Context:
        holdings, places = self._holdings, self._places
        return Context(
            self._keys,
            fixed,
            places.address.database,
            places.result_database,
            holdings.homes,
            holdings.marked,
            holdings.redelivered,
            places.chord_ordered,
        )

    async def _find_homes(self, settlements: Iterable[Settlement]) -> None:
        """Read where claims came from that this store did not make or knows to be lost."""
        homes = self._holdings.homes
        unknown = [
            settlement.claim
            for settlement in settlements
            if settlement.disposition in ENVELOPE_NEEDED and settlement.claim not in homes
        ]
        if unknown:
            entries = await self._control.call(b"HMGET", self._keys.unacked, *unknown)
            for claim, entry in zip(unknown, entries, strict=True):
                found = read_entry(entry) if entry is not None else None
                homes[claim] = self._home(found.routing_key, found.payload) if found else Home("", 0)

    def _home(self, queue: str, payload: bytes) -> Home:
        return Home(queue, self._keys.step_of(priority_of(payload)))

    async def _recover(self) -> None:
        """Read the claims again whose reply was lost; what they made is delivered next."""
        async with self._recovering:
            for reservation in list(self._holdings.doubtful):
                claims = self._claims.numbered(reservation.first, reservation.limit)
                keys = [self._keys.unacked, self._keys.leases, self._keys.deliveries]
                found = await self._control.run(RECOVER, keys, claims)
                self._holdings.looked(reservation)
                for at in range(0, len(found), 4):
                    place, entry, tag, record = found[at : at + 4]
                    read, claim = read_entry(entry), claims[place - 1]
                    if read is not None and claim not in self._holdings.homes:
                        delivery = Delivery(claim, read.routing_key, read.payload)
                        if record:
                            remember(delivery, record)
                        home = self._home(read.routing_key, read.payload)
                        self._holdings.found(delivery, home, tag, bool(record))
