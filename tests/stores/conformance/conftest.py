"""The families that the suite runs on: memory, two memory stores behind one face, SQLite, Redis (alone, with
Sentinel, as a cluster), and RabbitMQ with Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest

from celeriac.stores import memory

from ...deployments import Cluster, Sentinels, redis_cluster, redis_sentinels
from ...rabbitmq import RabbitServer
from ...servers import redis_server
from .family import Family, MemoryFamily, TwoStoresFamily


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One redis-server for the whole session."""
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def sentinels() -> Iterator[Sentinels]:
    """One master with replicas and sentinels for the whole session."""
    with redis_sentinels() as made:
        yield made


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One cluster for the whole session."""
    with redis_cluster() as made:
        yield made


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq: RabbitServer) -> str:
    """One virtual host for the whole suite, which is emptied before each test: that is faster than a new one."""
    return rabbitmq.virtual_host()


FAMILIES = (
    *("memory", "two stores", "sqlite"),
    *("redis", "redis sentinel", "redis cluster"),
    *("rabbitmq classic", "rabbitmq quorum"),
)


@pytest.fixture(params=FAMILIES)
def make_family(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[AsyncExitStack], Family]]:
    """Makes an empty place of each family; the stack closes the stores that were opened there."""
    name: str = request.param
    module = f"celeriac.stores.{'redis' if name.startswith(('rabbitmq', 'redis')) else name}"
    numbers = count(1)

    def make_memory(cleanup: AsyncExitStack) -> Family:
        memory.discard("conformance")
        return MemoryFamily(cleanup)

    def make_two_stores(cleanup: AsyncExitStack) -> Family:
        memory.discard("conformance")
        memory.discard("conformance-results")
        return TwoStoresFamily(cleanup)

    def make_sqlite(cleanup: AsyncExitStack) -> Family:
        return Family(module, f"sqlite:///{tmp_path}/store{next(numbers)}.sqlite3", cleanup)

    def make_redis(cleanup: AsyncExitStack) -> Family:
        import redis

        url: str = request.getfixturevalue("redis_url")
        with redis.Redis.from_url(url) as client:
            client.flushall()
        return Family(module, url, cleanup)

    def make_deployed(cleanup: AsyncExitStack) -> Family:
        deployment = request.getfixturevalue(deployments[name])
        deployment.clear()
        return Family(module, deployment.url, cleanup)

    def make_rabbitmq(cleanup: AsyncExitStack) -> Family:
        from .rabbitmq import RabbitFamily

        results = make_redis(cleanup).url
        family = RabbitFamily(request.getfixturevalue("rabbitmq_url"), results, name.partition(" ")[2], cleanup)
        asyncio.run(family.clear())
        return family

    makers = {"memory": make_memory, "two stores": make_two_stores, "sqlite": make_sqlite, "redis": make_redis}
    deployments = {"redis sentinel": "sentinels", "redis cluster": "cluster"}
    makers |= dict.fromkeys(deployments, make_deployed)
    if name not in makers:
        request.getfixturevalue("rabbitmq_url")
    if name in deployments:
        request.getfixturevalue(deployments[name])
    if name not in makers or name == "redis":
        request.getfixturevalue("redis_url")
    yield makers.get(name, make_rabbitmq)
    memory.discard("conformance")
    memory.discard("conformance-results")


@pytest.fixture
def family(make_family: Callable[[AsyncExitStack], Family], async_cleanup: AsyncExitStack) -> Family:
    """An empty place of each family; what a test opens there is closed after it, in its own loop."""
    return make_family(async_cleanup)
