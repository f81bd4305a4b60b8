"""Claims and settlements through failures: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from celeriac.exceptions import OperationalError, StoreFull
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.scripts import CLAIM
from celeriac.stores.store import ChordPart, Disposition, Effects, Outgoing, ResultRecord, Settlement
from tests.servers import RedisServer

from ..conformance.messages import QUEUE, message, names_of, payload_of, take, take_one
from .conftest import Open
from .proxy import Proxy


def success(task_id: str) -> ResultRecord:
    return ResultRecord(task_id, json.dumps({"status": "SUCCESS", "task_id": task_id}).encode())


async def test_a_claim_whose_reply_was_lost_is_delivered_by_the_next_one(open_store: Open, proxy: Proxy) -> None:
    store = await open_store(through=proxy)
    await store.publish([message(name) for name in "abc"])
    proxy.lose_reply_to(CLAIM.digest)
    got = await take(store, 2)
    got += await take(store, 5)
    got += await take(store, 5)
    assert proxy.was_lost
    assert sorted(names_of(got)) == ["a", "b", "c"]
    assert (await store.settle([Settlement(each.claim) for each in got])).refused == []


async def test_a_settlement_whose_reply_was_lost_is_not_done_twice(open_store: Open, proxy: Proxy, client: Any) -> None:
    store = await open_store(through=proxy)
    await store.publish([message("a")])
    delivery = await take_one(store)
    await take(store)  # the script is known to the server
    await store.settle([])
    proxy.lose_reply_to(b"settled")
    settlement = Settlement(delivery.claim, result=success("a"), follow_ups=[message("next", "other")])
    received = await store.settle([settlement])
    assert proxy.was_lost
    assert received.refused == []
    assert client.llen("other") == 1
    assert client.hlen("unacked") == 0


async def test_a_settlement_that_did_not_arrive_is_sent_again(open_store: Open, proxy: Proxy, client: Any) -> None:
    store = await open_store(through=proxy)
    await store.publish([message("a")])
    delivery = await take_one(store)
    proxy.break_before(b"settled")
    settlement = Settlement(delivery.claim, result=success("a"), follow_ups=[message("next", "other")])
    assert (await store.settle([settlement])).refused == []
    assert proxy.was_lost
    assert client.llen("other") == 1


async def test_what_was_claimed_with_a_settlement_whose_reply_was_lost_is_delivered(
    open_store: Open, proxy: Proxy
) -> None:
    store = await open_store(through=proxy)
    await store.publish([message(name) for name in "abcd"])
    delivery = await take_one(store)
    proxy.lose_reply_to(b"settled")
    got = (await store.settle([Settlement(delivery.claim)], [QUEUE], 2)).deliveries
    for _ in range(3):
        got += await take(store, 2)
    assert proxy.was_lost
    assert sorted(names_of(got)) == ["b", "c", "d"]


async def test_a_refusal_is_told_again_when_its_reply_was_lost(open_store: Open, proxy: Proxy, client: Any) -> None:
    store = await open_store(through=proxy)
    await store.publish([message("a"), message("b")])
    a, b = await take(store, 2)
    client.zrem("celeriac.leases", a.claim)
    proxy.lose_reply_to(b"settled")
    assert (await store.settle([Settlement(b.claim), Settlement(a.claim)])).refused == [a.claim]
    assert proxy.was_lost


async def test_a_claim_that_is_cancelled_before_its_reply_is_delivered_to_the_next_caller(open_store: Open) -> None:
    store = await open_store()
    await store.publish([message("a")])
    for turns in range(6):
        receiving: asyncio.Future[Any] = asyncio.ensure_future(store.receive([QUEUE], 1, 0))
        for _ in range(turns):
            await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.wait([receiving])
        got = await take(store, 1) if receiving.cancelled() else receiving.result().deliveries
        assert names_of(got) == ["a"]
        await store.settle([Settlement(got[0].claim, Disposition.GIVE_BACK)])


async def test_scripts_come_back_after_the_server_forgot_them(open_store: Open, client: Any) -> None:
    store = await open_store()
    await store.publish([message("a"), message("b")])
    first = await take_one(store)
    client.script_flush()
    (second,) = (await store.settle([Settlement(first.claim)], [QUEUE], 1)).deliveries
    client.script_flush()
    await store.renew([second.claim])
    client.script_flush()
    assert (await store.settle([Settlement(second.claim)])).refused == []


async def test_a_restart_of_the_server_loses_no_connection_for_good(open_store: Open, own_server: RedisServer) -> None:
    store = await open_store(url=own_server)
    receiving = asyncio.ensure_future(store.receive([QUEUE], 1, 20))
    await asyncio.sleep(0.05)
    await asyncio.to_thread(own_server.restart)
    other = await open_store(url=own_server)
    await other.publish([message("a")])
    assert names_of((await asyncio.wait_for(receiving, 5)).deliveries) == ["a"]


async def test_a_network_that_cuts_messages_into_bytes_changes_nothing(open_store: Open, proxy: Proxy) -> None:
    proxy.slicing = True
    store = await open_store(through=proxy)
    await store.publish([message(str(number)) for number in range(10)])
    got = await take(store, 10)
    assert names_of(got) == [str(number) for number in range(10)]
    assert (await store.settle([Settlement(each.claim, result=success("x")) for each in got])).refused == []


async def test_a_full_server_refuses_publications_and_still_lets_work_end(open_store: Open, client: Any) -> None:
    store = await open_store()
    await store.publish([message(str(number)) for number in range(3)])
    first = await take_one(store)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreFull, match="maxmemory"):
            await store.publish([message("more")])
        settlement = Settlement(first.claim, result=success("0"), follow_ups=[message("next")])
        (second,) = (await store.settle([settlement], [QUEUE], 1)).deliveries
        assert (await store.settle([Settlement(second.claim, Disposition.GIVE_BACK)])).refused == []
        early = Settlement(b"", Disposition.NONE, result=success("1"))
        await store.settle([early])
        assert (await store.results(["0", "1"])).count(None) == 0
        assert len(await take(store, 5)) == 3
    finally:
        client.config_set("maxmemory", 0)


async def test_a_full_server_lets_leases_be_renewed_and_idle_workers_find_work(open_store: Open, client: Any) -> None:
    store, other = await open_store(), await open_store()
    await store.publish([message("a")])
    delivery = await take_one(store)
    client.config_set("maxmemory", 1)
    try:
        assert await store.renew([delivery.claim]) == []
        receiving = asyncio.ensure_future(other.receive([QUEUE], 1, 20))
        await asyncio.sleep(0.1)
        await store.settle([Settlement(delivery.claim, Disposition.GIVE_BACK)])
        assert names_of((await asyncio.wait_for(receiving, 5)).deliveries) == ["a"]
    finally:
        client.config_set("maxmemory", 0)


async def test_a_key_of_another_type_spoils_one_settlement_only(open_store: Open, client: Any) -> None:
    store = await open_store()
    await store.publish([message(name) for name in "abc"])
    a, b, c = await take(store, 3)
    client.set("strange", "text")
    batch = [
        Settlement(a.claim, result=success("a")),
        Settlement(b.claim, result=success("b"), follow_ups=[message("x", "strange")]),
        Settlement(c.claim, result=success("c")),
    ]
    with pytest.raises(OperationalError, match="WRONGTYPE"):
        await store.settle(batch)
    assert [found is not None for found in await store.results(["a", "b", "c"])] == [True, False, True]
    assert client.hkeys("unacked") == [b.claim]
    assert (await store.settle([Settlement(b.claim)])).refused == []


async def test_a_queue_of_another_type_stops_no_other_queue(
    open_store: Open, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_store()
    client.set("strange", "text")
    await store.publish([message("a")])
    assert names_of(await take(store, 5, ["strange", QUEUE])) == ["a"]
    assert "WRONGTYPE" in caplog.text


async def test_results_in_another_database_are_settled_in_the_same_step(
    open_store: Open, server: RedisServer, client: Any
) -> None:
    results = StoreOptions(url=str(server).replace("/0", "/3"), transport_options={"global_keyprefix": "app"})
    store = await open_store(results=results)
    await store.publish([message("a"), message("b")])
    a, b = await take(store, 2)
    part = ChordPart("group", 0, "b", 2, b"[1]")
    failure = ResultRecord("b", b'{"status": "FAILURE"}', "FAILURE")
    batch = [
        Settlement(a.claim, result=success("a")),
        Settlement(b.claim, result=failure, effects=Effects(parts=[part])),
    ]
    assert (await store.settle(batch, [QUEUE], 5)).refused == []
    client.execute_command("SELECT", 3)
    assert sorted(client.keys()) == [
        b"app_celery-task-meta-a",
        b"app_celery-task-meta-b",
        b"app_celery-taskset-meta-group.d",
        b"app_celery-taskset-meta-group.j",
        b"app_celery-taskset-meta-group.s",
    ]
    assert await store.results(["a", "b"]) == [success("a").payload, failure.payload]


async def test_a_chord_part_counts_once(open_store: Open, client: Any) -> None:
    store = await open_store()
    for payload in (b"first", b"again"):
        part = ChordPart("group", 4, "a", None, payload)
        await store.settle([Settlement(b"", Disposition.NONE, effects=Effects(parts=[part]))])
    assert client.zrange("celery-taskset-meta-group.j", 0, -1, withscores=True) == [(b"first", 4.0)]
    assert client.smembers("celery-taskset-meta-group.d") == {b"a:4"}
    assert client.ttl("celery-taskset-meta-group.j") > 0


async def test_a_large_result_travels_alone(open_store: Open, client: Any) -> None:
    store = await open_store()
    await store.publish([message(str(number)) for number in range(3)])
    deliveries = await take(store, 3)
    records = [ResultRecord(str(number), b"x" * (2 << 20 if number == 1 else 10)) for number in range(3)]
    batch = [Settlement(each.claim, result=record) for each, record in zip(deliveries, records, strict=True)]
    assert (await store.settle(batch)).refused == []
    assert await store.results(["0", "1", "2"]) == [record.payload for record in records]
    assert client.hlen("unacked") == 0


async def test_more_settlements_than_one_script_takes_are_settled(open_store: Open, client: Any) -> None:
    store = await open_store()
    await store.publish([message(str(number)) for number in range(700)])
    deliveries = await take(store, 700)
    received = await store.settle([Settlement(each.claim, result=success(each.claim.hex())) for each in deliveries])
    assert received.refused == []
    assert client.hlen("unacked") == client.zcard("unacked_index") == client.zcard("celeriac.leases") == 0


async def test_entries_look_as_celery_workers_write_them(open_store: Open, client: Any) -> None:
    store = await open_store()
    payload = payload_of("a")
    await store.publish([Outgoing('quo"ted', payload)])
    delivery = await take_one(store, 'quo"ted')
    entry = json.loads(client.hget("unacked", delivery.claim))
    assert entry == [json.loads(payload), "", 'quo"ted']
    seconds = client.zscore("unacked_index", delivery.claim) - client.time()[0]
    assert 13 <= seconds <= 17


async def test_a_batch_is_settled_and_the_next_one_claimed_in_one_round_trip(open_store: Open, client: Any) -> None:
    store = await open_store()
    await store.publish([message(str(number)) for number in range(128)])
    deliveries = await take(store, 64)
    await store.settle([])
    await store.settle([Settlement(b"", Disposition.NONE)])  # the script is known to the server
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    received = await store.settle([Settlement(each.claim, result=success("x")) for each in deliveries], [QUEUE], 64)
    after = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert len(received.deliveries) == 64
    assert after - before == 1
