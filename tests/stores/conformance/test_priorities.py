"""Priorities, and fairness among priorities and queues."""

from __future__ import annotations

from celeriac.stores.store import Disposition, Settlement

from .family import Family
from .messages import message, names_of, take, take_all, take_one

STEPS = (0, 3, 6, 9)
"""Priorities that every store tells apart (kombu's steps on Redis)."""


async def test_a_lower_number_is_served_first(family: Family) -> None:
    store = await family.open()
    await store.publish([message(f"p{priority}", priority=priority) for priority in reversed(STEPS)])
    assert await take_all(store, step=1) == ["p0", "p3", "p6", "p9"]


async def test_a_batch_is_in_the_order_of_priorities(family: Family) -> None:
    store = await family.open()
    await store.publish([message(f"p{priority}", priority=priority) for priority in reversed(STEPS)])
    assert names_of(await take(store, 10)) == ["p0", "p3", "p6", "p9"]


async def test_a_low_priority_does_not_starve_when_messages_are_taken_one_by_one(family: Family) -> None:
    store = await family.open()
    await store.publish([message("low", priority=9)])
    await store.publish([message(str(number)) for number in range(40)])
    assert "low" in (await take_all(store, step=1))[:16]


async def test_a_low_priority_does_not_starve_when_messages_are_taken_in_batches(family: Family) -> None:
    store = await family.open()
    await store.publish([message("low", priority=9)])
    await store.publish([message(str(number)) for number in range(40)])
    assert "low" in (await take_all(store, step=10))[:20]


async def test_most_messages_are_served_by_priority(family: Family) -> None:
    store = await family.open()
    await store.publish([message(f"low{number}", priority=9) for number in range(40)])
    await store.publish([message(f"high{number}") for number in range(40)])
    first = (await take_all(store, step=1))[:40]
    assert sum(name.startswith("high") for name in first) >= 32


async def test_strict_priorities_never_serve_a_lower_one_first(family: Family) -> None:
    store = await family.open(strict_priorities=True)
    await store.publish([message("low", priority=9)])
    await store.publish([message(str(number)) for number in range(40)])
    assert (await take_all(store, step=7))[-1] == "low"


async def test_a_priority_out_of_range_counts_as_the_nearest(family: Family) -> None:
    store = await family.open()
    await store.publish([message("beyond", priority=99), message("mid", priority=6), message("before", priority=-5)])
    assert await take_all(store) == ["before", "mid", "beyond"]


async def test_a_message_given_back_keeps_its_priority(family: Family) -> None:
    store = await family.open()
    await store.publish([message("low", priority=9)])
    low = await take_one(store)
    await store.publish([message("high")])
    await store.settle([Settlement(low.claim, Disposition.GIVE_BACK)])
    assert await take_all(store, step=1) == ["high", "low"]


async def test_queues_are_served_in_turn_when_messages_are_taken_one_by_one(family: Family) -> None:
    store = await family.open()
    for queue in ("one", "two"):
        await store.publish([message(f"{queue}{number}", queue) for number in range(20)])
    first = (await take_all(store, ["one", "two"], step=1))[:20]
    assert 8 <= sum(name.startswith("one") for name in first) <= 12


async def test_a_batch_takes_from_every_queue(family: Family) -> None:
    store = await family.open()
    for queue in ("one", "two", "three"):
        await store.publish([message(f"{queue}-{number}", queue) for number in range(20)])
    names = names_of(await take(store, 12, ["one", "two", "three"]))
    assert {name.partition("-")[0] for name in names} == {"one", "two", "three"}


async def test_a_long_queue_does_not_starve_a_short_one(family: Family) -> None:
    store = await family.open()
    await store.publish([message(f"m{number}", "long") for number in range(60)])
    await store.publish([message("short", "short")])
    assert "short" in (await take_all(store, ["long", "short"], step=1))[:6]


async def test_an_empty_queue_takes_no_room_in_a_batch(family: Family) -> None:
    store = await family.open()
    await store.publish([message(str(number), "full") for number in range(10)])
    assert len(await take(store, 10, ["empty", "full", "void"])) == 10
