"""Publishing with confirms on a connection of its own, which the server may block without holding up acknowledgements.

What the server has confirmed is stored. A publication whose confirmation was lost with the connection is sent again, so
it may be stored twice: a task's second copy has the same id.

Every message is mandatory. One that no queue takes comes back; when that is for want of a queue that may be made at
first use, the queue is made and the message sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import Any, Final, TypeVar

from celeriac.exceptions import OperationalError
from celeriac.stores.amqp import ladder
from celeriac.stores.amqp.addressing import Addressing
from celeriac.stores.amqp.channel import Channel, Refused
from celeriac.stores.amqp.declaring import Declarer
from celeriac.stores.amqp.errors import Blocked, ChannelClosed, Disconnected, unreachable
from celeriac.stores.amqp.link import Link, State
from celeriac.stores.amqp.posting import Posting
from celeriac.stores.amqp.refusals import missing_exchange, publication_error
from celeriac.stores.amqp.tasks import take_note
from celeriac.stores.amqp.topology import BoundQueue, MadeExchange, MadeQueue, Topology, made
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.backoff import pause_before
from celeriac.stores.bounds import may_retry, seconds_within
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Outgoing

__all__ = ["Failure", "Publisher"]

T = TypeVar("T")
Failure = tuple[Publication, Exception]
"""A publication that was not taken, and why."""

_MOST_AT_ONCE: Final = 2000
"""Publications that are sent before the first of them is confirmed: about a megabyte of small messages."""


class Publisher:
    """Publishes for one store.

    Args:
        link: to publish over.
        topology: what the queues are.
        options: ``publish_timeout``, ``dead_letter_queue`` and ``delayed_queue_type`` count.
    """

    def __init__(self, link: Link, topology: Topology, options: StoreOptions) -> None:
        self._link = link
        self._topology = topology
        self._options = options
        self._declarer = Declarer(link.channel, topology)
        self.addressing = Addressing(topology, options)
        self._posting = Posting(link)
        self._channel: Channel | None = None
        self._opening: asyncio.Task[Channel] | None = None
        self._known_exchanges: set[str] = set()
        self._targets: set[str] = set()
        self._ladder: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------------------------------------------- messages

    async def publish(self, messages: Sequence[Outgoing], now: float) -> None:
        """Send messages; the first that is not taken is the error.

        Raises:
            Unroutable, StoreFull, Blocked, OperationalError, BrokerUnreachable: not stored, or not known to be.
            EncodeError, CorruptMessage: a message cannot be written.
        """
        failures = await self.deliver(self.addressing.publications(messages, now))
        if failures:
            raise failures[0][1]

    async def broadcast(self, exchange: MadeExchange, publication: Publication) -> None:
        """Send to everybody who listens at an exchange now; nobody may."""
        if exchange.auto_delete or exchange.name not in self._known_exchanges:
            await self._declarer.run([exchange])
            self._known_exchanges.add(exchange.name)
        await self.deliver([publication])

    async def deliver(self, publications: Sequence[Publication]) -> list[Failure]:
        """Send publications and have them confirmed; returns those that were not taken.

        Raises:
            Blocked, OperationalError, BrokerUnreachable: it is not known which were stored.
        """
        failures: list[Failure] = []
        deadline = monotonic() + seconds_within(self._options.publish_timeout)
        for first in range(0, len(publications), _MOST_AT_ONCE):
            failures += await self._in_time(self._send(publications[first : first + _MOST_AT_ONCE]), deadline)
            deadline = monotonic() + seconds_within(self._options.publish_timeout)
        return failures

    async def reply(self, publications: Sequence[Publication], *, persistent: bool) -> None:
        """Send results to queues by their names; those that are gone get nothing.

        Args:
            publications: the results.
            persistent: to be confirmed, when they are stored; transient ones are only handed to their queues, see
                :mod:`~celeriac.stores.amqp.posting`.

        Raises:
            Blocked, OperationalError, BrokerUnreachable: it is not known which were taken.
            StoreFull: a queue takes no more.
        """
        if persistent:
            failures = await self.deliver(publications)
            if failures:
                raise failures[0][1]
            return
        for first in range(0, len(publications), _MOST_AT_ONCE):
            deadline = monotonic() + seconds_within(self._options.publish_timeout)
            await self._in_time(self._posting.post(publications[first : first + _MOST_AT_ONCE]), deadline)

    # -------------------------------------------------------------------------------------------------------- in steps

    async def _in_time(self, work: Coroutine[Any, Any, T], deadline: float) -> T:
        try:
            async with asyncio.timeout(max(0.0, deadline - monotonic())):
                return await work
        except TimeoutError:
            seconds, blocked = self._options.publish_timeout, self._link.blocked
            if self._link.state is not State.READY:
                raise unreachable(self._link.place, f"not within {seconds:g} seconds (publish_timeout)") from None
            if blocked is not None:
                raise Blocked(
                    f"{self._link.place} takes no messages ({blocked}): a publication was not confirmed within "
                    f"{seconds:g} seconds (publish_timeout); it may be stored when the alarm is over"
                ) from None
            raise OperationalError(
                f"{self._link.place} did not confirm a publication within {seconds:g} seconds (publish_timeout); it "
                "may be stored or not"
            ) from None

    async def _send(self, publications: Sequence[Publication]) -> list[Failure]:
        """Send until the server has said something about each; connections that break are made again."""
        while True:
            try:
                missing = await self._prepare(publications)
                sendable = [each for each in publications if each.exchange not in missing] if missing else publications
                channel = self._channel if self._channel is not None else await self._ready()
                refused = await channel.publish(sendable)
                failures = await self._repair(sendable, refused) if refused else []
            except ChannelClosed as error:
                self._known_exchanges.clear()
                if not (error.is_missing or error.is_mismatch):
                    raise
                continue
            except Disconnected:
                if not may_retry():
                    raise
                continue
            return [*[(each, missing_exchange(each)) for each in publications if each.exchange in missing], *failures]

    async def _repair(
        self, publications: Sequence[Publication], refused: Sequence[Refused], attempt: int = 1
    ) -> list[Failure]:
        """Make the queues that are missing and send to them again; the others have failed."""
        again: list[Publication] = []
        failures: list[Failure] = []
        for each in refused:
            publication = publications[each.index]
            target = publication.routing_key
            later = attempt == 1 if each.is_unroutable else self._topology.may_take_later(target, attempt)
            if later and not publication.exchange:
                again.append(publication)
            else:
                failures.append((publication, publication_error(publication, each)))
        if again:
            await self._declarer.declare({each.routing_key for each in again})
            if attempt > 1:
                await asyncio.sleep(pause_before(attempt - 1))
            channel = await self._ready()
            still = await channel.publish(again)
            failures += await self._repair(again, still, attempt + 1) if still else []
        return failures

    async def _prepare(self, publications: Sequence[Publication]) -> set[str]:
        """Make the exchanges that are needed; returns those that nobody knows."""
        new = {each.exchange for each in publications if each.exchange} - self._known_exchanges
        held = [each for each in publications if each.exchange.startswith(ladder.PREFIX)]
        if held:
            await self._prepare_ladder({ladder.target_of(each.routing_key) for each in held})
        missing = set()
        for name in new:
            if not name.startswith(ladder.PREFIX) and not await self._find_exchange(name):
                missing.add(name)
            else:
                self._known_exchanges.add(name)
        return missing

    async def _find_exchange(self, name: str) -> bool:
        """Make an exchange whose type is known with the queues that are bound to it; look for any other."""
        known = self._topology.exchange(name)
        if known is None:
            return await self._declarer.has_exchange(name)
        await self._declarer.run([made(known)])
        await self._declarer.declare(self._topology.bound_to(name))
        return True

    async def _prepare_ladder(self, queues: set[str]) -> None:
        """Make the ladder, once, and bind the queues that messages are held for."""
        if self._ladder is None or (self._ladder.done() and self._ladder.exception() is not None):
            self._ladder = asyncio.create_task(self._make_ladder())
            self._ladder.add_done_callback(take_note)
        await asyncio.shield(self._ladder)
        new = queues - self._targets
        if new:
            await self._declarer.declare(new)
            bindings = [BoundQueue(queue, ladder.DELAYED, ladder.pattern_of(queue)) for queue in new]
            await self._declarer.run(bindings)
            self._targets |= new

    async def _make_ladder(self) -> None:
        dead = self._options.dead_letter_queue
        await self._declarer.run([MadeQueue(dead), *ladder.declarations(self.addressing.delays, dead)])

    async def _ready(self) -> Channel:
        """The channel that publishes, made when there is none; callers at the same time share the making."""
        channel = self._channel
        if channel is not None and channel.closed is None:
            return channel
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(take_note)
        return await asyncio.shield(self._opening)

    async def _open(self) -> Channel:
        channel = await self._link.channel()
        channel.on_closed = self._closed
        try:
            await channel.confirm()
        except Disconnected:
            channel.close()
            raise
        self._channel = channel
        return channel

    def _closed(self, _: Disconnected) -> None:
        self._channel = None

    def forget(self, queue: str) -> None:
        """A queue was deleted: its bindings are to be made anew."""
        self._targets.discard(queue)

    async def close(self) -> None:
        """End what is under way."""
        await self._posting.close()
        for task in (self._opening, self._ladder):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})
