"""Waiting: woken by everything, asking for nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from celeriac.stores.store import Disposition, Settlement

from ..conformance.messages import QUEUE, message, names_of, payload_of, take, take_one
from .conftest import Open
from .proxy import Proxy


async def waiting(
    store: Any, queues: list[str] | None = None, limit: int = 5, timeout: float = 20
) -> asyncio.Task[Any]:
    """A receive that has begun to block on the server."""
    task: asyncio.Task[Any] = asyncio.ensure_future(store.receive(queues or [QUEUE], limit, timeout))
    while store._waiting._blocked is None or store._waiting._armed is None:  # noqa: ASYNC110 - the server knows
        await asyncio.sleep(0.001)
    return task


async def test_a_plain_push_by_a_celery_producer_wakes_a_worker(open_store: Open, client: Any) -> None:
    store = await open_store()
    task = await waiting(store)
    client.lpush(QUEUE, payload_of("a"))
    assert names_of((await asyncio.wait_for(task, 2)).deliveries) == ["a"]


@pytest.mark.parametrize("key", ["work\x06\x163", "work\x06\x169", "other", "other\x06\x166"])
async def test_a_push_to_any_other_list_wakes_it_too(open_store: Open, client: Any, key: str) -> None:
    store = await open_store()
    task = await waiting(store, [QUEUE, "other"])
    client.lpush(key, payload_of("a"))
    assert names_of((await asyncio.wait_for(task, 2)).deliveries) == ["a"]


async def test_what_remains_in_a_list_of_low_priority_is_delivered_without_another_push(
    open_store: Open, client: Any
) -> None:
    store = await open_store()
    task = await waiting(store, limit=1)
    client.lpush("work\x06\x169", *[payload_of(name) for name in "abc"])
    got = (await asyncio.wait_for(task, 2)).deliveries
    for _ in range(2):
        got += (await asyncio.wait_for(store.receive([QUEUE], 1, 20), 2)).deliveries
    assert names_of(got) == ["a", "b", "c"]


async def test_a_message_that_is_held_wakes_a_waiting_worker_when_it_is_due(open_store: Open, client: Any) -> None:
    store, other = await open_store(), await open_store()
    task = await waiting(store)
    now = client.time()
    await other.publish([message("later", due=now[0] + now[1] / 1e6 + 0.3), message("far", due=now[0] + 3600)])
    received = await asyncio.wait_for(task, 2)
    assert names_of(received.deliveries) == ["later"]
    again = client.time()
    assert again[0] + again[1] / 1e6 >= now[0] + now[1] / 1e6 + 0.3


async def test_an_earlier_due_time_is_noticed_while_waiting_for_a_later_one(open_store: Open, client: Any) -> None:
    store, other = await open_store(), await open_store()
    now = client.time()[0]
    await other.publish([message("far", due=now + 3600)])
    task = await waiting(store)
    await other.publish([message("soon", due=now)])
    assert names_of((await asyncio.wait_for(task, 2)).deliveries) == ["soon"]


async def test_an_idle_worker_sends_next_to_nothing(open_store: Open, client: Any) -> None:
    store = await open_store()
    task = await waiting(store, [QUEUE, "other"])
    before = client.info("stats")["total_commands_processed"]
    await asyncio.sleep(1.0)
    assert client.info("stats")["total_commands_processed"] - before <= 2  # the first of them is our own INFO
    assert not task.done()
    task.cancel()


async def test_one_message_wakes_one_worker(open_store: Open, client: Any) -> None:
    stores = [await open_store() for _ in range(3)]
    tasks = [await waiting(store) for store in stores]
    client.lpush(QUEUE, payload_of("a"))
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0.05)
    assert len(done) == 1
    assert sum(task.done() for task in tasks) == 1
    for task in pending:
        task.cancel()


async def test_what_blmove_gave_to_a_dead_worker_is_adopted_and_not_counted(open_store: Open, client: Any) -> None:
    dead, heir = await open_store(lease=0.3), await open_store(lease=0.3)
    task = await waiting(dead)
    waiter = dead._waiting.waiter
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    client.lpush(dead._keys.waiting(waiter), payload_of("a"))

    async def adopted() -> Any:
        while True:
            await heir.renew([])
            if got := await take(heir):
                return got
            await asyncio.sleep(0.02)

    (delivery,) = await asyncio.wait_for(adopted(), 5)
    assert names_of([delivery]) == ["a"]
    assert delivery.losses == 0


async def test_the_list_of_a_living_worker_is_left_alone(open_store: Open, client: Any) -> None:
    store, other = await open_store(), await open_store()
    task = await waiting(store)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    client.lpush(store._keys.waiting(store._waiting.waiter), payload_of("a"))
    await other.renew([])
    assert await take(other) == []
    assert names_of(await take(store)) == ["a"]


async def test_a_message_that_comes_while_nobody_waits_any_more_goes_back(open_store: Open, client: Any) -> None:
    store, other = await open_store(), await open_store()
    for _ in range(10):
        task = await waiting(store)
        task.cancel()
        client.lpush(QUEUE, payload_of("a"))
        await asyncio.gather(task, return_exceptions=True)
        got = (await asyncio.wait_for(other.receive([QUEUE], 1, 20), 5)).deliveries
        assert names_of(got) == ["a"]
        await other.settle([Settlement(got[0].claim)])


async def test_closing_leaves_no_registration_and_no_list(open_store: Open, client: Any) -> None:
    store = await open_store()
    task = await waiting(store)
    assert client.zcard("celeriac.waiters") == 1
    await store.close()
    assert (await asyncio.wait_for(task, 2)).deliveries == []
    assert client.keys() == []


async def test_the_main_list_of_another_type_makes_no_busy_loop(
    open_store: Open, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_store()
    client.set(QUEUE, "text")
    assert (await store.receive([QUEUE], 1, 0.5)).deliveries == []
    assert client.info("commandstats")["cmdstat_blmove"]["calls"] == 1
    await store.close()
    assert "cannot wait on queue" in caplog.text
    assert "could not be given back" not in caplog.text


async def test_waiting_survives_a_cut_of_all_connections(open_store: Open, proxy: Proxy, client: Any) -> None:
    store = await open_store(through=proxy)
    for name in "abc":
        task = await waiting(store)
        proxy.cut()
        client.lpush(QUEUE, payload_of(name))
        got = (await asyncio.wait_for(task, 5)).deliveries
        assert names_of(got) == [name]
        await store.settle([Settlement(got[0].claim)])


async def test_turning_to_another_queue_leaves_nothing_behind(open_store: Open, client: Any) -> None:
    store, other = await open_store(), await open_store()
    task = await waiting(store, ["one"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    task = await waiting(store, ["two"])
    client.lpush("one", payload_of("a"))
    assert names_of((await asyncio.wait_for(other.receive(["one"], 1, 5), 5)).deliveries) == ["a"]
    client.lpush("two", payload_of("b"))
    assert names_of((await asyncio.wait_for(task, 5)).deliveries) == ["b"]


async def test_a_redelivered_message_says_so_to_a_worker_that_was_waiting(open_store: Open) -> None:
    store, other = await open_store(), await open_store()
    await other.publish([message("a")])
    delivery = await take_one(other)
    task = await waiting(store)
    await other.settle([Settlement(delivery.claim, Disposition.REDELIVER)])
    (again,) = (await asyncio.wait_for(task, 2)).deliveries
    await store.renew([again.claim])  # what BLMOVE brings is delivered at once; what is known of it follows
    assert again.losses == 1


async def test_a_held_message_is_due_on_time_though_another_came_meanwhile(open_store: Open, client: Any) -> None:
    store, other = await open_store(), await open_store()
    task = await waiting(store)
    now = client.time()
    await other.publish([message("later", due=now[0] + now[1] / 1e6 + 0.6)])
    while store._waiting.due is None:  # noqa: ASYNC110 - the server knows
        await asyncio.sleep(0.001)
    await other.publish([message("now")])
    # This one is handed over as BLMOVE brought it, without a claim that would tell when the next is due.
    assert names_of((await asyncio.wait_for(task, 2)).deliveries) == ["now"]
    assert names_of((await asyncio.wait_for(store.receive([QUEUE], 5, 20), 3)).deliveries) == ["later"]
