"""Leases beside Celery's workers: what is theirs, what is ours, and what is nobody's any more."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ..conformance.messages import QUEUE, message, name_of, names_of, payload_of, take, take_one
from .conftest import Open


def celery_holds(
    client: Any, name: str, age: float, exchange: str = "", routing_key: str = QUEUE, **fields: Any
) -> str:
    """What a Celery worker writes when it takes a message; returns its delivery tag."""
    envelope = json.loads(payload_of(name))
    envelope["properties"].update(fields)
    tag: str = envelope["properties"]["delivery_tag"]
    client.hset("unacked", tag, json.dumps([envelope, exchange, routing_key]))
    client.zadd("unacked_index", {tag: client.time()[0] - age})
    return tag


async def test_an_entry_of_a_celery_worker_outlives_our_short_lease(open_store: Open, client: Any) -> None:
    store = await open_store(lease=0.1)
    celery_holds(client, "a", age=600)
    await asyncio.sleep(0.2)
    assert await store.renew([]) == []
    assert await take(store) == []
    assert client.hlen("unacked") == 1


async def test_an_entry_of_a_celery_worker_comes_back_after_the_visibility_timeout(
    open_store: Open, client: Any
) -> None:
    store = await open_store(visibility_timeout=500)
    celery_holds(client, "old", age=600)
    celery_holds(client, "young", age=400)
    await store.renew([])
    delivery = await take_one(store)
    assert name_of(delivery.payload) == "old"
    assert delivery.losses == 1
    assert await take(store) == []


async def test_it_comes_back_to_the_list_of_its_priority(open_store: Open, client: Any) -> None:
    store = await open_store()
    celery_holds(client, "a", age=4000, priority=7)
    await store.renew([])
    assert client.llen("work\x06\x166") == 1


async def test_it_comes_back_to_the_queue_that_its_exchange_is_bound_to(open_store: Open, client: Any) -> None:
    store = await open_store()
    client.sadd("_kombu.binding.media", "videos\x06\x16\x06\x16video-queue", "images\x06\x16\x06\x16image-queue")
    celery_holds(client, "a", age=4000, exchange="media", routing_key="videos")
    await store.renew([])
    assert names_of(await take(store, 1, ["video-queue"])) == ["a"]


async def test_our_entry_that_lost_its_lease_record_comes_back_after_the_visibility_timeout(
    open_store: Open, client: Any
) -> None:
    lost, store = await open_store(), await open_store(visibility_timeout=1000)
    await lost.publish([message("a")])
    delivery = await take_one(lost)
    client.delete("celeriac.leases")
    await store.renew([])
    assert await take(store) == []
    client.zadd("unacked_index", {delivery.claim: client.time()[0] - 1001})
    await store.renew([])
    assert names_of(await take(store)) == ["a"]


async def test_a_claim_that_a_celery_worker_took_back_is_refused(open_store: Open, client: Any) -> None:
    """Its lease ended long ago, no worker of ours swept, and kombu restored the entry."""
    from celeriac.stores.store import ResultRecord, Settlement

    store = await open_store()
    await store.publish([message("a")])
    delivery = await take_one(store)
    client.hdel("unacked", delivery.claim)
    client.zrem("unacked_index", delivery.claim)
    client.zadd("celeriac.leases", {delivery.claim: 1})
    late = Settlement(delivery.claim, result=ResultRecord("a", b"{}"))
    assert (await store.settle([late])).refused == [delivery.claim]
    assert await store.results(["a"]) == [None]


async def test_many_lost_claims_come_back_in_one_sweep_in_their_order(open_store: Open) -> None:
    lost, store = await open_store(lease=0.2), await open_store()
    names = [str(number) for number in range(600)]
    await lost.publish([message(name) for name in names])
    assert len(await take(lost, 600)) == 600
    await asyncio.sleep(0.3)
    await store.renew([])
    got = await take(store, 600)
    assert sorted(names_of(got), key=int) == names
    assert {delivery.losses for delivery in got} == {1}


async def test_two_sweepers_bring_a_message_back_once(open_store: Open, client: Any) -> None:
    lost = await open_store(lease=0.1)
    sweepers = [await open_store() for _ in range(4)]
    await lost.publish([message(str(number)) for number in range(50)])
    await take(lost, 50)
    await asyncio.sleep(0.2)
    await asyncio.gather(*[store.renew([]) for store in sweepers])
    assert client.llen(QUEUE) == 50


async def test_an_entry_that_cannot_be_read_is_left_alone_and_named(
    open_store: Open, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_store()
    client.hset("unacked", "strange", "neither ours nor theirs")
    client.zadd("unacked_index", {"strange": 1})
    celery_holds(client, "a", age=4000)
    await store.renew([])
    assert client.hkeys("unacked") == [b"strange"]
    assert "strange" in caplog.text
    assert names_of(await take(store)) == ["a"]


async def test_an_index_without_its_entry_is_removed(open_store: Open, client: Any) -> None:
    store = await open_store()
    client.zadd("unacked_index", {"gone": 1})
    client.zadd("celeriac.leases", {"0123456789abcdef:000000000001": 1})
    await store.renew([])
    assert client.exists("unacked_index", "celeriac.leases") == 0


async def test_losses_are_forgotten_when_the_message_is_done(open_store: Open, client: Any) -> None:
    from celeriac.stores.store import Disposition, Settlement

    store = await open_store()
    await store.publish([message("a")])
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim, Disposition.REDELIVER)])
    assert client.hlen("celeriac.deliveries") == 1
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim)])
    assert client.keys() == [store._traffic.commands.record]


async def test_losses_of_messages_that_others_took_are_forgotten_after_a_week(open_store: Open, client: Any) -> None:
    store = await open_store()
    now = client.time()[0]
    client.hset("celeriac.deliveries", mapping={"old": f"1 0 0 {now - 8 * 86400}", "young": f"1 0 0 {now - 86400}"})
    await store.renew([])
    assert client.hkeys("celeriac.deliveries") == [b"young"]
