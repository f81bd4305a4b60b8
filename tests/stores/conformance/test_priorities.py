"""Priorities, and fairness among priorities and queues."""

from __future__ import annotations

from celeriac.stores.store import Disposition, Outgoing, Settlement

from .family import Family
from .messages import message, names_of, take, take_all, take_one

STEPS = (0, 3, 6, 9)
"""Priorities that every store tells apart (kombu's steps on Redis)."""


def prioritized(family: Family, *published: tuple[str, int]) -> list[Outgoing]:
    """Messages that are to be served by their steps, 0 first."""
    return [message(name, priority=family.urgency(step)) for name, step in published]


def steps(*published: int) -> list[tuple[str, int]]:
    return [(f"p{step}", step) for step in published]


def crowd(count: int = 40) -> list[tuple[str, int]]:
    """A message of low priority and many of a high one behind it."""
    return [("low", 9), *[(str(number), 0) for number in range(count)]]


async def test_urgent_messages_are_served_first(family: Family) -> None:
    store = await family.open()
    published = steps(*reversed(STEPS))
    await store.publish(prioritized(family, *published))
    assert await take_all(store, step=1) == family.served(published)


async def test_a_batch_is_in_the_order_of_priorities(family: Family) -> None:
    store = await family.open()
    published = steps(*reversed(STEPS))
    await store.publish(prioritized(family, *published))
    assert names_of(await take(store, 10)) == family.served(published)


async def test_a_low_priority_does_not_starve_when_messages_are_taken_one_by_one(family: Family) -> None:
    store = await family.open()
    await store.publish(prioritized(family, *crowd()))
    served = await take_all(store, step=1)
    if family.priorities == "fair":
        assert "low" in served[:16]
    else:
        assert served == family.served(crowd())


async def test_a_low_priority_does_not_starve_when_messages_are_taken_in_batches(family: Family) -> None:
    store = await family.open()
    await store.publish(prioritized(family, *crowd()))
    served = await take_all(store, step=10)
    if family.priorities == "fair":
        assert "low" in served[:20]
    else:
        assert served == family.served(crowd())


async def test_most_messages_are_served_by_priority(family: Family) -> None:
    store = await family.open()
    published = [(f"low{number}", 9) for number in range(40)] + [(f"high{number}", 0) for number in range(40)]
    await store.publish(prioritized(family, *published))
    first = (await take_all(store, step=1))[:40]
    if family.priorities == "fair":
        assert sum(name.startswith("high") for name in first) >= 32
    else:
        assert first == family.served(published)[:40]


async def test_strict_priorities_never_serve_a_lower_one_first(family: Family) -> None:
    store = await family.open(strict_priorities=True)
    await store.publish(prioritized(family, *crowd()))
    assert await take_all(store, step=7) == family.served(crowd())


async def test_a_priority_out_of_range_counts_as_the_nearest(family: Family) -> None:
    store = await family.open()
    published = [("beyond", 9), ("mid", 6), ("before", 0)]
    numbers = {"beyond": family.beyond(9), "mid": family.urgency(6), "before": family.beyond(0)}
    await store.publish([message(name, priority=numbers[name]) for name, _ in published])
    assert await take_all(store) == family.served(published)


async def test_a_message_given_back_keeps_its_priority(family: Family) -> None:
    store = await family.open()
    await store.publish(prioritized(family, ("low", 9)))
    low = await take_one(store)
    await store.publish(prioritized(family, ("high", 0)))
    await store.settle([Settlement(low.claim, Disposition.GIVE_BACK)])
    low_first = family.priorities == "none" and not family.given_back_come_last
    assert await take_all(store, step=1) == (["low", "high"] if low_first else ["high", "low"])


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
