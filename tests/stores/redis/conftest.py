"""Servers, stores and networks for the tests of the Redis store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis

from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.store import RedisStore
from celeriac.stores.redis.sync import RedisSyncStore
from tests.servers import RedisServer, redis_server

from .proxy import Proxy, proxy_to

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def shared_server() -> Iterator[RedisServer]:
    """One server for the tests of a module."""
    with redis_server() as server:
        yield server


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    """An empty server."""
    with redis.Redis.from_url(shared_server) as client:
        client.flushall()
        client.script_flush()
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_resetstat()
    return shared_server


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A server that the test may stop."""
    with redis_server(appendonly=True) as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[Any]:
    """Another program on that server."""
    with redis.Redis.from_url(server) as connected:
        yield connected


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    """A network before that server."""
    with proxy_to(server.address) as running:
        yield running


@pytest.fixture
def open_store(server: RedisServer, async_cleanup: AsyncExitStack) -> Open:
    """Open stores; they are closed after the test."""

    async def opened(
        *, through: Proxy | None = None, results: StoreOptions | None = None, url: str = "", **options: Any
    ) -> RedisStore:
        place = f"redis://127.0.0.1:{through.port}/0" if through else url or str(server)
        store = RedisStore(StoreOptions(url=place, **options), results)
        await store.open()
        async_cleanup.push_async_callback(store.close)
        return store

    return opened


@pytest.fixture
def open_sync(server: RedisServer) -> Iterator[Open]:
    """Make synchronous stores; they are closed after the test."""
    stores: list[RedisSyncStore] = []

    def opened(
        *, through: Proxy | None = None, results: StoreOptions | None = None, url: str = "", **options: Any
    ) -> RedisSyncStore:
        place = f"redis://127.0.0.1:{through.port}/0" if through else url or str(server)
        stores.append(RedisSyncStore(StoreOptions(url=place, **options), results))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()
