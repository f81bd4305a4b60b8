"""Publishing and receiving."""

from __future__ import annotations

import asyncio
from itertools import chain

import pytest

from celeriac.stores.store import Delivery, Disposition, Outgoing, Settlement, Store

from .family import Family, running
from .messages import QUEUE, message, name_of, names_of, take, take_all, take_one


async def test_a_published_message_is_delivered_untouched(family: Family) -> None:
    store = await family.open()
    sent = message("a")
    await store.publish([sent])
    delivery = await take_one(store)
    assert family.canonical(delivery.payload) == family.canonical(sent.payload)
    assert delivery.queue == QUEUE
    assert (delivery.losses, delivery.granted, delivery.holds) == (0, False, 0)


async def test_messages_of_one_priority_are_delivered_in_the_order_of_publishing(family: Family) -> None:
    store = await family.open()
    names = [f"m{number}" for number in range(20)]
    await store.publish([message(name) for name in names[:12]])
    await store.publish([message(name) for name in names[12:]])
    assert await take_all(store, step=7) == names


async def test_a_message_that_one_worker_holds_is_not_delivered_to_another(family: Family) -> None:
    first, second = await family.open(), await family.open()
    await first.publish([message("a")])
    await take_one(first)
    assert await take(second) == []


async def test_each_message_goes_to_exactly_one_of_many_receivers(family: Family) -> None:
    stores = [await family.open() for _ in range(3)]
    names = [f"m{number}" for number in range(60)]
    await stores[0].publish([message(name) for name in names])

    async def drain(store: object) -> list[str]:
        return await take_all(store, step=4)  # type: ignore[arg-type]

    shares = await asyncio.gather(*map(drain, stores))
    assert sorted(chain.from_iterable(shares)) == sorted(names)


async def test_receive_brings_no_more_than_was_asked_for(family: Family) -> None:
    store = await family.open()
    await store.publish([message(str(number)) for number in range(5)])
    assert len(await take(store, 3)) == 3
    assert len(await take(store, 3)) == 2


async def test_receive_without_credit_brings_nothing(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    assert await take(store, 0) == []
    assert (await store.counts([QUEUE]))[QUEUE].ready == 1


async def test_receive_reads_only_the_queues_that_it_names(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a", "one"), message("b", "two")])
    assert names_of(await take(store, 10, ["two"])) == ["b"]


async def test_receive_returns_empty_when_its_time_is_over(family: Family) -> None:
    store = await family.open()
    async with running(store.receive([QUEUE], 1, 0.2)) as receiving:
        received = await family.finish(receiving)
    assert received.deliveries == []


@pytest.mark.parametrize("priority", [0, 5, 9])
async def test_a_waiting_receive_gets_what_is_published_meanwhile(family: Family, priority: int) -> None:
    worker, producer = await family.open(), await family.open()
    await worker.declare([QUEUE])
    async with running(worker.receive([QUEUE], 5, 20)) as receiving:
        await producer.publish([message("a", priority=priority)])
        received = await asyncio.wait_for(receiving, 5)
    assert names_of(received.deliveries) == ["a"]


async def test_a_waiting_receive_is_woken_by_any_of_its_queues(family: Family) -> None:
    worker, producer = await family.open(), await family.open()
    await worker.declare(["one", "two", "three"])
    async with running(worker.receive(["one", "two", "three"], 5, 20)) as receiving:
        await producer.publish([message("a", "three")])
        received = await asyncio.wait_for(receiving, 5)
    assert names_of(received.deliveries) == ["a"]


async def test_a_waiting_receive_is_woken_by_a_synchronous_producer_in_another_thread(family: Family) -> None:
    worker, producer = await family.open(), family.open_sync()
    await worker.declare([QUEUE])
    async with running(worker.receive([QUEUE], 5, 20)) as receiving:
        await asyncio.to_thread(producer.publish, [message("a")])
        received = await asyncio.wait_for(receiving, 5)
    assert names_of(received.deliveries) == ["a"]


async def first_of(worker: Store) -> list[Delivery]:
    """What a worker that waits gets first.

    A wait ends with nothing when the server breaks the connection: RabbitMQ does that to who asks for a quorum queue in
    the instant in which it is made.
    """
    while not (received := await worker.receive([QUEUE], 1, 20)).deliveries:
        pass
    return received.deliveries


async def test_many_waiting_workers_all_get_work(family: Family) -> None:
    workers = [await family.open() for _ in range(4)]
    producer = await family.open()
    receiving = [asyncio.ensure_future(first_of(worker)) for worker in workers]
    try:
        await asyncio.sleep(0.05)
        for number in range(4):
            await producer.publish([message(str(number))])
        received = await asyncio.wait_for(asyncio.gather(*receiving), 10)
    finally:
        for task in receiving:
            task.cancel()
        await asyncio.gather(*receiving, return_exceptions=True)
    assert sorted(name_of(each.payload) for (each,) in received) == ["0", "1", "2", "3"]


async def test_cancelling_receive_loses_nothing(family: Family) -> None:
    worker, producer = await family.open(), await family.open()
    await worker.declare([QUEUE])
    got: list[str] = []
    for number in range(25):
        receiving = asyncio.ensure_future(worker.receive([QUEUE], 1, 20))
        publishing = asyncio.ensure_future(producer.publish([message(str(number))]))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        if number % 3:
            await asyncio.wait({receiving, publishing}, return_when=asyncio.FIRST_COMPLETED)
        receiving.cancel()
        (outcome,) = await asyncio.gather(receiving, return_exceptions=True)
        await publishing
        if not isinstance(outcome, BaseException):
            got += names_of(outcome.deliveries)

    async def all_seen() -> bool:
        got.extend(await take_all(worker))
        return len(got) >= 25

    await family.eventually(all_seen)
    assert sorted(got, key=int) == [str(number) for number in range(25)]


async def test_closing_while_receiving_loses_nothing(family: Family) -> None:
    worker, other = await family.open(), await family.open()
    await worker.declare([QUEUE])
    async with running(worker.receive([QUEUE], 5, 20)) as receiving:
        publishing = asyncio.ensure_future(other.publish([message(str(number)) for number in range(5)]))
        await asyncio.sleep(0)
        await worker.close()
        await publishing
        (outcome,) = await asyncio.wait_for(asyncio.gather(receiving, return_exceptions=True), 5)
    got = [] if isinstance(outcome, BaseException) else names_of(outcome.deliveries)

    async def rest() -> bool:
        got.extend(await take_all(other))
        return len(got) >= 5

    await family.eventually(rest)
    assert sorted(got) == ["0", "1", "2", "3", "4"]


async def test_closing_twice_is_harmless(family: Family) -> None:
    store = await family.open()
    await store.close()
    await store.close()


async def test_what_was_published_outlives_the_store_that_published_it(family: Family) -> None:
    producer = await family.open()
    await producer.publish([message("a")])
    await producer.close()
    worker = await family.open()
    assert names_of(await take(worker)) == ["a"]


async def test_a_client_publishes_without_an_event_loop(family: Family) -> None:
    client, worker = family.open_sync(), await family.open()
    await asyncio.to_thread(client.publish, [message("a"), message("b", "other")])
    assert sorted(names_of(await take(worker, 5, [QUEUE, "other"]))) == ["a", "b"]


async def test_publishing_nothing_is_harmless(family: Family) -> None:
    store = await family.open()
    await store.publish([])
    assert await store.queues() == []


async def test_a_payload_may_hold_any_text_and_large_numbers(family: Family) -> None:
    store = await family.open()
    payload = (
        b'{"body": "W10=", "headers": {"task": "t", "id": "x", "big": %s, "float": %s, '
        b'"text": "\\u0000 \xc3\xa9 \xf0\x9f\xa5\x95 \\" \\\\"}, "properties": {"delivery_tag": "x", '
        b'"body_encoding": "base64"}, "content-type": "application/json", "content-encoding": "utf-8"}'
    ) % (str(family.largest_header).encode(), family.largest_float.encode())
    await store.publish([Outgoing(QUEUE, payload)])
    delivery = await take_one(store)
    assert family.canonical(delivery.payload) == family.canonical(payload)
    await store.settle([Settlement(delivery.claim, Disposition.GIVE_BACK)])
    assert family.canonical((await take_one(store)).payload) == family.canonical(payload)
