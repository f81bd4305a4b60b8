"""The families that the suite runs on: memory, two memory stores behind one face, SQLite and Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest

from celeriac.stores import memory

from ...servers import redis_server
from .family import Family, MemoryFamily, TwoStoresFamily


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One redis-server for the whole session."""
    with redis_server() as url:
        yield url


@pytest.fixture(params=["memory", "two stores", "sqlite", "redis"])
def make_family(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[AsyncExitStack], Family]]:
    """Makes an empty place of each family; the stack closes the stores that were opened there."""
    name: str = request.param
    module = f"celeriac.stores.{name}"
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

    if name == "redis":
        request.getfixturevalue("redis_url")
    makers = {"memory": make_memory, "two stores": make_two_stores, "sqlite": make_sqlite, "redis": make_redis}
    yield makers[name]
    memory.discard("conformance")
    memory.discard("conformance-results")


@pytest.fixture
def family(make_family: Callable[[AsyncExitStack], Family], async_cleanup: AsyncExitStack) -> Family:
    """An empty place of each family; what a test opens there is closed after it, in its own loop."""
    return make_family(async_cleanup)
