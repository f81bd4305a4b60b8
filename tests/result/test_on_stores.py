"""Results on every kind of store: the handles rely on nothing that only one of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from celeriac import AsyncResult, Celeriac
from celeriac.exceptions import TimeoutError  # noqa: A004 - the name is Celery's
from celeriac.result import GroupResult, ResultSet
from tests.app.harness import store_result
from tests.servers import RedisServer, redis_server


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """One server for all."""
    with redis_server() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "redis"])
def app(request, tmp_path) -> Iterator[Celeriac]:
    """An app on a store of that kind."""
    urls = {"memory": "memory://results-on-stores", "sqlite": f"sqlite:///{tmp_path / 'store.sqlite3'}"}
    url = urls.get(request.param) or str(request.getfixturevalue("redis"))
    made = Celeriac("proj", broker=url, set_as_current=False)
    yield made
    made.close()


def named(request_name: str, *names: str) -> list[str]:
    return [f"{request_name}-{name}" for name in names]


def test_one_and_many_are_waited_for(app, later, request):
    names = named(request.node.name, *"abcd")
    handles = [AsyncResult(name, app=app) for name in names]
    later(lambda: [store_result(app, name, number) for number, name in enumerate(reversed(names))])
    assert handles[1].get(timeout=10) == 2
    results = ResultSet([handles[0], GroupResult("g", handles[1:], app=app)])
    assert results.get(timeout=10) == [3, [2, 1, 0]]
    assert results.successful()
    results.forget()
    assert results.waiting()


def test_time_outs_are_kept_and_zero_only_looks(app, request):
    first, second = (AsyncResult(name, app=app) for name in named(request.node.name, *"ab"))
    store_result(app, first.id, 1)
    assert first.get(timeout=0) == 1
    for timeout in (0, 0.02):
        with pytest.raises(TimeoutError, match=f"task .*b.* has no result after {timeout:g} s"):
            second.get(timeout=timeout)
        with pytest.raises(TimeoutError, match="1 of 2 tasks"):
            ResultSet([AsyncResult(first.id, app=app), second]).get(timeout=timeout)


def test_on_interval_is_called_while_nothing_comes(app, request):
    result = AsyncResult(*named(request.node.name, "a"), app=app)
    calls = []

    def on_interval():
        calls.append(1)
        if len(calls) == 2:
            store_result(app, result.id, 5)

    assert result.get(timeout=10, interval=0.01, on_interval=on_interval) == 5
    assert len(calls) >= 2


def test_a_parent_that_fails_ends_the_wait(app, later, request):
    parent, child = (AsyncResult(name, app=app) for name in named(request.node.name, *"ab"))
    child.parent = parent
    later(lambda: store_result(app, parent.id, KeyError("x"), state="FAILURE"))
    with pytest.raises(KeyError):
        child.get(timeout=10)


async def test_one_and_many_are_awaited(app, request):
    names = named(request.node.name, *"abc")
    handles = [AsyncResult(name, app=app) for name in names]

    async def store():
        await asyncio.to_thread(lambda: [store_result(app, name, number) for number, name in enumerate(names)])

    storing = asyncio.create_task(store())
    assert await handles[0].aget(timeout=10) == 0
    assert await ResultSet(handles).aget(timeout=10) == [0, 1, 2]
    await storing
    with pytest.raises(TimeoutError):
        await AsyncResult(f"{names[0]}-missing", app=app).aget(timeout=0)
    assert await handles[0].aexists()
    await handles[0].aforget()
    assert await handles[0].astate() == "PENDING"
    await app.aclose()
