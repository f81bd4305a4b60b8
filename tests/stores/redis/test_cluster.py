"""One namespace is one slot: nothing of a store leaves it, so that it can live on Redis Cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from celeriac.stores.store import ChordPart, Disposition, ResultRecord, Revocation, Settlement
from tests.servers import RedisServer, free_port, redis_server

from ..conformance.messages import QUEUE, message, take
from .conftest import Open

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
        part = ChordPart("group", at, "t", 3, b"[]")
        follow_ups = [message("next", "other"), message("late", due=5e9)]
        state = "SUCCESS" if at % 2 else "FAILURE"
        record = ResultRecord(str(at), b"{}", state)
        batch.append(Settlement(each.claim, result=record, chord_part=part, follow_ups=follow_ups))
    assert (await store.settle(batch, queues, 5)).refused == []
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
