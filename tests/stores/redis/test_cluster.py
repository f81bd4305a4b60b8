"""One namespace is one slot: nothing of a store leaves it, so that it can live on Redis Cluster."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from celeriac.exceptions import BrokerUnreachable
from celeriac.stores.redis.slots import DEFAULT_PREFIX, slot_of
from celeriac.stores.store import ChordPart, Disposition, Document, Effects, ResultRecord, Revocation, Settlement
from tests.deployments import Cluster, eventually, redis_cluster
from tests.servers import RedisServer, free_port, redis_server

from ..conformance.messages import QUEUE, message, names_of, take
from .conftest import Open
from .deploying import eventually_received, goes_round

OPTIONS = {"transport_options": {"global_keyprefix": "{app}:"}}


@pytest.fixture(scope="module")
def cluster_server() -> Iterator[RedisServer]:
    """A cluster of one node with all slots: it refuses commands and scripts whose keys lie in several."""
    with redis_server(cluster_enabled="yes", cluster_port=free_port()) as server:
        with redis.Redis.from_url(server) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
                pass
        yield server


async def test_everything_that_a_store_does_stays_in_one_slot(open_store: Open, cluster_server: RedisServer) -> None:
    store: Any = await open_store(url=cluster_server, **OPTIONS)
    queues = [QUEUE, "other"]
    await store.declare(queues)
    await store.publish([message(str(number), priority=number % 10) for number in range(20)])
    await store.publish([message("x", "other"), message("due", due=1.0)])
    deliveries = await take(store, 50, queues)
    assert len(deliveries) == 22
    kinds = [Disposition.HOLD, Disposition.GIVE_BACK, Disposition.REDELIVER, Disposition.DEAD_LETTER]
    batch = [Settlement(each.claim, kinds[at % 4]) for at, each in enumerate(deliveries[:8])]
    for at, each in enumerate(deliveries[8:]):
        part = ChordPart("group", at, "t", 3, b"[%d]" % at, message("end", "other"))
        follow_ups = [message("next", "other"), message("late", due=5e9)]
        state = "SUCCESS" if at % 2 else "FAILURE"
        record = ResultRecord(str(at), b"{}", state)
        batch.append(Settlement(each.claim, result=record, effects=Effects(parts=[part]), follow_ups=follow_ups))
    assert (await store.settle(batch, queues, 5)).refused == []
    assert len(await store.chord_parts("group")) == 14
    documents = [Document(kind, "x", b"1") for kind in ("group", "flow", "size")]
    effects = Effects(documents, [ResultRecord("never", b"{}")], [("x", 1)], [part], ["group"])
    assert (await store.settle([Settlement(b"", Disposition.NONE, effects=effects)])).refused == []
    await store.store_documents(documents)
    assert await store.documents("flow", ["x"]) == [b"1"]
    await store.drop_documents("flow", ["x"])
    assert await store.record([Settlement(b"", effects=effects, identity="one")]) == [None]
    assert await store.renew([]) == []
    assert (await store.receive(queues, 100, 0.2)).deliveries
    counts = await store.counts(queues)
    assert counts[QUEUE].dead == 2
    letters = await store.dead_letters()
    assert await store.replay([letters[0].id]) == await store.drop([letters[1].id]) == 1
    assert QUEUE in await store.queues()
    await store.revoke([Revocation("a")], 60)
    assert (await store.revocations())[0] == 1
    assert await store.claim_once("beat", "1", 5)
    assert [found async for found in store.wait(["1", "3"], lambda _: True, 5)]
    await store.forget(["1"])
    await store.publish([message("dropped", "other"), message("dropped too", "other", due=5e9)])
    assert await store.purge("other") >= 2
    with redis.Redis.from_url(cluster_server) as client:
        assert all(key.startswith(b"{app}:") for key in client.scan_iter())


# --------------------------------------------------------------------------------------------- three masters, replicas


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[Cluster]:
    with redis_cluster() as made:
        yield made


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """An empty one; who has our slot depends on the tests before."""
    shared_cluster.clear()
    return shared_cluster


SLOT = slot_of(DEFAULT_PREFIX)


def other(cluster: Cluster) -> RedisServer:
    """A master that does not have our slot."""
    owner = cluster.owner(SLOT)
    return next(each for each in cluster.masters() if each is not owner)


async def test_a_slot_that_moved_is_followed_by_clients_and_workers(
    cluster: Cluster, open_store: Open, open_sync: Open
) -> None:
    store, client = await open_store(url=cluster.url), open_sync(url=cluster.url)
    await goes_round(store, client, "before")
    new = other(cluster)
    await asyncio.to_thread(cluster.move, SLOT, new)
    await goes_round(store, client, "after")
    links = (*store._traffic.links, store._control, store._waiting._blocking, store._waiting._watching)
    assert {link.connection.address.port for link in links if link.connection is not None} == {new.port}


async def test_a_worker_that_waits_wakes_when_its_slot_has_moved(cluster: Cluster, open_store: Open) -> None:
    """Nobody sends a command on its behalf: the node ends BLMOVE by MOVED."""
    waiting_store, sending_store = await open_store(url=cluster.url), await open_store(url=cluster.url)
    waiting = asyncio.create_task(waiting_store.receive([QUEUE], 1, 30.0))
    await asyncio.to_thread(eventually, lambda: waiting_store._waiting._blocked == QUEUE, "it waits")
    await asyncio.to_thread(cluster.move, SLOT, other(cluster))
    await sending_store.publish([message("x")])
    assert names_of((await waiting).deliveries) == ["x"]


async def test_everything_goes_on_while_the_slot_is_on_its_way(
    cluster: Cluster, open_store: Open, open_sync: Open
) -> None:
    """Single keys are asked for at the other node; scripts, whose keys lie on both, wait until it is over."""
    store, client = await open_store(url=cluster.url), open_sync(url=cluster.url)
    await store.publish([message(str(number), priority=number % 10) for number in range(20)])
    held = await take(store, 5)
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[Any]] = []

    def between() -> None:
        async def begin() -> None:
            tasks.append(asyncio.create_task(store.settle([Settlement(each.claim) for each in held])))
            tasks.append(asyncio.create_task(store.publish([message("asked", "elsewhere")])))
            tasks.append(asyncio.create_task(asyncio.to_thread(client.publish, [message("too", "elsewhere")])))
            tasks.append(asyncio.create_task(store.publish([message("due", due=5e9)])))
            await tasks[1]
            await tasks[2]

        asyncio.run_coroutine_threadsafe(begin(), loop).result(10)

    await asyncio.to_thread(cluster.move, SLOT, other(cluster), between)
    settled, *_ = await asyncio.gather(*tasks)
    assert settled.refused == []
    assert len(await take(store, 50)) == 15
    assert sorted(names_of(await take(store, 50, ["elsewhere"]))) == ["asked", "too"]
    assert (await store.counts([QUEUE]))[QUEUE].held == 1


async def test_a_node_that_is_lost_is_replaced(open_store: Open, open_sync: Open) -> None:
    with redis_cluster() as cluster:
        store, client = await open_store(url=cluster.url), open_sync(url=cluster.url, publish_timeout=10)
        await goes_round(store, client, "before")
        old = cluster.owner(SLOT)
        old.kill()
        await asyncio.to_thread(cluster.wait_for_another, SLOT, old)
        await goes_round(store, client, "after")
        await store.close()
        client.close()


async def test_a_node_that_falls_silent_is_left_once_it_is_replaced(
    cluster: Cluster, open_store: Open, open_sync: Open
) -> None:
    store, client = await open_store(url=cluster.url), open_sync(url=cluster.url, publish_timeout=10)
    await goes_round(store, client, "before")
    await asyncio.to_thread(cluster.wait_until_whole)
    old = cluster.owner(SLOT)
    old.freeze()
    try:
        sent = asyncio.create_task(asyncio.to_thread(client.publish, [message("after")]))
        await asyncio.to_thread(cluster.wait_for_another, SLOT, old)
        began = time.monotonic()
        await eventually_received(store, "after")
        await sent
        assert time.monotonic() - began < 5
    finally:
        old.thaw()
    await asyncio.to_thread(cluster.wait_until_whole)


async def test_a_node_named_as_a_server_is_an_error_that_says_what_to_write(
    cluster: Cluster, open_store: Open, open_sync: Open
) -> None:
    wrong = next(each for each in cluster.masters() if each is not cluster.owner(slot_of(QUEUE)))
    store, client = await open_store(url=str(wrong)), open_sync(url=str(wrong))
    with pytest.raises(BrokerUnreachable, match=r"write redis\+cluster://"):
        await store.publish([message("x")])
    with pytest.raises(BrokerUnreachable, match=r"write redis\+cluster://"):
        client.publish([message("x")])


async def test_a_cluster_may_have_tls(open_store: Open, open_sync: Open) -> None:
    with redis_server(tls=True, cluster_enabled="yes", tls_cluster="yes", cluster_port=free_port()) as node:
        url = f"rediss+cluster://127.0.0.1:{node.port}/?ssl_ca_certs={node.certificate}"
        with redis.Redis.from_url(node) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        with contextlib.suppress(BrokerUnreachable):
            await open_store(url=url)
        client = open_sync(url=url, publish_timeout=10)
        await asyncio.to_thread(client.publish, [message("once it is up")])
        await goes_round(await open_store(url=url), client, "x")


async def test_a_server_that_is_no_cluster_says_so(server: RedisServer, open_store: Open) -> None:
    with pytest.raises(BrokerUnreachable, match="cluster support disabled"):
        await open_store(url=f"redis+cluster://127.0.0.1:{server.port}")
