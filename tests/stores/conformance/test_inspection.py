"""Counting, looking and purging: what people ask, without disturbing the work."""

from __future__ import annotations

from celeriac.stores.store import Disposition, Settlement

from .family import Family
from .messages import QUEUE, message, names_of, take, take_all, take_one


async def test_counts_tell_ready_held_in_flight_and_dead(family: Family) -> None:
    store = await family.open()
    await store.publish([message(name) for name in ("dies", "held", "runs", "waits", "waits too")])
    dies, held, _ = await take(store, 3)
    await store.settle([Settlement(dies.claim, Disposition.DEAD_LETTER, reason="x")])
    await store.settle([Settlement(held.claim, Disposition.HOLD, delay=3600)])
    await store.publish([message("later", due=family.now() + 3600), message("elsewhere", "other", priority=9)])
    counts = await store.counts([QUEUE, "other", "empty"])
    assert family.tells(counts[QUEUE], ready=2, held=2, in_flight=1, dead=1)
    assert family.tells(counts["other"], ready=1)
    assert family.tells(counts["empty"])


async def test_counts_add_up_all_priorities(family: Family) -> None:
    store = await family.open()
    await store.publish([message(str(priority), priority=priority) for priority in range(10)])
    assert (await store.counts([QUEUE]))[QUEUE].ready == 10


async def test_queues_names_those_that_hold_anything(family: Family) -> None:
    store = await family.open()
    assert await store.queues() == []
    await store.publish(
        [message("a", "ready", priority=9), message("b", "held", due=family.now() + 3600), message("c", "flying")]
    )
    await take_one(store, "flying")
    await store.declare(["declared"])
    holding = ["flying", "held", "ready"] if family.counts_all else ["ready"]
    assert sorted(set(await store.queues()) - {"declared"}) == holding


async def test_a_queue_that_was_emptied_holds_nothing(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim)])
    assert await store.queues() == []


async def test_peeking_takes_nothing(family: Family) -> None:
    store = await family.open()
    await store.publish([message(name) for name in "abc"])
    assert names_of(await store.peek(QUEUE, 2)) == ["a", "b"]
    await family.is_ready(store, QUEUE, 3)
    in_order = sorted if family.lags else list
    assert in_order(names_of(await store.peek(QUEUE, 10))) == ["a", "b", "c"]
    await family.is_ready(store, QUEUE, 3)
    assert in_order(await take_all(store)) == ["a", "b", "c"]


async def test_peeking_shows_the_order_of_delivery(family: Family) -> None:
    store = await family.open()
    published = [("low", 9), ("mid", 3), ("high", 0)]
    await store.publish([message(name, priority=family.urgency(step)) for name, step in published])
    peeked = names_of(await store.peek(QUEUE, 10))
    assert peeked == family.served(published)
    await family.is_ready(store, QUEUE, 3)
    taken = await take_all(store, step=1)
    assert (sorted(taken) == sorted(peeked)) if family.lags else (taken == peeked)


async def test_peeking_at_an_unknown_queue_shows_nothing(family: Family) -> None:
    store = await family.open()
    assert await store.peek("unknown", 10) == []


async def test_purging_drops_what_is_ready_and_held(family: Family) -> None:
    store = await family.open()
    await store.publish([message(str(number), priority=priority) for number, priority in enumerate((0, 3, 9, 0))])
    await store.publish([message("held", due=family.now() + 3600), message("kept", "other")])
    await take_one(store)
    assert await store.purge(QUEUE) == (4 if family.counts_all else 3)
    assert await store.purge(QUEUE) == 0
    counts = await store.counts([QUEUE, "other"])
    assert family.tells(counts[QUEUE], in_flight=1)
    assert family.tells(counts["other"], ready=1)


async def test_a_purge_leaves_what_is_in_flight_to_its_holder(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    await store.purge(QUEUE)
    assert (await store.settle([Settlement(delivery.claim, Disposition.GIVE_BACK)])).refused == []
    assert await take_all(store) == ["a"]


async def test_a_slot_is_claimed_exactly_once(family: Family) -> None:
    first, second = await family.open(), await family.open()
    assert await first.claim_once("beat", "12:00", 60)
    assert not await second.claim_once("beat", "12:00", 60)
    assert not await first.claim_once("beat", "12:00", 60)
    assert await second.claim_once("beat", "12:01", 60)
    assert await second.claim_once("sweep", "12:00", 60)


async def test_a_slot_is_free_again_after_its_lifetime(family: Family) -> None:
    store = await family.open()
    assert await store.claim_once("beat", "12:00", 0.3)

    async def again() -> bool:
        return await store.claim_once("beat", "12:00", 0.3)

    assert not await again()
    await family.eventually(again)
