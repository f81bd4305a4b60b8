"""Settlements: one atomic step each, one round trip for all."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from celeriac.stores.store import ChordPart, Delivery, Disposition, Effects, ResultRecord, Settlement
from celeriac.stores.two_stores import TwoStores

from .family import Family
from .messages import QUEUE, message, name_of, names_of, take, take_all, take_one


async def test_an_acknowledged_message_is_gone(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    received = await store.settle([Settlement(delivery.claim)])
    assert (received.refused, received.deliveries) == ([], [])
    counts = (await store.counts([QUEUE]))[QUEUE]
    assert family.tells(counts)
    assert await store.queues() == []


async def test_acknowledgement_result_and_follow_ups_are_one_step(family: Family) -> None:
    store, reader = await family.open(), await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    follow_ups = [message("next"), message("callback", "other")]
    await store.settle([Settlement(delivery.claim, result=ResultRecord("a", b'{"x": 1}'), follow_ups=follow_ups)])
    assert await reader.results(["a"]) == [b'{"x": 1}']
    assert await family.in_flight(reader, QUEUE, 0)
    assert sorted(await take_all(reader, [QUEUE, "other"])) == ["callback", "next"]


async def test_settling_claims_the_next_messages_in_the_same_call(family: Family) -> None:
    store = await family.open()
    await store.publish([message(str(number)) for number in range(6)])
    first = await take(store, 2)
    received = await store.settle([Settlement(each.claim) for each in first], [QUEUE], 3)
    assert names_of(received.deliveries) == ["2", "3", "4"]
    assert await family.in_flight(store, QUEUE, 3)


async def test_settling_claims_its_own_follow_ups(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    received = await store.settle([Settlement(delivery.claim, follow_ups=[message("next")])], [QUEUE], 5)
    assert names_of(received.deliveries) == ["next"]


async def test_settling_never_waits_for_messages(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    received = await asyncio.wait_for(store.settle([Settlement(delivery.claim)], [QUEUE], 5), 5)
    assert received.deliveries == []


async def test_settling_nothing_is_a_claim(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    assert names_of((await store.settle([], [QUEUE], 5)).deliveries) == ["a"]


async def test_a_large_batch_is_settled_whole(family: Family) -> None:
    store = await family.open()
    names = [str(number) for number in range(600)]
    await store.publish([message(name) for name in names])
    deliveries = []
    while batch := await take(store, 600):
        deliveries += batch
    settlements = [
        Settlement(each.claim, result=ResultRecord(name_of(each.payload), each.payload)) for each in deliveries
    ]
    assert (await store.settle(settlements)).refused == []
    assert None not in await store.results(names)
    assert await family.in_flight(store, QUEUE, 0)


async def test_a_large_result_is_stored(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a"), message("b")])
    a, b = await take(store, 2)
    large = b"x" * 3_000_000
    await store.settle(
        [Settlement(a.claim, result=ResultRecord("a", large)), Settlement(b.claim, result=ResultRecord("b", b"{}"))]
    )
    assert await store.results(["a", "b"]) == [large, b"{}"]


async def test_a_message_acknowledged_early_may_store_its_result_later(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim)])
    late = Settlement(b"", Disposition.NONE, result=ResultRecord("a", b"{}"), follow_ups=[message("next")])
    assert (await store.settle([late])).refused == []
    assert await store.results(["a"]) == [b"{}"]
    assert await take_all(store) == ["next"]


async def test_a_settlement_said_twice_happens_once(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    settlement = Settlement(delivery.claim, result=ResultRecord("a", b"{}"), follow_ups=[message("next")])
    await store.settle([settlement])
    await store.settle([settlement])
    assert await take_all(store) == ["next"]
    assert await store.results(["a"]) == [b"{}"]


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 13])
async def test_a_settlement_cut_off_half_way_and_repeated_happens_once(family: Family, steps: int) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    settlement = Settlement(delivery.claim, result=ResultRecord("a", b"{}"), follow_ups=[message("next")])
    settling = asyncio.ensure_future(store.settle([settlement]))
    for _ in range(steps):
        await asyncio.sleep(0)
    settling.cancel()
    await asyncio.gather(settling, return_exceptions=True)
    await store.settle([settlement])
    got: list[str] = []

    async def settled() -> bool:
        got.extend(await take_all(store))
        return await family.in_flight(store, QUEUE, 1) and got != []

    await family.eventually(settled)
    assert got == ["next"]
    assert await store.results(["a"]) == [b"{}"]


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 13])
async def test_a_cancelled_settle_loses_none_of_the_messages_that_it_claimed(family: Family, steps: int) -> None:
    store = await family.open()
    await store.publish([message(str(number)) for number in range(4)])
    delivery = await take_one(store)
    settling = asyncio.ensure_future(store.settle([Settlement(delivery.claim)], [QUEUE], 3))
    for _ in range(steps):
        await asyncio.sleep(0)
    settling.cancel()
    (outcome,) = await asyncio.gather(settling, return_exceptions=True)
    got = [] if isinstance(outcome, BaseException) else names_of(outcome.deliveries)

    async def rest() -> bool:
        await store.settle([Settlement(delivery.claim)])
        got.extend(await take_all(store))
        return len(got) >= 3

    await family.eventually(rest)
    assert sorted(got) == ["1", "2", "3"]


async def test_an_unknown_claim_is_refused_and_stores_nothing(family: Family) -> None:
    store = await family.open()
    received = await store.settle([Settlement(b"nobody:1", result=ResultRecord("a", b"{}"))])
    assert received.refused == [b"nobody:1"]
    assert await store.results(["a"]) == [None]


async def test_a_chord_part_travels_with_its_settlement(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    part = ChordPart("group", 0, "a", 2, b'["a", "SUCCESS", 1]')
    received = await store.settle(
        [Settlement(delivery.claim, result=ResultRecord("a", b"{}"), effects=Effects(parts=[part]))]
    )
    assert received.refused == []
    assert await store.results(["a"]) == [b"{}"]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_copy_of_a_message_that_was_followed_up_only_ends(family: Family, at_once: bool) -> None:
    store = await family.open()
    await store.publish([message("a"), message("a")])
    first, second = await take(store, 2)
    endings = [ended(first, "1"), ended(second, "2")]
    for batch in [endings] if at_once else [[each] for each in endings]:
        assert (await store.settle(batch)).refused == []
    assert await family.in_flight(store, QUEUE, 0)
    assert await take_all(store) == ["next of 1"]
    # A broker that is atomic tells its backend, elsewhere, nothing of copies.
    kept = not (isinstance(store, TwoStores) and store.capabilities.atomic)
    assert await store.results(["a"]) == [b"1" if kept else b"2"]


def ended(delivery: Delivery, which: str, identity: str = "tag", task_id: str = "a") -> Settlement:
    """The end of one delivery of a message, with a follow-up that says of which."""
    result = ResultRecord(task_id, which.encode())
    return Settlement(delivery.claim, result=result, follow_ups=[message(f"next of {which}")], identity=identity)


async def test_a_call_with_the_same_id_that_is_another_message_is_followed_up_too(family: Family) -> None:
    store = await family.open()
    for number in "123":  # a retry, or a user's own id once more
        await store.publish([message("a")])
        await store.settle([ended(await take_one(store), number, f"tag {number}")])
        assert await take_all(store) == [f"next of {number}"]


async def test_a_copy_of_a_message_that_was_acknowledged_early_is_not_followed_up(family: Family) -> None:
    store = await family.open()
    endings = [
        Settlement(b"", Disposition.NONE, ResultRecord("a", b"{}"), [message(f"next of {which}")], identity="tag")
        for which in "12"
    ]
    for each in endings:
        await store.settle([each])
    assert await take_all(store) == ["next of 1"]


async def test_what_a_lost_claim_would_have_published_does_not_count(family: Family) -> None:
    store = await family.open()
    await store.publish([message("a")])
    delivery = await take_one(store)
    stale = msgspec.structs.replace(delivery, claim=b"nobody:1")
    await store.settle([ended(stale, "1"), ended(delivery, "2")])
    assert await take_all(store) == ["next of 2"]


async def test_a_follow_up_wakes_a_waiting_worker(family: Family) -> None:
    first, second = await family.open(), await family.open()
    await first.publish([message("a")])
    delivery = await take_one(first)
    await second.declare(["other"])
    receiving = asyncio.ensure_future(second.receive(["other"], 1, 20))
    await asyncio.sleep(0.02)
    await first.settle([Settlement(delivery.claim, follow_ups=[message("next", "other")])])
    assert names_of((await asyncio.wait_for(receiving, 5)).deliveries) == ["next"]


@pytest.mark.parametrize("disposition", [Disposition.GIVE_BACK, Disposition.REDELIVER])
async def test_a_message_that_goes_back_wakes_a_waiting_worker(family: Family, disposition: Disposition) -> None:
    first, second = await family.open(), await family.open()
    await first.publish([message("a")])
    delivery = await take_one(first)
    await second.declare([QUEUE])
    receiving = asyncio.ensure_future(second.receive([QUEUE], 1, 20))
    await asyncio.sleep(0.02)
    await first.settle([Settlement(delivery.claim, disposition)])
    assert names_of((await asyncio.wait_for(receiving, 5)).deliveries) == ["a"]


async def test_settlements_of_different_dispositions_share_a_batch(family: Family) -> None:
    store = await family.open()
    await store.publish([message(name) for name in "abcde"])
    a, b, c, d, _ = await take(store, 5)
    await store.settle(
        [
            Settlement(a.claim),
            Settlement(b.claim, Disposition.HOLD, delay=3600),
            Settlement(c.claim, Disposition.DEAD_LETTER, reason="broken"),
            Settlement(d.claim, Disposition.GIVE_BACK),
        ]
    )
    counts = (await store.counts([QUEUE]))[QUEUE]
    assert family.tells(counts, ready=1, held=1, in_flight=1, dead=1)
