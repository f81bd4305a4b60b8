"""Parking: how a task may run for longer than the server waits for an acknowledgement.

RabbitMQ closes a channel on which a delivery is not acknowledged within its ``consumer_timeout`` (30 minutes), and
gives all its messages to others. So what we have had for half of that time is moved, and moved again each time:

1. A copy goes to a queue of our own, ``celeriac.parked.<incarnation>``, and is confirmed.
2. We consume that queue, so the copy comes back to us at once, as a delivery that is new.
3. The claim is moved to the new delivery, and the old one is acknowledged.

When we die the copy is ready again in our queue. It has been there for longer than a message may be, so the server
dead-letters it, which means: back to the queue that it came from. Our queue goes when it was not used for an hour.

A crash between two steps leaves the message in two places, and the task runs twice. A task that ends meanwhile ends
both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from celeriac.exceptions import CeleriacError, CorruptMessage, OperationalError
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.claims import Claims, Held
from celeriac.stores.amqp.declaring import Declarer
from celeriac.stores.amqp.errors import Disconnected
from celeriac.stores.amqp.names import PARKED, PARKED_CLAIM
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.publishing import Publisher
from celeriac.stores.amqp.topology import BoundQueue, MadeExchange, MadeQueue
from celeriac.stores.amqp.translation import remarked
from celeriac.stores.amqp.wire import Incoming, Publication

__all__ = ["CONSUMER_TIMEOUT", "Parking"]

logger = logging.getLogger("celeriac.stores.amqp")

CONSUMER_TIMEOUT: Final = 1800.0
"""Seconds; RabbitMQ's own default."""
_PARKED_AFTER: Final = 0.5
"""Share of the time-out after which a delivery is moved. The server looks once a minute."""
_LOOK_EACH: Final = 0.1
"""Share of the time-out between two looks."""
_AT_ONCE: Final = 100
_LIFETIME: Final = 10_000
"""Milliseconds that a copy may wait for us; we are there."""
_UNUSED: Final = 3_600_000
"""Milliseconds after which the server deletes the queue of a worker that is gone."""


class Parking:
    """Parks for one store.

    Args:
        open_channel: makes a channel.
        claims: what may have to be moved.
        declarer: makes our queue.
        publisher: copies.
        incarnation: of the store.
        timeout: the server's ``consumer_timeout``, seconds.
    """

    def __init__(
        self,
        open_channel: Callable[[], Awaitable[Channel]],
        claims: Claims,
        declarer: Declarer,
        publisher: Publisher,
        incarnation: bytes,
        timeout: float,
    ) -> None:
        self._open_channel = open_channel
        self._claims = claims
        self._declarer = declarer
        self._publisher = publisher
        self._name = incarnation.decode()
        self._queue = f"{PARKED}.{self._name}"
        self._timeout = timeout
        self._channel: Channel | None = None
        self._bound: set[str] = set()
        self._watching: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Begin to look after the claims."""
        if self._watching is None and self._timeout > 0:
            self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look no more, and take our queue away."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        channel = self._channel
        if channel is not None and channel.closed is None and not any(held.parked for _, held in self._claims.items()):
            await asyncio.gather(channel.delete_queue(self._queue, if_empty=True), return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._timeout * _LOOK_EACH)
            before = asyncio.get_running_loop().time() - self._timeout * _PARKED_AFTER
            old = [(claim, held) for claim, held in self._claims.items() if held.since <= before]
            for first in range(0, len(old), _AT_ONCE):
                try:
                    await self._park(old[first : first + _AT_ONCE])
                except CeleriacError as error:
                    logger.warning("messages of long tasks could not be parked, trying again: %s", error)

    async def _park(self, old: Sequence[tuple[bytes, Held]]) -> None:
        await self._prepare({held.queue for _, held in old})
        copies = []
        for claim, held in old:
            try:
                copies.append(self._copy(claim, held))
            except CorruptMessage:
                continue  # admission says what it is
        failures = await self._publisher.deliver(copies)
        for publication, error in failures:
            logger.warning("the message of a long task could not be parked: %s (%s)", publication.routing_key, error)

    def _copy(self, claim: bytes, held: Held) -> Publication:
        extra = {PARKED_CLAIM: claim.decode()}
        properties = remarked(held.incoming.properties, held.marks, expiration="", extra=extra)
        return Publication(PARKED, f"{self._name}.{held.queue}", properties, held.incoming.body)

    async def _prepare(self, queues: set[str]) -> None:
        """Have our queue, its way back and our consumer."""
        back = f"{PARKED}.back"
        if self._channel is None or self._channel.closed is not None:
            arguments: dict[str, Any] = {
                "x-message-ttl": _LIFETIME,
                "x-expires": _UNUSED,
                "x-dead-letter-exchange": back,
            }
            await self._declarer.run(
                [
                    MadeExchange(PARKED, "topic"),
                    MadeExchange(back, "topic"),
                    MadeQueue(self._queue, arguments),
                    BoundQueue(self._queue, PARKED, f"{self._name}.#"),
                ]
            )
            channel = await self._open_channel()
            channel.on_closed = self._closed
            try:
                await channel.consume(self._queue, self._arrived, prefetch=0)
            except OperationalError:
                channel.close()
                raise
            self._channel = channel
        new = queues - self._bound
        if new:
            # One word before the name, so that names with dots are told apart.
            await self._declarer.run([BoundQueue(queue, back, f"*.{queue}") for queue in new])
            self._bound |= new

    def _closed(self, _: Disconnected) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            self._claims.lose(channel)

    def _arrived(self, incomings: list[Incoming]) -> None:
        """Our copies are back: move the claims to them."""
        channel = self._channel
        assert channel is not None
        done: list[int] = []
        for incoming in incomings:
            held = self._claims.get(_claim_of(incoming))
            if held is None:  # it has ended meanwhile
                done.append(incoming.tag)
                continue
            old, tag = held.channel, held.incoming.tag
            held.channel, held.incoming, held.parked = channel, incoming, True
            held.since = asyncio.get_running_loop().time()
            old.acknowledge([tag])
        if done:
            channel.acknowledge(done)


def _claim_of(incoming: Incoming) -> bytes:
    try:
        found = (Properties.decode(incoming.properties).headers or {}).get(PARKED_CLAIM)
    except CorruptMessage:
        return b""
    return found.encode() if isinstance(found, str) else b""
