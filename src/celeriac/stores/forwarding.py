"""Stores that stand before another one and forward everything that has to do with messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from celeriac.stores.store import (
    Capabilities,
    DeadLetter,
    Outgoing,
    QueueCounts,
    Received,
    Revocation,
    Store,
    SyncStore,
)

__all__ = ["Forwarding", "SyncForwarding"]


class Forwarding:
    """Forwards everything that has to do with messages to the broker."""

    capabilities: Capabilities

    def __init__(self, broker: Store) -> None:
        self.broker = broker

    async def open(self) -> None:
        """Open the broker."""
        await self.broker.open()

    async def close(self) -> None:
        """Close the broker."""
        await self.broker.close()

    async def declare(self, queues: Sequence[str]) -> None:
        """See :meth:`celeriac.stores.store.Store.declare`."""
        await self.broker.declare(queues)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """See :meth:`celeriac.stores.store.Store.publish`."""
        await self.broker.publish(messages)

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> Received:
        """See :meth:`celeriac.stores.store.Store.receive`."""
        return await self.broker.receive(queues, limit, timeout)

    async def renew(self, claims: Sequence[bytes]) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.renew`."""
        return await self.broker.renew(claims)

    async def counts(self, queues: Sequence[str]) -> dict[str, QueueCounts]:
        """See :meth:`celeriac.stores.store.Store.counts`."""
        return await self.broker.counts(queues)

    async def queues(self) -> list[str]:
        """See :meth:`celeriac.stores.store.Store.queues`."""
        return await self.broker.queues()

    async def peek(self, queue: str, limit: int) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.peek`."""
        return await self.broker.peek(queue, limit)

    async def purge(self, queue: str) -> int:
        """See :meth:`celeriac.stores.store.Store.purge`."""
        return await self.broker.purge(queue)

    async def dead_letters(self, limit: int = 1000, queue: str | None = None) -> list[DeadLetter]:
        """See :meth:`celeriac.stores.store.Store.dead_letters`."""
        return await self.broker.dead_letters(limit, queue)

    async def dead_letter(self, id: str) -> DeadLetter | None:  # noqa: A002 - the interface's name
        """See :meth:`celeriac.stores.store.Store.dead_letter`."""
        return await self.broker.dead_letter(id)

    async def replay(self, ids: Sequence[str]) -> int:
        """See :meth:`celeriac.stores.store.Store.replay`."""
        return await self.broker.replay(ids)

    async def drop(self, ids: Sequence[str]) -> int:
        """See :meth:`celeriac.stores.store.Store.drop`."""
        return await self.broker.drop(ids)

    async def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """See :meth:`celeriac.stores.store.Store.revoke`."""
        await self.broker.revoke(revocations, lifetime)

    async def revocations(self, after: int = 0) -> tuple[int, list[Revocation]]:
        """See :meth:`celeriac.stores.store.Store.revocations`."""
        return await self.broker.revocations(after)

    async def claim_once(self, name: str, slot: str, lifetime: float) -> bool:
        """See :meth:`celeriac.stores.store.Store.claim_once`."""
        return await self.broker.claim_once(name, slot, lifetime)

    async def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        """See :meth:`celeriac.stores.store.Store.broadcast`."""
        await self.broker.broadcast(exchange, payload, routing_key)

    def inbox(self, exchange: str) -> AsyncIterator[bytes]:
        """See :meth:`celeriac.stores.store.Store.inbox`."""
        return self.broker.inbox(exchange)


class SyncForwarding:
    """Forwards everything that has to do with messages to the broker."""

    capabilities: Capabilities

    def __init__(self, broker: SyncStore) -> None:
        self.broker = broker

    def close(self) -> None:
        """Close the broker."""
        self.broker.close()

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """See :meth:`celeriac.stores.store.Store.publish`."""
        self.broker.publish(messages)

    def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """See :meth:`celeriac.stores.store.Store.revoke`."""
        self.broker.revoke(revocations, lifetime)

    def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        """See :meth:`celeriac.stores.store.Store.broadcast`."""
        self.broker.broadcast(exchange, payload, routing_key)
