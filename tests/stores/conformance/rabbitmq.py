"""RabbitMQ with results in Redis, as the suite sees it: what it can do, and how to make its place empty."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any, Final

from msgspec import structs

from celeriac import envelope
from celeriac.routing import Exchange, Queue
from celeriac.stores import amqp, redis
from celeriac.stores.amqp import names
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.once import slot_queue
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Store
from celeriac.stores.two_stores import SyncTwoStores, TwoStores

from .family import Family

PRIORITIES: Final = 10
_QUEUES: Final = (
    *("work", "other", "one", "two", "three", "empty", "full", "void", "long", "short", "unknown"),
    *("ready", "held", "flying", "declared", names.REVOCATION_STREAM, "celeriac.dead"),
    *(slot_queue(name, slot, 1).name for name in ("beat", "sweep") for slot in ("12:00", "12:01")),
)
"""Every queue that the suite makes."""


class RabbitFamily(Family):
    """Messages in RabbitMQ, results in Redis.

    Args:
        url: of RabbitMQ.
        results: the URL of Redis.
        kind: of the queues, ``classic`` or ``quorum``.
        cleanup: closes the stores in the test's loop.
    """

    counts_all = False
    counts_lost_holders = False
    counted_come_last = True
    held_come_last = True
    largest_header = 2**63 - 1
    largest_float = "1e308"

    def __init__(self, url: str, results: str, kind: str, cleanup: AsyncExitStack) -> None:
        super().__init__("celeriac.stores.amqp", url, cleanup)
        self.results = results
        self.kind = kind
        self.lags = self.given_back_come_last = kind == "quorum"
        self.priorities = "strict" if kind == "classic" else "none"
        self.module = SimpleNamespace(open_store=self._open_store, open_sync_store=self._open_sync_store)

    def options(self, **options: Any) -> StoreOptions:
        queues = [_queue(name, self.kind) for name in _QUEUES[: _QUEUES.index(names.REVOCATION_STREAM)]]
        return super().options(**{"queues": tuple(queues), **options})

    def _open_store(self, options: StoreOptions) -> Store:
        return TwoStores(amqp.open_store(options), redis.open_store(self._backend(options)), options.lease)

    def _open_sync_store(self, options: StoreOptions) -> SyncTwoStores:
        return SyncTwoStores(amqp.open_sync_store(options), redis.open_sync_store(self._backend(options)))

    def _backend(self, options: StoreOptions) -> StoreOptions:
        return structs.replace(options, url=self.results, queues=())

    def urgency(self, step: int) -> int:
        """The highest number is served first, as Celery has it on RabbitMQ."""
        return PRIORITIES - 1 - step

    def beyond(self, step: int) -> int:
        return 0 if step else 99

    def canonical(self, payload: bytes) -> bytes:
        """AMQP carries a message's parts, not the text of its envelope, and nothing of how it was addressed."""
        message = envelope.decode(payload)
        kept = {"priority", "correlation_id", "reply_to", "expiration", "delivery_mode"}
        properties = {name: value for name, value in message.properties.items() if name in kept}
        properties.setdefault("priority", 0)
        headers = dict(sorted(message.headers.items()))
        return repr(
            (headers, sorted(properties.items()), message.body, message.content_type, message.content_encoding)
        ).encode()

    async def lose(self, store: Store) -> None:
        """Cut the connection, as the end of the process would."""
        broker: Any = store.broker  # type: ignore[attr-defined]  # TwoStores
        link: Link = broker._receiving
        connection: Any = link._connection
        connection._transport.abort()
        await asyncio.sleep(0.01)

    async def clear(self) -> None:
        """Drop everything that a test before may have left."""
        link = Link(StoreOptions(url=self.url), "clear")
        try:
            channel = await link.channel()
            for queue in _QUEUES:
                channel.delete_queue(queue)
            await channel.declare_queue("", exclusive=True, auto_delete=True, durable=False)
            await self._clear_ladder(link)
        finally:
            await link.close()

    @staticmethod
    async def _clear_ladder(link: Link) -> None:
        for kind in ("classic", "quorum"):
            channel = await link.channel()
            purged = [channel.purge(f"{names.DELAY}.{kind}.{bit}") for bit in range(names.BITS)]
            await asyncio.gather(*purged, return_exceptions=True)


def _queue(name: str, kind: str) -> Queue:
    exchange = Exchange(name)
    if kind == "quorum":
        return Queue(name, exchange, name, type="quorum")
    return Queue(name, exchange, name, max_priority=PRIORITIES)
