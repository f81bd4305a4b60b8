"""The asynchronous store on RabbitMQ: messages only, results are another store's.

Two connections: one publishes, since the server may stop reading from it while it is short of memory or disk; the other
one receives, acknowledges and asks.

What holds a lease here is the connection: when it ends, the server gives its messages to others. There is nothing to
renew, but claims of a connection that is gone are refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

from celeriac.exceptions import CeleriacError, OperationalError, StoreFull
from celeriac.ids import new_incarnation
from celeriac.stores.amqp import native
from celeriac.stores.amqp.capabilities import CAPABILITIES
from celeriac.stores.amqp.claims import Claims
from celeriac.stores.amqp.dead import DeadLetters
from celeriac.stores.amqp.declaring import Declarer
from celeriac.stores.amqp.inboxes import Inboxes, exchange_of
from celeriac.stores.amqp.inspection import Inspection
from celeriac.stores.amqp.intake import FEW, Intake
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.once import slot_message, slot_queue
from celeriac.stores.amqp.outages import Outages
from celeriac.stores.amqp.parking import CONSUMER_TIMEOUT, Parking
from celeriac.stores.amqp.publishing import Publisher
from celeriac.stores.amqp.settling import Settling
from celeriac.stores.amqp.stream import Stream
from celeriac.stores.amqp.topology import Topology, made
from celeriac.stores.amqp.translation import content_of
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.no_results import ResultsDisabled, WorkflowsUnsupported
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import (
    REVOCATIONS,
    DeadLetter,
    Document,
    Outgoing,
    QueueCounts,
    Received,
    Recorded,
    ResultRecord,
    Revocation,
    Settlement,
)

__all__ = ["AmqpStore"]

_CLOSE_TIMEOUT: Final = 2.0
"""Seconds for giving back at the end; after that the server does it when the connection ends."""


class AmqpStore:
    """See :class:`celeriac.stores.store.Store`."""

    capabilities = CAPABILITIES

    def __init__(self, options: StoreOptions, results: StoreOptions | None = None) -> None:
        self._options = options
        self._topology = topology = Topology(options)
        outages = Outages()
        self._receiving = Link(options, "receive", outages=outages)
        self._publishing = Link(options, "publish", outages=outages)
        incarnation = new_incarnation()
        self._claims = Claims(incarnation)
        self._publisher = Publisher(self._publishing, topology, options)
        self._declarer = declarer = Declarer(self._receiving.channel, topology)
        self._entries = Link(options, "revocations", outages=outages)
        writer = Publisher(self._entries, topology, options)
        self._stream = Stream(self._entries, writer, Declarer(self._entries.channel, topology))
        self._intake = Intake(self._receiving, self._claims, declarer, self._publisher)
        self._settling = Settling(self._claims, self._publisher, topology, options, results)
        timeout = float(str(options.transport_options.get("consumer_timeout", CONSUMER_TIMEOUT)))
        self._parking = Parking(self._receiving.channel, self._claims, declarer, self._publisher, incarnation, timeout)
        self._dead = DeadLetters(self._receiving.channel, declarer, self._publisher, options)
        self._inspection = Inspection(self._receiving.channel, declarer, self._dead)
        self._inboxes = Inboxes(self._receiving, topology)
        self._used: set[str] = set(topology.names)
        self._closed = False

    # ------------------------------------------------------------------------------------------------------ life cycle

    async def open(self) -> None:
        """Connect.

        Raises:
            BrokerUnreachable: no node can be reached; BrokerRefused: it refuses us.
        """
        await self._receiving.open()

    async def close(self) -> None:
        """Give back what was not handed over; then disconnect. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._settling.acknowledging.flush()
        self._inboxes.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._intake.close()
                await self._parking.close()
        except (CeleriacError, TimeoutError):
            pass  # the server does it when the connection ends
        await self._stream.close()
        await self._publisher.close()
        await asyncio.gather(self._receiving.close(), self._publishing.close(), self._entries.close())

    # -------------------------------------------------------------------------------------------------------- messages

    async def declare(self, queues: Sequence[str]) -> None:
        """Make the queues, their exchanges and bindings, as Celery does.

        Raises:
            QueueMismatch: a queue exists with other arguments; it is named, and the others are made all the same.
        """
        self._used.update(queues)
        await self._intake.declare(queues)
        if self._topology.has_quorum and self._options.native_delays:
            back = [each for queue in queues for each in native.ways_back(self._topology.queue(queue))]
            if back:
                await self._declarer.run([*native.layout(self._options.delayed_queue_type), *back])

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """See :meth:`celeriac.stores.store.Store.publish`."""
        if messages:
            self._used.update([each.queue for each in messages if each.queue])
            await self._publisher.publish(messages, time.time())

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> Received:
        """See :meth:`celeriac.stores.store.Store.receive`."""
        self._check_open()
        self._parking.watch()
        deliveries = await self._intake.receive(queues, limit, timeout)
        return Received(deliveries, [], self._stream.count)

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        """See :meth:`celeriac.stores.store.Store.settle`."""
        refused = await self._settling.settle(settlements) if settlements else []
        if limit <= 0 or not queues:
            return Received([], refused, self._stream.count)
        if self._intake.consuming or limit > FEW:
            deliveries = self._intake.take(queues, limit)
        else:
            deliveries = await self._intake.fetch(queues, limit)
        return Received(deliveries, refused, self._stream.count)

    async def renew(self, claims: Sequence[bytes]) -> list[bytes]:
        """Return the claims whose connection is gone; the server renews the others with its heartbeats."""
        return list(self._claims.lost(claims))

    # --------------------------------------------------------------------------------------------------- for people

    async def counts(self, queues: Sequence[str]) -> dict[str, QueueCounts]:
        """How many messages are ready and dead; what the server does not say is None."""
        return await self._inspection.counts(queues)

    async def queues(self) -> list[str]:
        """Those of the queues that are declared or were used here that hold ready messages: AMQP cannot list them."""
        return await self._inspection.holding(sorted(self._used))

    async def peek(self, queue: str, limit: int) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.peek`."""
        return await self._inspection.peek(queue, limit)

    async def purge(self, queue: str) -> int:
        """Drop all ready messages of a queue; returns how many. What is held for it stays."""
        return await self._inspection.purge(queue)

    async def dead_letters(self, limit: int = 1000, queue: str | None = None) -> list[DeadLetter]:
        """The newest dead letters first."""
        return await self._dead.newest(limit, queue)

    async def dead_letter(self, id: str) -> DeadLetter | None:  # noqa: A002 - the interface's name
        """One dead letter, None when there is none of that id."""
        return await self._dead.find(id)

    async def replay(self, ids: Sequence[str]) -> int:
        """See :meth:`celeriac.stores.store.Store.replay`."""
        return await self._dead.replay(ids)

    async def drop(self, ids: Sequence[str]) -> int:
        """Delete dead letters; returns how many there were."""
        return await self._dead.drop(ids)

    # -------------------------------------------------------------------------------------------------------- results

    async def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Raise ResultsDisabled: RabbitMQ holds messages only."""
        raise ResultsDisabled

    async def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled

    async def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Raise ResultsDisabled."""
        raise ResultsDisabled
        yield ("", b"")  # pragma: no cover - makes this an iterator

    async def forget(self, task_ids: Sequence[str]) -> None:
        """Do nothing: there is nothing to forget."""

    async def store_documents(self, documents: Sequence[Document]) -> None:
        """Raise WorkflowsUnsupported."""
        raise WorkflowsUnsupported

    async def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """Raise WorkflowsUnsupported."""
        raise WorkflowsUnsupported

    async def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Do nothing: there is nothing to drop."""

    async def chord_parts(self, group_id: str) -> list[bytes]:
        """Raise WorkflowsUnsupported."""
        raise WorkflowsUnsupported

    async def record(self, settlements: Sequence[Settlement], published: Sequence[str] = ()) -> list[Recorded]:
        """Raise WorkflowsUnsupported."""
        raise WorkflowsUnsupported

    # ---------------------------------------------------------------------------------------------- between programs

    async def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """See :meth:`celeriac.stores.store.Store.revoke`."""
        if revocations:
            await self._stream.revoke(revocations, lifetime)

    async def revocations(self, after: int = 0) -> tuple[int, list[Revocation]]:
        """See :meth:`celeriac.stores.store.Store.revocations`."""
        return await self._stream.revocations(after)

    async def claim_once(self, name: str, slot: str, lifetime: float) -> bool:
        """See :meth:`celeriac.stores.store.Store.claim_once`."""
        queue = slot_queue(name, slot, lifetime)
        await self._declarer.run([queue])
        failures = await self._publisher.deliver([slot_message(queue.name)])
        if not failures:
            return True
        if isinstance(failures[0][1], StoreFull):
            return False
        raise failures[0][1]

    async def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        """See :meth:`celeriac.stores.store.Store.broadcast`."""
        if exchange == REVOCATIONS:
            await self._stream.broadcast(payload)
            return
        content = content_of(payload)
        await self._publisher.broadcast(
            made(exchange_of(self._topology, exchange)),
            Publication(exchange, routing_key, content.properties, content.body, mandatory=False),
        )

    def inbox(self, exchange: str) -> AsyncIterator[bytes]:
        """See :meth:`celeriac.stores.store.Store.inbox`."""
        return self._stream.inbox() if exchange == REVOCATIONS else self._inboxes.listen(exchange)

    def _check_open(self) -> None:
        if self._closed:
            raise OperationalError(f"this store at {self._receiving.place} is closed")
