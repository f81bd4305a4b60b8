"""Records of settlements: what a backend remembers of follow-ups that a broker elsewhere publishes."""

from __future__ import annotations

import asyncio

from celeriac.stores.store import ChordPart, Disposition, Effects, Outgoing, ResultRecord, Settlement

from .family import Family
from .messages import QUEUE, message


def ended(identity: str, result: bytes = b"{}", task_id: str = "a") -> Settlement:
    """A settlement with a follow-up that says from which it is."""
    follow_ups = [Outgoing(QUEUE, b"next of " + result)]
    return Settlement(
        b"",
        Disposition.NONE,
        ResultRecord(task_id, result),
        follow_ups,
        Effects(parts=[ChordPart("g", 0, "a", 2, b"p")]),
        identity=identity,
    )


async def test_a_settlement_that_is_recorded_stores_its_result_and_publishes_nothing(family: Family) -> None:
    store, reader = await family.open(), await family.open()
    assert await store.record([ended("one", b"1")]) == [None]
    assert await reader.results(["a"]) == [b"1"]
    counts = (await reader.counts([QUEUE]))[QUEUE]
    assert family.tells(counts)


async def test_the_same_settlement_again_stores_nothing_and_is_told_the_first_follow_ups(family: Family) -> None:
    store, other = await family.open(), await family.open()
    await store.record([ended("one", b"1")])
    assert await other.record([ended("one", b"2")]) == [[Outgoing(QUEUE, b"next of 1")]]
    assert await store.results(["a"]) == [b"1"]


async def test_a_record_that_is_marked_has_nothing_to_publish(family: Family) -> None:
    store = await family.open()
    await store.record([ended("one", b"1")])
    assert await store.record([], ["one"]) == []
    assert await store.record([ended("one", b"2")]) == [[]]
    assert await store.results(["a"]) == [b"1"]


async def test_marks_and_settlements_travel_together_and_the_marks_come_first(family: Family) -> None:
    store = await family.open()
    await store.record([ended("one", b"1"), ended("two", b"2")])
    found = await store.record([ended("one", b"3"), ended("three", b"3"), ended("two", b"3")], ["one", "never"])
    assert found == [[], None, [Outgoing(QUEUE, b"next of 2")]]
    assert await store.record([ended("never")]) == [[]]


async def test_settlements_without_an_identity_are_stored_each_time(family: Family) -> None:
    store = await family.open()
    assert await store.record([ended("", b"1"), ended("", b"2", "b")]) == [None, None]
    assert await store.record([ended("", b"3")]) == [None]
    assert await store.results(["a", "b"]) == [b"3", b"2"]


async def test_the_same_settlement_twice_in_a_batch_is_stored_once(family: Family) -> None:
    store = await family.open()
    found = await store.record([ended("one", b"1"), ended("", b"x", "b"), ended("one", b"2")])
    assert found == [None, None, [Outgoing(QUEUE, b"next of 1")]]
    assert await store.results(["a", "b"]) == [b"1", b"x"]


async def test_follow_ups_come_back_as_they_were(family: Family) -> None:
    store = await family.open()
    follow_ups = [
        message("plain"),
        message("held", due=family.now() + 3600.5, priority=9),
        Outgoing("", b"\x00\xff", exchange="fan", routing_key="key"),
        Outgoing("gr\u00fcn", b"x" * 3_000_000),
    ]
    settlement = Settlement(b"", follow_ups=follow_ups, identity="one")
    assert await store.record([settlement]) == [None]
    assert await store.record([settlement]) == [follow_ups]


async def test_more_than_a_batch_keeps_its_order(family: Family) -> None:
    store = await family.open()
    names = [f"i{number}" for number in range(600)]
    known = names[::3]
    await store.record([ended(name, name.encode(), name) for name in known])
    await store.record([], known[:150])
    found = await store.record([ended(name, b"again", name) for name in names])
    for name, held in zip(names, found, strict=True):
        kept = [] if name in known[:150] else [Outgoing(QUEUE, b"next of " + name.encode())]
        assert held == (kept if name in known else None)


async def test_of_several_that_record_the_same_settlement_at_once_one_is_the_first(family: Family) -> None:
    stores = [await family.open() for _ in range(4)]
    found = await asyncio.gather(*(store.record([ended("one", b"%d" % n)]) for n, store in enumerate(stores)))
    firsts = [n for n, (held,) in enumerate(found) if held is None]
    assert len(firsts) == 1
    assert await stores[0].results(["a"]) == [b"%d" % firsts[0]]
    others = [held for (held,) in found if held is not None]
    assert others == [[Outgoing(QUEUE, b"next of %d" % firsts[0])]] * 3


async def test_who_waits_for_a_result_is_told_when_it_is_recorded(family: Family) -> None:
    store, reader = await family.open(), await family.open()

    async def wait() -> list[tuple[str, bytes]]:
        return [each async for each in reader.wait(["a"], bool, 20)]

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0.02)
    await store.record([ended("one", b"1")])
    assert await family.finish(waiting) == [("a", b"1")]


async def test_a_recorded_failure_does_not_replace_a_success(family: Family) -> None:
    store = await family.open()
    await store.store_results([ResultRecord("a", b'{"status": "SUCCESS"}')])
    failed = Settlement(b"", result=ResultRecord("a", b'{"status": "FAILURE"}', "FAILURE"), identity="one")
    assert await store.record([failed]) == [None]
    assert await store.results(["a"]) == [b'{"status": "SUCCESS"}']
