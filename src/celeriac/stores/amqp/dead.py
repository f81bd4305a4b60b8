"""Dead letters: a queue that nobody consumes.

A dead letter is the message itself, with headers that say where it came from, why and when it died. People look at the
queue by taking its messages and giving them back, on a channel of their own; so two who look at the same moment may see
less than all. Letters expire from the front, each at its own time.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from celeriac.exceptions import CorruptMessage, OperationalError
from celeriac.stores.amqp import ladder
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.declaring import Declarer
from celeriac.stores.amqp.names import DEAD_EXPIRATION, DEAD_ID, DEAD_LOSSES, DEAD_QUEUE, DEAD_REASON, DEAD_TIME
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.publishing import Publisher
from celeriac.stores.amqp.topology import MadeQueue
from celeriac.stores.amqp.translation import NO_MARKS, payload_of, remarked, visible
from celeriac.stores.amqp.wire import Incoming, Publication
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import DeadLetter

__all__ = ["DeadLetters", "letter"]

Letters = list[tuple[DeadLetter, Incoming]]

_AT_ONCE: Final = 200
_MILLISECONDS: Final = 1000


def letter(
    properties: bytes, body: bytes, queue: str, reason: str, losses: int, now: float, options: StoreOptions
) -> Publication:
    """A message on its way to the dead letters.

    Args:
        properties: its own, encoded.
        body: its own.
        queue: where it came from and is replayed to.
        reason: one line.
        losses: before it died.
        now: when it dies, seconds since the epoch.
        options: ``dead_letter_queue`` and ``dead_letter_expires`` count.
    """
    headers: dict[str, Any] = {
        DEAD_ID: uuid.uuid4().hex,
        DEAD_QUEUE: queue,
        DEAD_REASON: reason,
        DEAD_TIME: now,
        DEAD_LOSSES: losses,
    }
    expires = options.dead_letter_expires
    expiration = "" if expires is None else str(int(expires * _MILLISECONDS))
    try:
        own = Properties.decode(properties).expiration
        if own is not None:
            headers[DEAD_EXPIRATION] = own
        marked = remarked(properties, NO_MARKS, expiration=expiration, extra=headers)
    except CorruptMessage:
        marked = Properties(headers=headers, expiration=expiration or None, delivery_mode=2).encode()
    return Publication("", options.dead_letter_queue, marked, body)


class DeadLetters:
    """The dead letters of one store.

    Args:
        open_channel: makes a channel.
        declarer: makes the queue.
        publisher: replays.
        options: ``dead_letter_queue`` counts.
    """

    def __init__(
        self,
        open_channel: Callable[[], Awaitable[Channel]],
        declarer: Declarer,
        publisher: Publisher,
        options: StoreOptions,
    ) -> None:
        self._open_channel = open_channel
        self._declarer = declarer
        self._publisher = publisher
        self._queue = options.dead_letter_queue

    async def newest(self, limit: int, queue: str | None) -> list[DeadLetter]:
        """The newest first."""
        found = [each for each, _ in await self._walk() if queue is None or each.queue == queue]
        return found[::-1][:limit]

    async def find(self, id: str) -> DeadLetter | None:  # noqa: A002 - the interface's name
        """One letter."""
        return next((each for each, _ in await self._walk() if each.id == id), None)

    async def counts(self, queues: Iterable[str]) -> dict[str, int]:
        """How many letters each queue has."""
        counts = dict.fromkeys(queues, 0)
        (declared,) = await self._declarer.look([self._queue])
        if declared is None or not declared.messages:
            return counts
        for each, _ in await self._walk():
            if each.queue in counts:
                counts[each.queue] += 1
        return counts

    async def replay(self, ids: Sequence[str]) -> int:
        """Move letters back to their queues; returns how many."""
        return await self._take(ids, self._send_back)

    async def drop(self, ids: Sequence[str]) -> int:
        """Delete letters; returns how many."""
        return await self._take(ids, None)

    async def _send_back(self, letters: Letters) -> None:
        copies = [Publication("", each.queue, _replayed(incoming), incoming.body) for each, incoming in letters]
        failures = await self._publisher.deliver(copies)
        if failures:
            raise failures[0][1]

    async def _take(
        self,
        ids: Sequence[str],
        first: Callable[[Letters], Awaitable[None]] | None,
    ) -> int:
        wanted = set(ids)

        async def end(channel: Channel, letters: Letters) -> int:
            chosen = [each for each in letters if each[0].id in wanted]
            if first is not None and chosen:
                await first(chosen)
            channel.acknowledge([incoming.tag for _, incoming in chosen])
            return len(chosen)

        count: int = await self._with_all(end)
        return count

    async def _walk(self) -> Letters:
        async def everything(_: Channel, letters: Letters) -> Any:
            return letters

        letters: Letters = await self._with_all(everything)
        return letters

    async def _with_all(self, use: Callable[[Channel, Letters], Awaitable[Any]]) -> Any:
        """Take all letters, oldest first, use them, and give back those that were not acknowledged."""
        await self._declarer.run([MadeQueue(self._queue)])
        channel = await self._open_channel()
        try:
            incomings: list[Incoming] = []
            while True:
                asked = [channel.get(self._queue) for _ in range(_AT_ONCE)]
                got = await asyncio.gather(*asked)
                incomings += [each for each in got if each is not None]
                if got[-1] is None:
                    break
            found = await use(channel, [(self._read(each), each) for each in incomings])
            channel.reject([each.tag for each in incomings], requeue=True)  # of those that are left
            await channel.declare_queue(self._queue, passive=True)  # its answer comes when they are back
            return found
        finally:
            with contextlib.suppress(OperationalError):
                await channel.close()

    def _read(self, incoming: Incoming) -> DeadLetter:
        try:
            properties = Properties.decode(incoming.properties)
        except CorruptMessage:
            properties = Properties()
        headers = properties.headers or {}
        incoming = msgspec.structs.replace(incoming, redelivered=False)  # looking at it is no delivery
        payload = payload_of(_revived(properties), visible(headers), incoming, str(headers.get(DEAD_QUEUE, "")))
        if DEAD_ID in headers:
            return DeadLetter(
                str(headers[DEAD_ID]),
                str(headers.get(DEAD_QUEUE, "")),
                str(headers.get(DEAD_REASON, "")),
                float(headers.get(DEAD_TIME, 0.0)),
                int(headers.get(DEAD_LOSSES, 0)),
                payload,
            )
        # It came by the server's own way: its queue was gone when its delay was over.
        queue = ladder.target_of(incoming.routing_key)
        name = str(headers.get("id") or properties.correlation_id or f"{incoming.tag}")
        return DeadLetter(name, queue, "its queue was gone when its delay was over", 0.0, 0, payload)


def _revived(properties: Properties) -> Properties:
    """The properties that the message had while it lived."""
    expiration = (properties.headers or {}).get(DEAD_EXPIRATION)
    return msgspec.structs.replace(properties, expiration=expiration if isinstance(expiration, str) else None)


def _replayed(incoming: Incoming) -> bytes:
    revived = _revived(Properties.decode(incoming.properties))
    return remarked(incoming.properties, NO_MARKS, expiration=revived.expiration or "")
