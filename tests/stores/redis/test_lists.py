"""Stores on a list of servers, of which the first that answers as a master is used."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from celeriac.exceptions import BrokerUnreachable
from tests.deployments import client_of
from tests.servers import redis_server

from ..conformance.messages import QUEUE, message
from .conftest import Open
from .deploying import goes_round


async def test_the_next_server_is_used_when_one_is_gone(open_store: Open, open_sync: Open) -> None:
    with redis_server() as first, redis_server() as second:
        places = {"url": str(first), "alternates": (str(second),)}
        store, client = await open_store(**places), open_sync(**places)
        await goes_round(store, client, "on the first")
        first.kill()
        await goes_round(store, client, "on the second")
        first.start()
        await goes_round(store, client, "still there")
        with redis.Redis.from_url(second) as direct:
            assert direct.info("clients")["connected_clients"] > 1


async def test_a_replica_of_the_list_is_passed_over(open_store: Open, open_sync: Open) -> None:
    with redis_server() as master, redis_server(replicaof=f"127.0.0.1 {master.port}") as replica:
        places = {"url": str(replica), "alternates": (str(master),)}
        store, client = await open_store(**places), open_sync(**places)
        await goes_round(store, client, "on the master")
        with client_of(replica) as direct:
            direct.replicaof("NO", "ONE")
        with client_of(master) as direct:
            direct.replicaof("127.0.0.1", replica.port)
        await goes_round(store, client, "on what was the replica")


async def test_when_all_are_gone_each_is_named(open_store: Open, open_sync: Open) -> None:
    with redis_server() as first, redis_server() as second:
        places = {"url": str(first), "alternates": (str(second),), "publish_timeout": 0.3}
    for attempt in (
        lambda: open_store(**places),
        lambda: asyncio.to_thread(open_sync(**places).publish, [message("x")]),
    ):
        with pytest.raises(BrokerUnreachable, match=f"{first.port}.*{second.port}"):
            await attempt()


async def test_the_user_says_whom_to_try(open_store: Open) -> None:
    with redis_server() as first, redis_server() as second:
        store = await open_store(
            url=str(first), alternates=(str(second),), failover_strategy=lambda urls: iter(reversed(urls * 9))
        )
        await store.publish([message("x")])
        with client_of(second) as direct:
            assert direct.llen(QUEUE) == 1


async def test_a_bounded_call_tries_the_others_in_time(open_sync: Open) -> None:
    with redis_server() as first, redis_server() as second:
        client = open_sync(url=str(first), alternates=(str(second),), publish_timeout=5)
        await asyncio.to_thread(client.publish, [message("x")])
        first.freeze()
        began = time.monotonic()
        await asyncio.to_thread(client.publish, [message("y")])
        assert time.monotonic() - began < 5
        with client_of(second) as direct:
            assert direct.llen(QUEUE) == 1
