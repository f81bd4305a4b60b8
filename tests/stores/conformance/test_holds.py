"""Messages that the store keeps until they are due."""

from __future__ import annotations

import asyncio

from celeriac.stores.store import Delivery, Disposition, Settlement, Store

from .family import Family, running
from .messages import QUEUE, message, names_of, take, take_all, take_one

SOON = 0.3
"""Seconds after which a held message of these tests is due."""


async def arrival(family: Family, store: Store) -> Delivery:
    """Wait for the next delivery."""

    async def look() -> list[Delivery]:
        return await take(store)

    return (await family.eventually(look))[0]


async def test_a_message_with_a_due_time_is_not_delivered_before(family: Family) -> None:
    store = await family.open()
    due = family.now() + SOON
    await store.publish([message("a", due=due)])
    assert await take(store) == []
    assert family.tells((await store.counts([QUEUE]))[QUEUE], held=1)
    assert names_of([await arrival(family, store)]) == ["a"]
    assert family.now() >= due


async def test_a_message_whose_due_time_has_passed_is_delivered_at_once(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a", due=family.now() - 1)])
    assert names_of([await take_one(store)]) == ["a"]


async def test_a_waiting_receive_wakes_when_a_message_becomes_due(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a", due=family.now() + SOON)])
    async with running(store.receive([QUEUE], 1, 20)) as receiving:
        assert names_of((await family.finish(receiving)).deliveries) == ["a"]


async def test_a_waiting_receive_learns_of_a_due_time_that_is_nearer_than_its_own(family: Family) -> None:
    worker, producer = await family.open(), await family.open()
    await worker.declare([QUEUE])
    await producer.publish([message("far", due=family.now() + 3600)])
    async with running(worker.receive([QUEUE], 1, 30)) as receiving:
        await producer.publish([message("near", due=family.now() + SOON)])
        assert names_of((await family.finish(receiving)).deliveries) == ["near"]


async def test_a_delivery_on_hold_comes_back_after_its_delay(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    due = family.now() + SOON
    await store.settle([Settlement(delivery.claim, Disposition.HOLD, delay=SOON)])
    assert await take(store) == []
    counts = (await store.counts([QUEUE]))[QUEUE]
    assert family.tells(counts, held=1)
    again = await arrival(family, store)
    # A hundredth of a second for the difference of two clocks' readings.
    assert family.now() >= due - 0.01
    assert family.canonical(again.payload) == family.canonical(delivery.payload)
    assert (again.losses, again.granted, again.holds) == (0, False, 0)


async def test_a_delivery_on_hold_until_a_moment_comes_back_then(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    due = family.now() + SOON
    await store.settle([Settlement(delivery.claim, Disposition.HOLD, due=due)])
    assert await take(store) == []
    await arrival(family, store)
    assert family.now() >= due


async def test_a_reserved_token_is_remembered(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim, Disposition.HOLD, delay=0.05, granted=True)])
    assert (await arrival(family, store)).granted


async def test_a_reserved_token_is_spent_by_one_delivery(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim, Disposition.HOLD, delay=0.05, granted=True)])
    granted = await arrival(family, store)
    await store.settle([Settlement(granted.claim, Disposition.HOLD, delay=0.05)])
    assert not (await arrival(family, store)).granted


async def test_only_counted_holds_are_counted(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    for counted, holds in ((True, 1), (False, 1), (True, 2)):
        await store.settle([Settlement(delivery.claim, Disposition.HOLD, delay=0.05, counted=counted)])
        delivery = await arrival(family, store)
        assert delivery.holds == holds


async def test_a_hold_keeps_the_count_of_losses(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim, Disposition.REDELIVER)])
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim, Disposition.HOLD, delay=0.05)])
    assert (await arrival(family, store)).losses == 1


async def test_a_message_that_becomes_due_goes_before_those_that_wait(family: Family) -> None:
    store = await family.open()
    await store.publish([message("held"), message("one"), message("two")])
    delivery = await take_one(store)
    due = family.now() + SOON
    await store.settle([Settlement(delivery.claim, Disposition.HOLD, due=due)])

    async def is_due() -> bool:
        return (await store.counts([QUEUE]))[QUEUE].ready == 3 or (family.counts_all and family.now() > due)

    await family.eventually(is_due)
    order = ["one", "two", "held"] if family.held_come_last else ["held", "one", "two"]
    assert await take_all(store) == order


async def test_held_messages_outlive_the_worker_that_held_them(family: Family) -> None:
    first = await family.open()
    await first.publish([message("a")])
    delivery = await take_one(first)
    await first.settle([Settlement(delivery.claim, Disposition.HOLD, delay=SOON)])
    await first.close()
    second = await family.open()
    assert names_of([await arrival(family, second)]) == ["a"]


async def test_many_messages_due_at_the_same_moment_are_all_delivered_once(family: Family) -> None:
    store = await family.open()
    due = family.now() + SOON
    names = [str(number) for number in range(700)]
    await store.publish([message(name, due=due) for name in names])
    got: list[str] = []

    async def all_there() -> bool:
        got.extend(await take_all(store, step=1000))
        return len(got) >= len(names)

    await family.eventually(all_there)
    assert sorted(got, key=int) == names


async def test_due_messages_do_not_wait_for_an_empty_queue(family: Family) -> None:
    store = await family.open()
    due = family.now() + SOON
    await store.publish([message("due", due=due), *(message(f"m{number}") for number in range(400))])
    await asyncio.sleep(0)

    async def is_due() -> bool:
        return (await store.counts([QUEUE]))[QUEUE].ready == 401 or (family.counts_all and family.now() > due)

    await family.eventually(is_due)
    assert "due" in names_of(await take(store, 401 if family.held_come_last else 20))


async def test_a_follow_up_with_a_due_time_is_held(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    retry = message("a", due=family.now() + SOON)
    await store.settle([Settlement(delivery.claim, follow_ups=[retry])])
    assert await take(store) == []
    assert family.canonical((await arrival(family, store)).payload) == family.canonical(retry.payload)
