"""Records of settlements on Redis."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from celeriac.exceptions import OperationalError, StoreFull
from celeriac.stores import records
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.scripts import RECORD
from celeriac.stores.store import ChordPart, Effects, Outgoing, ResultRecord, Settlement
from tests.servers import RedisServer

from .conftest import Open
from .proxy import Proxy

FOLLOW_UPS = [Outgoing("work", b"next")]


def ended(identity: str, task_id: str = "a", **fields: Any) -> Settlement:
    return Settlement(b"", result=ResultRecord(task_id, b"{}"), follow_ups=FOLLOW_UPS, identity=identity, **fields)


async def test_a_record_lives_for_a_day_from_its_last_change_on(open_store: Open, client: Any) -> None:
    store = await open_store()
    await store.record([ended("one")])
    (key,) = client.keys("celeriac.recorded.*")
    assert records.RECORD_LIFETIME - 10 < client.ttl(key) <= records.RECORD_LIFETIME
    client.expire(key, 10)
    await store.record([], ["one"])
    assert records.RECORD_LIFETIME - 10 < client.ttl(key) <= records.RECORD_LIFETIME
    assert client.get(key) == b""


async def test_a_reply_that_was_lost_is_asked_for_again_and_tells_what_was_stored(
    open_store: Open, proxy: Proxy, client: Any
) -> None:
    store = await open_store(through=proxy)
    await store.record([])  # the script is known to the server
    await store.record([ended("before")])
    proxy.lose_reply_to(RECORD.digest)
    assert await store.record([ended("one")]) == [FOLLOW_UPS]
    assert proxy.was_lost
    assert client.exists("celery-task-meta-a")


async def test_results_and_records_of_a_store_with_two_databases_are_in_that_of_the_results(
    open_store: Open, server: RedisServer
) -> None:
    third = f"{str(server).rsplit('/', 1)[0]}/3"
    store = await open_store(results=StoreOptions(url=third))
    part = ChordPart("group", 0, "a", 2, b"part")
    assert await store.record([ended("one", effects=Effects(parts=[part]))], ["two"]) == [None]
    with redis.Redis.from_url(server) as messages, redis.Redis.from_url(third) as results:
        assert messages.keys("*") == []
        assert {b"celery-task-meta-a", b"celeriac.recorded.one", b"celeriac.recorded.two"} < set(results.keys("*"))
        assert results.zrange("celery-taskset-meta-group.j", 0, -1) == [b"part"]


async def test_what_cannot_be_stored_is_not_recorded_either(open_store: Open, client: Any) -> None:
    store = await open_store()
    client.set("celery-taskset-meta-group.j", "of another type")
    with pytest.raises(OperationalError):
        await store.record([ended("one", effects=Effects(parts=[ChordPart("group", 0, "a", 2, b"part")]))])
    assert client.keys("celeriac.recorded.*") == []
    assert not client.exists("celery-task-meta-a")


async def test_a_server_without_memory_records_nothing(open_store: Open, client: Any) -> None:
    store = await open_store(retry=False)
    await store.record([ended("before", "b")])
    client.config_set("maxmemory", 1)
    with pytest.raises(StoreFull):
        await store.record([ended("one")])
    client.config_set("maxmemory", 0)
    assert await store.record([ended("one")]) == [None]
