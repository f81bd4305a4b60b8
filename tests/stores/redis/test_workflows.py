"""Chords and documents on Redis: whose keys they are, and what happens when replies are lost or peers do the same."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from celeriac.exceptions import OperationalError
from celeriac.stores.chords import CHORD_LIFETIME, CLOSED_LIFETIME
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.scripts import RECORD, SETTLE
from celeriac.stores.store import (
    ChordPart,
    Completed,
    Disposition,
    Document,
    Effects,
    Outgoing,
    ResultRecord,
    Settlement,
)
from tests.servers import RedisServer

from ..conformance.messages import QUEUE, message, take_one
from .conftest import Open
from .proxy import Proxy

BASE = "celery-taskset-meta-g"
END = Outgoing("ends", b'{"the": "end"}')


def part(index: int, size: int | None = 2) -> ChordPart:
    return ChordPart("g", index, f"t{index}", size, f'[1, "t{index}", "SUCCESS", {index}]'.encode(), END)


def ended(*parts: ChordPart, result: ResultRecord | None = None, **effects: Any) -> Settlement:
    return Settlement(b"", Disposition.NONE, result, effects=Effects(parts=parts, **effects))


def keys_of(client: Any) -> dict[str, Any]:
    return {key.decode(): client.type(key).decode() for key in client.keys(f"{BASE}*")}


async def test_the_keys_are_those_of_celery_and_expire(open_store: Open, client: Any) -> None:
    store = await open_store()
    await store.settle([ended(part(0), grown=[("g", 1)]), ended(part(1))])
    assert keys_of(client) == {f"{BASE}.j": "zset", f"{BASE}.t": "string", f"{BASE}.s": "string", f"{BASE}.d": "set"}
    assert client.zrange(f"{BASE}.j", 0, -1, withscores=True) == [(part(0).payload, 0.0), (part(1).payload, 1.0)]
    assert (client.get(f"{BASE}.t"), client.get(f"{BASE}.s")) == (b"1", b"2")
    assert client.smembers(f"{BASE}.d") == {b"t0:0", b"t1:1"}
    await store.settle([ended(part(2))])
    assert client.get(f"{BASE}.c") == b"done"
    assert all(CHORD_LIFETIME - 10 < client.ttl(key) <= CHORD_LIFETIME for key in client.keys(f"{BASE}*"))
    assert client.llen("ends") == 1


async def test_the_parts_live_as_long_as_the_result_beside_them(open_store: Open, client: Any) -> None:
    store = await open_store()
    await store.settle([ended(part(0, 1), result=ResultRecord("t0", b"{}", expires=50))])
    assert all(40 < client.ttl(key) <= 50 for key in client.keys(f"{BASE}*"))
    assert client.exists(f"{BASE}.c")


async def test_closing_leaves_the_claim_alone(open_store: Open, client: Any) -> None:
    store = await open_store()
    await store.settle([ended(part(0, 1), grown=[("g", 0)]), ended(closed=["g"]), ended(part(1), grown=[("g", 7)])])
    assert keys_of(client) == {f"{BASE}.c": "string"}
    assert CLOSED_LIFETIME - 10 < client.ttl(f"{BASE}.c") <= CLOSED_LIFETIME


async def test_parts_that_peers_counted_count(open_store: Open, client: Any) -> None:
    store = await open_store()
    client.zadd(f"{BASE}.j", {'[1, "t0", "SUCCESS", 0]': 0})  # Celery 5.6, which has no .d and no .c
    client.set(f"{BASE}.s", 3)
    client.incr(f"{BASE}.t")
    await store.settle([ended(part(1, None)), ended(part(2, None))])
    assert client.llen("ends") == 0
    client.zadd(f"{BASE}.j", {'[1, "t3", "SUCCESS", 3]': 3})
    client.incrby(f"{BASE}.t", 1)
    await store.settle([ended(part(4, None))])
    assert client.llen("ends") == 1


@pytest.mark.parametrize("claim", [b"token-of-a-peer", b"done"])
async def test_what_a_peer_has_claimed_is_not_published(open_store: Open, client: Any, claim: bytes) -> None:
    store = await open_store()
    await store.settle([ended(part(0))])
    client.set(f"{BASE}.c", claim)
    await store.settle([ended(part(1))])
    assert client.llen("ends") == 0
    assert client.get(f"{BASE}.c") == claim


async def test_what_a_peer_is_about_to_send_is_not_told_again(open_store: Open, client: Any) -> None:
    store = await open_store()
    assert await store.record([ended(part(0)), ended(part(1))]) == [None, Completed([END])]
    client.set(f"{BASE}.c", "token-of-a-peer")
    assert await store.record([ended(part(1))]) == [None]


async def test_what_a_peer_has_ended_is_not_begun_again(open_store: Open, client: Any) -> None:
    store = await open_store()
    client.set(f"{BASE}.c", "done", ex=300)
    await store.settle([ended(part(0, 1))])
    assert client.llen("ends") == 0
    assert keys_of(client) == {f"{BASE}.c": "string"}


@pytest.mark.parametrize(("key", "value"), [("t", "many"), ("s", "several")])
async def test_numbers_that_are_none_are_passed_over(open_store: Open, client: Any, key: str, value: str) -> None:
    store = await open_store()
    client.set(f"{BASE}.{key}", value)
    await store.settle([ended(part(0, None)), ended(part(1, 2))])
    assert client.llen("ends") == 1


async def test_unordered_parts_lie_in_a_list(open_store: Open, open_sync: Open, client: Any) -> None:
    options = {"transport_options": {"result_chord_ordered": False}}
    store = await open_store(**options)
    await store.settle([ended(part(1)), ended(part(0)), ended(part(1))])
    assert client.llen("ends") == 1
    assert client.lrange(f"{BASE}.j", 0, -1) == [part(1).payload, part(0).payload]
    assert await store.chord_parts("g") == open_sync(**options).chord_parts("g") == [part(1).payload, part(0).payload]


async def test_chords_are_where_results_are_and_completions_where_messages_are(
    open_store: Open, open_sync: Open, server: RedisServer
) -> None:
    third = StoreOptions(url=f"{str(server).rsplit('/', 1)[0]}/3", transport_options={"global_keyprefix": "app"})
    store, sync = await open_store(results=third), open_sync(results=third)
    await store.publish([message("a")])
    delivery = await take_one(store)
    effects = Effects(
        documents=[Document("flow", "f", b"1"), Document("size", "g", b"2")],
        results=[ResultRecord("never", b"{}", "FAILURE")],
        grown=[("g", 0)],
        parts=[part(0, None), part(1, None), ChordPart("x", 0, "t", 1, b"x", Outgoing("later", b"{}", due=9e9))],
        closed=["y"],
    )
    settlement = Settlement(delivery.claim, effects=effects, follow_ups=[message("next", "other")])
    assert (await store.settle([settlement], [QUEUE], 5)).refused == []
    sync.store_documents([Document("group", "g", b"saved", None)])
    with redis.Redis.from_url(server) as messages, redis.Redis.from_url(third.url) as results:
        kept = {key for key in messages.keys("*") if not key.startswith((b"celeriac.settled", b"celeriac.wait"))}
        assert kept == {b"ends", b"other", b"celeriac.held.later", b"celeriac.due.later"}
        names = ["meta-never", "taskset-meta-g", "taskset-meta-y.c"]
        names += [f"taskset-meta-{name}" for name in ("g.c", "g.d", "g.j", "g.s", "g.t", "x.c", "x.d", "x.j", "x.s")]
        expected = {"app_celeriac-flow-f", "app_celery-task-meta-never"}
        expected |= {f"app_celery-{name}" for name in names if name != "meta-never"}
        assert {key.decode() for key in results.keys("*")} == expected
        assert results.ttl("app_celery-taskset-meta-g") == -1
    assert await store.documents("group", ["g"]) == sync.documents("group", ["g"]) == [b"saved"]
    assert await store.chord_parts("g") == sync.chord_parts("g") == [part(0).payload, part(1).payload]


async def test_documents_are_stored_without_a_word(open_store: Open, open_sync: Open, client: Any) -> None:
    store, sync = await open_store(), open_sync()
    listener = client.pubsub()
    listener.psubscribe("*")
    assert listener.get_message(timeout=5)["type"] == "psubscribe"
    await store.store_documents([Document("group", "g", b"1"), Document("size", "g", b"2")])
    sync.store_documents([Document("group", "h", b"1")])
    await store.settle([ended(documents=[Document("group", "i", b"1")])])
    client.publish("last", "word")
    assert listener.get_message(timeout=5)["data"] == b"word"
    assert client.get(f"{BASE}.s") == b"2"
    listener.close()


async def test_a_settlement_whose_reply_was_lost_completes_its_chord_once(
    open_store: Open, proxy: Proxy, client: Any
) -> None:
    store = await open_store(through=proxy)
    await store.settle([ended(part(0))])
    proxy.lose_reply_to(SETTLE.digest)
    await store.settle([ended(part(1), grown=[("other", 1)])])
    assert proxy.was_lost
    assert client.llen("ends") == 1
    assert client.get("celery-taskset-meta-other.t") == b"1"


@pytest.mark.parametrize("identity", ["", "one"])
async def test_a_completion_whose_reply_was_lost_is_told_again(open_store: Open, proxy: Proxy, identity: str) -> None:
    store = await open_store(through=proxy)
    await store.record([ended(part(0))])
    settlement = ended(part(1))
    settlement.identity = identity
    proxy.lose_reply_to(RECORD.digest)
    found = await store.record([settlement])
    assert proxy.was_lost
    assert found == ([[END]] if identity else [Completed([END])])


@pytest.mark.parametrize("key", ["j", "t", "s", "d", "c"])
async def test_a_key_of_another_type_stops_everything(open_store: Open, client: Any, key: str) -> None:
    store = await open_store()
    client.hset(f"{BASE}.{key}", "of", "another type")
    effects = Effects([Document("flow", "f", b"1")], [ResultRecord("x", b"{}")], [("g", 1)], [part(0, 1)], ["g"])
    with pytest.raises(OperationalError):
        await store.settle([Settlement(b"", Disposition.NONE, effects=effects)])
    with pytest.raises(OperationalError):
        await store.record([Settlement(b"", effects=effects)])
    assert (await store.results(["x"]), await store.documents("flow", ["f"])) == ([None], [None])
    assert client.llen("ends") == 0
