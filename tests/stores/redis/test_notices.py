"""Waiting for results and hearing broadcasts in an event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from celeriac import exceptions
from celeriac.stores.redis import notices
from celeriac.stores.store import ResultRecord
from tests.servers import RedisServer

from .conftest import Open
from .proxy import Proxy


def always(_: bytes) -> bool:
    return True


async def collect(found: Any) -> list[Any]:
    return [each async for each in found]


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what the server knows has no event
            await asyncio.sleep(0.002)


def channels(client: Any) -> int:
    return len(client.pubsub_channels("celery-task-meta-*"))


async def test_a_result_that_came_while_the_connection_was_down_is_found(
    open_store: Open, proxy: Proxy, client: Any
) -> None:
    reader, writer = await open_store(through=proxy), await open_store()
    for number in range(5):
        task = asyncio.ensure_future(collect(reader.wait([str(number)], always, 20)))
        await until(lambda: channels(client) == 1)
        proxy.cut()
        await writer.store_results([ResultRecord(str(number), b"{}")])
        assert await asyncio.wait_for(task, 5) == [(str(number), b"{}")]


async def test_a_half_open_connection_is_noticed(
    open_store: Open, proxy: Proxy, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_HEALTH_EACH", 0.1)
    monkeypatch.setattr("celeriac.stores.redis.connection.REPLY_TIMEOUT", 0.2)
    reader, writer = await open_store(through=proxy, connect_timeout=0.3), await open_store()
    task = asyncio.ensure_future(collect(reader.wait(["a"], always, 20)))
    await until(lambda: channels(client) == 1)
    proxy.frozen = True
    await writer.store_results([ResultRecord("a", b"{}")])
    await asyncio.sleep(0.5)
    assert not task.done()
    proxy.frozen = False
    assert await asyncio.wait_for(task, 5) == [("a", b"{}")]


async def test_nothing_stays_subscribed(open_store: Open, client: Any) -> None:
    reader, writer = await open_store(), await open_store()
    await writer.store_results([ResultRecord("a", b"{}")])
    assert len(await collect(reader.wait(["a"], always, 5))) == 1
    task = asyncio.ensure_future(collect(reader.wait(["b"], always, 5)))
    await until(lambda: channels(client) == 1)
    task.cancel()
    await until(lambda: channels(client) == 0)
    with pytest.raises(exceptions.TimeoutError):
        await collect(reader.wait(["c"], always, 0.05))
    await until(lambda: channels(client) == 0)


async def test_waiting_ends_in_time_when_the_server_is_gone(open_store: Open, own_server: RedisServer) -> None:
    reader = await open_store(url=own_server)
    own_server.stop()
    started = time.monotonic()
    with pytest.raises(exceptions.TimeoutError):
        await collect(reader.wait(["a"], always, 0.3))
    assert 0.25 < time.monotonic() - started < 0.5


async def test_an_inbox_hears_celery_s_channels_and_survives_a_cut(open_store: Open, proxy: Proxy, client: Any) -> None:
    store = await open_store(through=proxy)
    inbox = store.inbox("celeryev")
    heard: list[bytes] = []

    async def listen() -> None:
        async for payload in inbox:
            heard.append(payload)

    task = asyncio.ensure_future(listen())
    try:
        await until(lambda: client.publish("/0.celeryev/worker.online", "first") == 1)
        await until(lambda: heard == [b"first"])
        proxy.cut()
        await until(lambda: client.publish("/0.celeryev", "second") == 1)
        await until(lambda: heard == [b"first", b"second"])
        assert client.publish("/0.celeryevil", "not ours") == 0
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
