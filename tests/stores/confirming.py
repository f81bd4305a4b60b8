"""A broker on Redis that confirms publications before it acknowledges, as RabbitMQ does; and an app that uses it.

As ``broker_url``: ``tests.stores.confirming:Broker://127.0.0.1:6379/0``. ``CONFIRMING_PAUSE`` is how many seconds pass
after each of its steps, which makes a crash between two of them likely.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import msgspec

from celeriac import Celeriac
from celeriac.stores import redis
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Outgoing, Received, Settlement, Store, SyncStore

from .apart import Apart

NAME = "tests.stores.confirming:Broker"


class Confirming(Apart):
    """Not atomic, and slow."""

    def __init__(self, broker: Store) -> None:
        super().__init__(broker)
        self._pause = float(os.environ.get("CONFIRMING_PAUSE", "0"))

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            await self._broker.publish([message])
            await asyncio.sleep(self._pause)

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        received = await super().settle(settlements, queues, limit)
        await asyncio.sleep(self._pause)
        return received


class Broker:
    """The plug-in."""

    @staticmethod
    def open_store(options: StoreOptions) -> Any:
        return Confirming(redis.open_store(_on_redis(options)))

    @staticmethod
    def open_sync_store(options: StoreOptions) -> SyncStore:
        return redis.open_sync_store(_on_redis(options))


def _on_redis(options: StoreOptions) -> StoreOptions:
    return msgspec.structs.replace(options, url=options.url.replace(NAME, "redis"))


app = Celeriac("chains")


@app.task(bind=True)
def step(self: Any, number: int) -> int:
    """One step of a chain: says in the ledger which one of which chain it was, and in which process."""
    line = f"{self.request.root_id} {number} {self.request.id} {os.getpid()}\n"
    descriptor = os.open(os.environ["CHAINS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
    return number + 1
