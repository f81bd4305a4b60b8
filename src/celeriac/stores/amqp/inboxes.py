"""Broadcasts: a fanout exchange, and a queue of its own for everybody who listens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

from celeriac.exceptions import OperationalError
from celeriac.routing import Exchange
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.declaring import request_of
from celeriac.stores.amqp.errors import Disconnected
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.names import EVENT_EXCHANGE
from celeriac.stores.amqp.topology import Topology, made
from celeriac.stores.amqp.translation import read
from celeriac.stores.amqp.wire import Incoming

__all__ = ["Inboxes", "exchange_of"]

ALL_KEYS = "#"


def exchange_of(topology: Topology, name: str) -> Exchange:
    """The exchange that a broadcast goes to: as it is declared, else a fanout exchange that goes with its listeners."""
    return topology.exchange(name) or Exchange(name, "fanout", auto_delete=True)


def _broke(broken: asyncio.Event, inbox: asyncio.Queue[bytes | None], _: Disconnected) -> None:
    broken.set()
    inbox.put_nowait(b"")


class Inboxes:
    """The inboxes of one store.

    Args:
        link: to listen over.
        topology: what is known of exchanges.
    """

    def __init__(self, link: Link, topology: Topology) -> None:
        self._link = link
        self._topology = topology
        self._queues: set[asyncio.Queue[bytes | None]] = set()
        self._closed = False

    async def listen(self, exchange: str) -> AsyncIterator[bytes]:
        """What is broadcast to the exchange from the first iteration on; the listening is begun anew when it breaks."""
        inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queues.add(inbox)
        broken = asyncio.Event()
        broken.set()
        channel = None
        try:
            while not self._closed:
                if broken.is_set():
                    broken.clear()
                    channel = await self._link.channel()
                    channel.on_closed = partial(_broke, broken, inbox)
                    await self._begin(channel, exchange, inbox)
                payload = await inbox.get()
                if payload is None:
                    return
                if payload:
                    yield payload
        finally:
            self._queues.discard(inbox)
            if channel is not None and channel.closed is None:
                with contextlib.suppress(OperationalError, asyncio.CancelledError):
                    await channel.close()

    async def _begin(self, channel: Channel, exchange: str, inbox: asyncio.Queue[bytes | None]) -> None:
        def arrived(incomings: list[Incoming]) -> None:
            for incoming in incomings:
                inbox.put_nowait(read(incoming)[0])

        source = exchange_of(self._topology, exchange)
        declared = channel.call(request_of(made(source)))
        queue = (await channel.declare_queue("", durable=False, exclusive=True, auto_delete=True)).queue
        await declared
        await channel.bind_queue(queue, exchange, ALL_KEYS if exchange == EVENT_EXCHANGE else "")
        await channel.consume(queue, arrived, prefetch=0, no_ack=True, exclusive=True)

    def close(self) -> None:
        """End all listening."""
        self._closed = True
        for inbox in self._queues:
            inbox.put_nowait(None)
