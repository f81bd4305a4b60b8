"""Stores on Sentinel: the master is found, and left at once when it is the master no longer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from celeriac.exceptions import BrokerUnreachable
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.switches import read_announcement
from celeriac.stores.redis.topology import topology_of
from tests.deployments import MASTER_NAME, Sentinels, client_of, redis_sentinels
from tests.servers import redis_server

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


async def test_a_new_master_is_followed_by_clients_and_workers(
    sentinels: Sentinels, open_store: Open, open_sync: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store, client = await open_store(url=sentinels.url), open_sync(url=sentinels.url)
    await goes_round(store, client, "before")
    waiting = asyncio.create_task(store.receive([QUEUE], 1, 20.0))
    with caplog.at_level(logging.WARNING):
        new = await asyncio.to_thread(sentinels.fail_over)
        began = time.monotonic()
        while sum("from now on" in each.getMessage() for each in caplog.records) == 0:
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
    ],
)
def test_announcements_are_read(push: list[Any], expected: str | None) -> None:
    found = read_announcement(push, topology_of(StoreOptions(url="sentinel://a?master_name=m")))
    assert (found and found.place) == expected
