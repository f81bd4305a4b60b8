"""Stores on Sentinel: the master is found, and left at once when it is the master no longer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from celeriac.exceptions import BrokerRefused, BrokerUnreachable
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.switches import read_announcement
from celeriac.stores.redis.topology import topology_of
from tests.deployments import MASTER_NAME, Sentinels, client_of, eventually, redis_sentinels, sentinel_of
from tests.servers import RedisServer, redis_server

from ..conformance.messages import QUEUE, message
from .conftest import Open
from .deploying import eventually_received, goes_round


@pytest.fixture(scope="module")
def shared_sentinels() -> Iterator[Sentinels]:
    with redis_sentinels() as made:
        yield made


@pytest.fixture
def sentinels(shared_sentinels: Sentinels) -> Sentinels:
    """Empty ones; who is the master depends on the tests before."""
    shared_sentinels.clear()
    return shared_sentinels


async def test_a_message_goes_round(sentinels: Sentinels, open_store: Open, open_sync: Open) -> None:
    await goes_round(await open_store(url=sentinels.url), open_sync(url=sentinels.url), "x")


async def test_the_name_of_an_unknown_master_is_quoted(sentinels: Sentinels, open_store: Open, open_sync: Open) -> None:
    url = sentinels.url.replace(MASTER_NAME, "nobody")
    with pytest.raises(BrokerUnreachable, match="'nobody'"):
        await open_store(url=url)
    with pytest.raises(BrokerUnreachable, match="'nobody'"):
        open_sync(url=url, publish_timeout=0.2).publish([message("x")])


async def test_one_sentinel_that_is_gone_is_passed_over(sentinels: Sentinels, open_store: Open) -> None:
    with redis_server() as gone:
        url = sentinels.url.replace("sentinel://", f"sentinel://127.0.0.1:{gone.port},")
    store = await open_store(url=url)
    await store.publish([message("x")])


async def test_master_and_sentinels_may_have_tls_and_passwords_of_their_own(open_store: Open, open_sync: Open) -> None:
    with redis_server(tls=True, password="master") as master, sentinel_of(master, password="sentinel") as sentinel:
        tls = {"ssl_ca_certs": str(master.certificate)}
        options = {"master_name": MASTER_NAME, "sentinel_kwargs": {"password": "sentinel", "ssl": True, **tls}}
        place = {"url": f"sentinel://:master@127.0.0.1:{sentinel.port}/2", "tls": tls, "transport_options": options}
        store = await open_store(**place)
        await goes_round(store, open_sync(**place), "x")
        assert store._traffic.commands.link.connection.address.database == 2
        options["sentinel_kwargs"] = {"password": "wrong", "ssl": True, **tls}
        with pytest.raises(BrokerRefused, match="WRONGPASS") as raised:
            await open_store(**place)
        assert "master@" not in str(raised.value)


async def test_a_sentinel_that_dies_is_not_the_last_one_that_is_listened_to(open_store: Open, open_sync: Open) -> None:
    with redis_server() as master, sentinel_of(master) as first, sentinel_of(master) as second:
        url = f"sentinel://127.0.0.1:{first.port},127.0.0.1:{second.port}/0?master_name={MASTER_NAME}"
        store, client = await open_store(url=url), open_sync(url=url)
        await goes_round(store, client, "before")
        first.kill()
        await asyncio.to_thread(eventually, lambda: _listeners(second) >= 1, "the worker listens to the other one")
        for number in range(3):
            await asyncio.to_thread(client.publish, [message(str(number))])
        await asyncio.to_thread(eventually, lambda: _publish_and_look(client, second), "the client listens to it too")


def _listeners(sentinel: RedisServer) -> int:
    with client_of(sentinel) as client:
        return sum(1 for each in client.client_list() if each["sub"] != "0" and each["name"] == "celeriac")


def _publish_and_look(client: Any, sentinel: RedisServer) -> bool:
    client.publish([message("again")])
    return _listeners(sentinel) >= 2


async def test_a_new_master_is_followed_by_clients_and_workers(
    sentinels: Sentinels, open_store: Open, open_sync: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store, client = await open_store(url=sentinels.url), open_sync(url=sentinels.url)
    await goes_round(store, client, "before")
    waiting = asyncio.create_task(store.receive([QUEUE], 1, 20.0))
    with caplog.at_level(logging.WARNING):
        new = await asyncio.to_thread(sentinels.fail_over)
        began = time.monotonic()
        while sum("has taken over" in each.getMessage() for each in caplog.records) == 0:
            assert time.monotonic() < began + 5, "nobody heard the announcement"
            await asyncio.sleep(0.01)
    await asyncio.to_thread(client.publish, [message("after")])
    with client_of(new) as direct:
        assert (await waiting).deliveries or direct.llen(QUEUE) == 1
    assert store._traffic.commands.link.connection is None or (
        store._traffic.commands.link.connection.address.port == new.port
    )
    pool = client._messages.pool
    connection = pool.take(time.monotonic() + 1)
    pool.give_back(connection)
    assert connection.address.port == new.port


async def test_a_silent_master_is_left_once_the_sentinels_have_replaced_it(open_store: Open, open_sync: Open) -> None:
    with redis_sentinels() as sentinels:
        store, client = await open_store(url=sentinels.url), open_sync(url=sentinels.url, publish_timeout=10)
        await goes_round(store, client, "before")
        old = sentinels.master()
        old.freeze()
        sent = asyncio.create_task(asyncio.to_thread(client.publish, [message("after")]))
        new = await asyncio.to_thread(sentinels.wait_for_another, old)
        began = time.monotonic()
        await eventually_received(store, "after")
        await sent
        assert time.monotonic() - began < 5
        assert store._traffic.commands.link.connection.address.port == new.port
        old.thaw()
        await goes_round(store, client, "after it woke")
        await store.close()
        client.close()


@pytest.mark.parametrize(
    ("push", "expected"),
    [
        ([b"message", b"+switch-master", b"m 10.0.0.1 6379 10.0.0.2 6380"], "10.0.0.2:6380"),
        ([b"message", b"+switch-master", b"other 10.0.0.1 6379 10.0.0.2 6380"], None),
        ([b"message", b"+switch-master", b"m 10.0.0.1"], None),
        ([b"message", b"+switch-master", b"m 10.0.0.1 6379 10.0.0.2 x"], None),
        ([b"subscribe", b"+switch-master", 1], None),
        ([b"message", b"+promoted-slave", b"slave 10.0.0.2:6380 10.0.0.2 6380 @ m 10.0.0.1 6379"], "10.0.0.2:6380"),
        ([b"message", b"+promoted-slave", b"slave 10.0.0.2:6380 10.0.0.2 6380 @ n 10.0.0.1 6379"], None),
    ],
)
def test_announcements_are_read(push: list[Any], expected: str | None) -> None:
    found = read_announcement(push, topology_of(StoreOptions(url="sentinel://a?master_name=m")))
    assert (found and found.place) == expected
