"""Names become pools, or errors that say what to do."""

from __future__ import annotations

from typing import Any

import pytest

from celeriac.exceptions import ImproperlyConfigured, UnsupportedOption
from celeriac.pools import create_pool
from celeriac.pools.pool import PoolOptions


def options(**fields: Any) -> PoolOptions:
    return PoolOptions(**{"children": 1, "runner": "tests.pools.runners:make", "arguments": {}, **fields})


@pytest.mark.parametrize("name", ["gevent", "eventlet"])
def test_pools_of_a_later_release_say_so(name: str) -> None:
    with pytest.raises(UnsupportedOption, match=f"'{name}' .* comes with a later release: use 'threads'"):
        create_pool(name, options())


def test_an_unknown_pool_suggests_the_nearest_name() -> None:
    with pytest.raises(ImproperlyConfigured, match="did you mean 'prefork'"):
        create_pool("perfork", options())


def test_an_unknown_pool_that_resembles_none_lists_all() -> None:
    with pytest.raises(ImproperlyConfigured, match="prefork, processes, threads, asyncio, solo"):
        create_pool("xyz", options())


def test_an_unknown_start_method_suggests_the_nearest_name() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"worker_start_method.*did you mean 'forkserver'"):
        create_pool("prefork", options(start_method="fork_server"))


@pytest.mark.parametrize("fields", [{"children": 0}, {"capacity": 0}])
def test_a_pool_without_slots_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ImproperlyConfigured, match="worker_concurrency"):
        create_pool("threads", options(**fields))


def test_prefork_refuses_more_than_one_request_at_a_time() -> None:
    with pytest.raises(UnsupportedOption, match="'threads' or 'asyncio'"):
        create_pool("prefork", options(capacity=2))


def test_solo_refuses_more_than_one_request_at_a_time() -> None:
    with pytest.raises(UnsupportedOption, match="solo"):
        create_pool("solo", options(children=2))


def test_a_pool_may_be_named_by_module_and_function() -> None:
    assert create_pool("tests.pools.test_factory:options_as_pool", options()) == options()  # type: ignore[comparison-overlap]


def options_as_pool(given: PoolOptions) -> PoolOptions:
    return given


def test_processes_is_another_name_of_prefork() -> None:
    pool: Any = create_pool("processes", options())
    pool._server.abandon()
    assert pool._setup.executor == "process"
