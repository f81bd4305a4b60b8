"""The families that the suite runs on: memory, two memory stores behind one face, SQLite and Redis."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest

from celeriac.stores import memory

from .family import Family, MemoryFamily, TwoStoresFamily


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One redis-server for the whole session."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    servers = pytest.importorskip("tests.servers", reason="tests/servers.py starts the redis-server")
    with servers.redis_server() as url:
        yield url


def _is_there(module: str) -> bool:
    found = importlib.util.find_spec(module)
    return found is not None and hasattr(importlib.import_module(module), "open_store")


@pytest.fixture(params=["memory", "two stores", "sqlite", "redis"])
def make_family(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[AsyncExitStack], Family]]:
    """Makes an empty place of each family; the stack closes the stores that were opened there."""
    name: str = request.param
    module = f"celeriac.stores.{name}"
    if name in ("sqlite", "redis") and not _is_there(module):
        pytest.skip(f"{module} has no open_store yet")
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
