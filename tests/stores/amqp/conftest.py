"""Servers, links and networks for the tests of RabbitMQ."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.sync_pool import SyncPool
from celeriac.stores.options import StoreOptions
from tests.proxy import Proxy, proxy_to
from tests.rabbitmq import RabbitServer, rabbitmq_server

OpenLink = Callable[..., Any]


@pytest.fixture
def own_rabbitmq() -> Iterator[RabbitServer]:
    """A server that the test may stop."""
    with rabbitmq_server(name="own") as server:
        yield server


@pytest.fixture(scope="session")
def tls_rabbitmq() -> Iterator[RabbitServer]:
    """A server that speaks TLS only."""
    with rabbitmq_server(tls=True, name="tls") as server:
        yield server


@pytest.fixture
def vhost_url(rabbitmq: RabbitServer) -> str:
    """The URL of an empty virtual host."""
    return rabbitmq.virtual_host()


@pytest.fixture
def queue() -> str:
    """The name of a queue that nobody else uses."""
    return f"queue-{uuid.uuid4().hex}"


@pytest.fixture
def proxy(rabbitmq: RabbitServer) -> Iterator[Proxy]:
    """A network before the server."""
    with proxy_to(rabbitmq.address) as running:
        yield running


@pytest.fixture
def open_link(rabbitmq: RabbitServer, async_cleanup: AsyncExitStack) -> OpenLink:
    """Open links; they are closed after the test."""

    async def opened(
        *, through: Proxy | None = None, url: str = "", callbacks: dict[str, Any] | None = None, **options: Any
    ) -> Link:
        place = f"amqp://127.0.0.1:{through.port}" if through else url or str(rabbitmq)
        link = Link(StoreOptions(url=place, **options), "test", **(callbacks or {}))
        async_cleanup.push_async_callback(link.close)
        await link.open()
        return link

    return opened


@pytest.fixture
def open_pool(rabbitmq: RabbitServer) -> Iterator[Callable[..., SyncPool]]:
    """Make pools; they are closed after the test."""
    pools: list[SyncPool] = []

    def opened(*, through: Proxy | None = None, url: str = "", **options: Any) -> SyncPool:
        place = f"amqp://127.0.0.1:{through.port}" if through else url or str(rabbitmq)
        pools.append(SyncPool(StoreOptions(url=place, **options)))
        return pools[-1]

    yield opened
    for pool in pools:
        pool.close()
