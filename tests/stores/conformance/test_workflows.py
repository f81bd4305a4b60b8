"""Effects of settlements: the parts of chords, what completes them, and documents."""

from __future__ import annotations

import asyncio
import random
from functools import cache
from typing import Any

import pytest

from celeriac.stores.store import (
    ChordPart,
    Completed,
    Disposition,
    Document,
    Effects,
    Outgoing,
    ResultRecord,
    Settlement,
    Store,
)
from celeriac.stores.two_stores import TwoStores

from .family import Family, running
from .messages import QUEUE, names_of, take, take_all, take_one
from .messages import message as new_message

MEMBERS = 40

message = cache(new_message)
"""The same message for the same name."""


def member(index: int, size: int | None = 3, group: str = "g", end: Outgoing | None = None) -> ChordPart:
    """The part of the member at that position; all of a chord bring the same completion, as members do."""
    task_id = f"{group}{index}"
    payload = f'[1, "{task_id}", "SUCCESS", {index}]'.encode()
    return ChordPart(group, index, task_id, size, payload, end or message(f"end of {group}"))


def ended(*parts: ChordPart, claim: bytes = b"", **effects: Any) -> Settlement:
    """How members end whose messages are acknowledged already, unless there is a claim."""
    disposition = Disposition.ACKNOWLEDGE if claim else Disposition.NONE
    return Settlement(claim, disposition, effects=Effects(parts=parts, **effects))


async def settle(store: Store, *settlements: Settlement) -> None:
    """Settle in one batch, as workers do: where the broker is elsewhere each has an identity."""
    if isinstance(store, TwoStores):
        for each in settlements:
            parts = each.effects.parts if each.effects is not None else ()
            each.identity = " ".join(f"{part.task_id} {part.index} {part.size}" for part in parts)
    assert (await store.settle(settlements)).refused == []


async def count(store: Store, *parts: ChordPart) -> None:
    """Count each part by a settlement of its own."""
    for part in parts:
        await settle(store, ended(part))


async def assert_published(family: Family, store: Store, *names: str) -> None:
    """These messages have been published since the last look, and no other ones."""
    got: list[str] = []

    async def all_are_there() -> bool:
        got.extend(await take_all(store))
        return len(got) >= len(names)

    await family.eventually(all_are_there)
    if family.repeats_completions:
        got = list(dict.fromkeys(got))
    assert sorted(got) == sorted(names)


# --------------------------------------------------------------------------------------------------------------- parts


async def test_a_store_that_keeps_results_says_that_it_counts_chords(family: Family) -> None:
    assert (await family.open()).capabilities.workflows
    assert family.open_sync().capabilities.workflows


async def test_the_last_part_publishes_the_completion_in_the_step_that_acknowledges_it(family: Family) -> None:
    store = await family.open()
    await store.publish([message("0"), message("1"), message("2")])
    await family.is_ready(store, QUEUE, 3)
    deliveries = await take(store, 3)
    for delivery, name in zip(deliveries, names_of(deliveries), strict=True):
        await assert_published(family, store)
        await settle(store, ended(member(int(name)), claim=delivery.claim))
    await assert_published(family, store, "end of g")


async def test_parts_are_read_in_the_order_of_their_positions(family: Family) -> None:
    store, reader, client = await family.open(), await family.open(), family.open_sync()
    parts = [member(index, 12) for index in (10, 2, 11, 0, 7)]
    await count(store, *parts)
    expected = [part.payload for part in sorted(parts, key=lambda part: part.index)]
    assert await reader.chord_parts("g") == expected
    assert await asyncio.to_thread(client.chord_parts, "g") == expected
    assert await store.chord_parts("of nobody") == []


async def test_a_part_that_comes_again_counts_once_and_keeps_its_first_payload(family: Family) -> None:
    store = await family.open()
    again = ChordPart("g", 0, "g0", 3, b"another payload", message("end of g"))
    await count(store, member(0), again, member(1), again, member(1), again)
    await assert_published(family, store)
    await count(store, member(2))
    await assert_published(family, store, "end of g")
    assert await store.chord_parts("g") == [member(index).payload for index in range(3)]


async def test_two_tasks_at_one_position_are_two_parts(family: Family) -> None:
    store = await family.open()
    first, second = (ChordPart("g", 0, name, 2, name.encode(), message("end")) for name in "ab")
    await count(store, first, second)
    await assert_published(family, store, "end")
    assert await store.chord_parts("g") == [b"a", b"b"]


async def test_parts_that_come_after_the_completion_do_not_publish_it_again(family: Family) -> None:
    store = await family.open()
    await count(store, *(member(index) for index in range(3)))
    await count(store, *(member(index) for index in range(6)), member(2))
    await assert_published(family, store, "end of g")


async def test_a_whole_chord_in_one_batch_is_complete_once(family: Family) -> None:
    store = await family.open()
    parts = [member(index, MEMBERS) for index in range(MEMBERS)]
    await settle(store, *(ended(part) for part in [*parts, *parts]))
    await assert_published(family, store, "end of g")
    assert await store.chord_parts("g") == [part.payload for part in parts]


async def test_one_settlement_may_count_parts_of_several_chords(family: Family) -> None:
    store = await family.open()
    await count(store, member(0, 2, "a"), member(0, 2, "b"), member(0, 2, "c"))
    await settle(store, ended(member(1, 2, "a"), member(1, 2, "c")))
    await assert_published(family, store, "end of a", "end of c")


async def test_a_part_without_a_completion_completes_silently(family: Family) -> None:
    store = await family.open()
    await count(store, member(0, 2), ChordPart("g", 1, "g1", 2, b"[1]"))
    await assert_published(family, store)
    await count(store, member(2, 2))
    await assert_published(family, store)
    assert len(await store.chord_parts("g")) == 3


@pytest.mark.parametrize("seed", range(3))
async def test_parts_that_come_in_any_order_from_anywhere_complete_their_chords_once(family: Family, seed: int) -> None:
    stores = [await family.open() for _ in range(3)]
    chance = random.Random(seed)
    parts = [member(index, MEMBERS, group) for group in "ab" for index in range(MEMBERS)]
    parts += chance.choices(parts, k=MEMBERS)
    chance.shuffle(parts)
    heaps = [[ended(part) for part in parts[at :: len(stores)]] for at in range(len(stores))]

    async def work(store: Store, heap: list[Settlement]) -> None:
        while heap:
            step = chance.randint(1, 5)
            await settle(store, *heap[:step])
            del heap[:step]

    await asyncio.gather(*map(work, stores, heaps))
    await assert_published(family, stores[0], "end of a", "end of b")
    for group in "ab":
        assert await stores[0].chord_parts(group) == [member(at, group=group).payload for at in range(MEMBERS)]


async def test_a_completion_is_published_as_any_follow_up(family: Family) -> None:
    store = await family.open()
    await store.declare([QUEUE, "other"])
    now = family.now()
    await settle(
        store,
        ended(member(0, 1, "later", message("later", due=now + 0.3))),
        ended(member(0, 1, "other", message("elsewhere", "other"))),
        ended(member(0, 1, "urgent", message("plain", priority=family.urgency(0)))),
    )
    assert names_of(await family.eventually(lambda: take(store, 1, ["other"]))) == ["elsewhere"]
    got: list[str] = []

    async def both() -> bool:
        got.extend(await take_all(store))
        return len(got) >= 2

    await family.eventually(both)
    assert got == ["plain", "later"]


async def test_a_completion_wakes_a_waiting_worker(family: Family) -> None:
    first, second = await family.open(), await family.open()
    await second.declare(["other"])
    async with running(second.receive(["other"], 1, 20)) as receiving:
        await first.settle([ended(member(0, 1, end=message("end", "other")))])
        assert names_of((await asyncio.wait_for(receiving, 5)).deliveries) == ["end"]


async def test_nothing_happens_under_a_claim_that_is_not_ours(family: Family) -> None:
    store = await family.open()
    settlement = ended(
        member(0, 1), claim=b"nobody:1", documents=[Document("flow", "f", b"x")], results=[ResultRecord("later", b"{}")]
    )
    settlement.follow_ups = [message("next")]
    assert (await store.settle([settlement])).refused == [b"nobody:1"]
    await assert_published(family, store)
    assert await store.chord_parts("g") == []
    assert await store.documents("flow", ["f"]) == [None]
    assert await store.results(["later"]) == [None]
    await count(store, member(0, 1))
    await assert_published(family, store, "end of g")


# --------------------------------------------------------------------------------------------------------------- sizes


async def test_a_document_says_the_size_where_the_parts_do_not(family: Family) -> None:
    store = await family.open()
    await store.store_documents([Document("size", "g", b"2")])
    await count(store, member(0, None))
    await assert_published(family, store)
    await count(store, member(1, None))
    await assert_published(family, store, "end of g")


async def test_a_size_that_comes_with_the_last_part_counts_for_those_before(family: Family) -> None:
    store = await family.open()
    await count(store, member(0, None), member(1, None))
    await assert_published(family, store)
    await count(store, member(2, 3))
    await assert_published(family, store, "end of g")


async def test_a_size_that_came_with_a_part_before_counts_for_the_last(family: Family) -> None:
    store = await family.open()
    await count(store, member(0, 3), member(1, None))
    await assert_published(family, store)
    await count(store, member(2, None))
    await assert_published(family, store, "end of g")


async def test_without_any_size_a_chord_is_never_complete(family: Family) -> None:
    store = await family.open()
    await count(store, *(member(index, None) for index in range(5)))
    await assert_published(family, store)


async def test_members_that_are_added_are_waited_for(family: Family) -> None:
    store = await family.open()
    await count(store, member(0))
    await settle(store, ended(member(1), grown=[("g", 2)]))
    await count(store, member(2), member(3))
    await assert_published(family, store)
    await count(store, member(4))
    await assert_published(family, store, "end of g")


async def test_what_the_last_member_adds_before_it_ends_is_waited_for(family: Family) -> None:
    store = await family.open()
    await count(store, member(0, 2))
    await settle(store, ended(member(1, 2), grown=[("g", 1)]))
    await assert_published(family, store)
    await count(store, member(2, 2))
    await assert_published(family, store, "end of g")


async def test_a_member_that_ends_twice_adds_its_members_once(family: Family) -> None:
    store = await family.open()
    for _ in range(2):
        await store.record([ended(member(0, 2), grown=[("g", 1), ("other", 1)])])
    await store.settle([ended(member(0, 2), grown=[("g", 1)])])
    found = [(await store.record([ended(member(index, 2))]))[0] for index in (1, 2)]
    assert found == [None, Completed([message("end of g")])]


async def test_a_settlement_that_stores_the_size_counts_its_own_part_by_it(family: Family) -> None:
    store = await family.open()
    await settle(store, ended(member(0, None), documents=[Document("size", "g", b"1")]))
    await assert_published(family, store, "end of g")


# -------------------------------------------------------------------------------------------------------------- closed


async def test_a_chord_that_is_closed_has_no_parts_any_more(family: Family) -> None:
    store = await family.open()
    await count(store, member(0, 2), member(1, 2), member(0, 2, "other"))
    await settle(store, ended(closed=["g"]))
    assert await store.chord_parts("g") == []
    assert await store.chord_parts("other") == [member(0, 2, "other").payload]


async def test_a_part_that_comes_after_the_end_completes_nothing(family: Family) -> None:
    store = await family.open()
    await count(store, member(0, 1))
    await settle(store, ended(closed=["g"]))
    await count(store, member(0, 1), member(1, 1))
    await settle(store, ended(member(2, 1), grown=[("g", -1)]))
    await assert_published(family, store, "end of g")
    assert await store.chord_parts("g") == []


async def test_a_chord_may_be_closed_before_it_is_complete(family: Family) -> None:
    store = await family.open()
    await count(store, member(0, 2))
    await settle(store, ended(closed=["g"]))
    await count(store, member(1, 2))
    await assert_published(family, store)
    assert await store.chord_parts("g") == []


async def test_a_batch_that_completes_a_chord_may_close_it(family: Family) -> None:
    store = await family.open()
    await settle(store, ended(member(0, 2)), ended(member(1, 2)), ended(closed=["g"]), ended(member(0, 1)))
    await assert_published(family, store, "end of g")
    assert await store.chord_parts("g") == []


async def test_closing_drops_the_size(family: Family) -> None:
    store = await family.open()
    await store.store_documents([Document("size", "g", b"2"), Document("group", "g", b"kept")])
    await settle(store, ended(closed=["g"]))
    assert await store.documents("size", ["g"]) == [None]
    assert await store.documents("group", ["g"]) == [b"kept"]


# ------------------------------------------------------------------------------------------------------------- results


async def test_results_of_tasks_that_never_run_are_stored_and_told(family: Family) -> None:
    store, reader = await family.open(), await family.open()

    async def wait() -> list[tuple[str, bytes]]:
        return [each async for each in reader.wait(["next"], bool, 20)]

    async with running(wait()) as waiting:
        failed = ResultRecord("next", b'{"status": "FAILURE"}', "FAILURE")
        await settle(store, ended(results=[failed]))
        assert await family.finish(waiting) == [("next", failed.payload)]


async def test_effects_do_not_replace_a_success(family: Family) -> None:
    store = await family.open()
    done = ResultRecord("next", b'{"status": "SUCCESS"}')
    await store.store_results([done])
    failed = [ResultRecord(name, b'{"status": "FAILURE"}', "FAILURE") for name in ("next", "after")]
    await settle(store, ended(results=failed))
    assert await store.results(["next", "after"]) == [done.payload, failed[1].payload]


# ----------------------------------------------------------------------------------------------------------- documents


async def test_documents_are_read_by_kind_and_id(family: Family) -> None:
    store, reader, client = await family.open(), await family.open(), family.open_sync()
    await store.store_documents([Document("group", "a", b"group a"), Document("flow", "a", b"\x00flow a")])
    await asyncio.to_thread(client.store_documents, [Document("flow", "b", b"flow b", None)])
    await store.store_documents([])
    assert await reader.documents("flow", ["b", "none", "a", "b"]) == [b"flow b", None, b"\x00flow a", b"flow b"]
    assert await asyncio.to_thread(client.documents, "group", ["a", "b"]) == [b"group a", None]
    assert await reader.documents("flow", []) == []


async def test_a_later_document_replaces_the_earlier(family: Family) -> None:
    store = await family.open()
    await store.store_documents([Document("flow", "a", b"1"), Document("flow", "a", b"2")])
    assert await store.documents("flow", ["a"]) == [b"2"]
    await settle(store, ended(documents=[Document("flow", "a", b"3"), Document("size", "g", b"7")]))
    assert await store.documents("flow", ["a"]) == [b"3"]
    assert await store.documents("size", ["g"]) == [b"7"]


async def test_documents_are_dropped(family: Family) -> None:
    store, client = await family.open(), family.open_sync()
    names = ["a", "b", "c"]
    await store.store_documents([Document(kind, name, b"x") for name in names for kind in ("group", "flow")])
    await store.drop_documents("flow", ["a", "none"])
    await asyncio.to_thread(client.drop_documents, "flow", ["b"])
    await store.drop_documents("flow", [])
    assert await store.documents("flow", names) == [None, None, b"x"]
    assert await store.documents("group", names) == [b"x"] * 3


async def test_documents_live_as_long_as_they_say(family: Family) -> None:
    store = await family.open()
    await store.store_documents([Document("flow", "long", b"x", None), Document("flow", "short", b"x", 0.2)])
    await settle(store, ended(documents=[Document("group", "short", b"x", 0.2)]))
    await store.store_documents([Document("flow", "renewed", b"x", 0.2), Document("flow", "renewed", b"y", 3600.0)])

    async def gone() -> bool:
        return await store.documents("flow", ["short"]) + await store.documents("group", ["short"]) == [None, None]

    await family.eventually(gone)
    assert await store.documents("flow", ["long", "renewed"]) == [b"x", b"y"]


async def test_many_documents_travel_at_once(family: Family) -> None:
    store = await family.open()
    names = [str(number) for number in range(1500)]
    await store.store_documents([Document("flow", name, name.encode()) for name in names])
    assert await store.documents("flow", names) == [name.encode() for name in names]


# ------------------------------------------------------------------------------------------------------------- records


def recorded(part: ChordPart, identity: str = "", **effects: Any) -> Settlement:
    """How a member ends where the broker is elsewhere."""
    settlement = ended(part, **effects)
    settlement.identity = identity
    settlement.follow_ups = [message("next")]
    return settlement


async def test_a_record_tells_the_completion_and_holds_it_before_the_follow_ups(family: Family) -> None:
    store, other = await family.open(), await family.open()
    assert await store.record([recorded(member(0, 2), "zero")]) == [None]
    assert await store.record([recorded(member(1, 2), "one")]) == [Completed([message("end of g")])]
    assert await other.record([recorded(member(1, 2), "one")]) == [[message("end of g"), message("next")]]
    assert await store.record([recorded(member(0, 2), "zero")]) == [[message("next")]]
    await assert_published(family, store)


async def test_a_record_that_is_marked_has_no_completion_either(family: Family) -> None:
    store = await family.open()
    await store.record([recorded(member(0, 1), "zero")])
    assert await store.record([recorded(member(0, 1), "zero")], ["zero"]) == [[]]


@pytest.mark.parametrize("follow_ups", [0, 15, 16, 17, 70_000])
async def test_records_hold_completions_beside_any_number_of_follow_ups(family: Family, follow_ups: int) -> None:
    store = await family.open()
    settlement = recorded(member(0, 1), "zero")
    settlement.follow_ups = [Outgoing("work", b"%d" % number) for number in range(follow_ups)]
    assert await store.record([settlement]) == [Completed([message("end of g")])]
    assert await store.record([settlement]) == [[message("end of g"), *settlement.follow_ups]]


async def test_one_record_may_hold_the_completions_of_several_chords(family: Family) -> None:
    store = await family.open()
    settlement = recorded(member(0, 1, "a"), "zero")
    assert settlement.effects is not None
    parts = [member(0, 1, group) for group in "abc"]
    settlement.effects = Effects(parts=[*parts[:2], member(0, 2, "never"), parts[2]])
    others = [recorded(member(0, 1, "d"), "other"), recorded(member(0, 2, "e"))]
    completions = [message(f"end of {group}") for group in "abc"]
    found = await store.record([others[0], settlement, others[1]])
    assert found == [Completed([message("end of d")]), Completed(completions), None]
    assert await store.record([settlement]) == [[*completions, message("next")]]


async def test_effects_are_recorded_once(family: Family) -> None:
    store = await family.open()
    effects: dict[str, Any] = {
        "grown": [("g", 1)],
        "documents": [Document("flow", "f", b"1")],
        "results": [ResultRecord("x", b"{}")],
    }
    assert await store.record([recorded(member(0, 2), "zero", **effects)]) == [None]
    await store.drop_documents("flow", ["f"])
    await store.forget(["x"])
    await store.record([recorded(member(0, 2), "zero", **effects)])
    assert await store.documents("flow", ["f"]) == [None]
    assert await store.results(["x"]) == [None]
    assert await store.record([recorded(member(1, 2), "one"), recorded(member(2, 2), "two")]) == [
        None,
        Completed([message("end of g")]),
    ]


async def test_without_a_record_a_completion_is_told_again_until_the_chord_is_closed(family: Family) -> None:
    store = await family.open()
    end = Completed([message("end of g")])
    assert await store.record([recorded(member(0, 2)), recorded(member(0, 2))]) == [None, None]
    assert await store.record([recorded(member(1, 2))]) == [end]
    assert await store.record([recorded(member(0, 2))]) == [end]
    assert await store.record([recorded(member(1, 2)), recorded(member(1, 2), "one")]) == [end, None]
    await store.record([ended(closed=["g"])])
    assert await store.record([recorded(member(1, 2))]) == [None]


async def test_a_chord_that_several_record_at_once_is_complete_once(family: Family) -> None:
    stores = [await family.open() for _ in range(3)]
    settlements = [recorded(member(index, MEMBERS), str(index)) for index in range(MEMBERS)]
    found = await asyncio.gather(
        *(stores[at % 3].record([each]) for at, each in enumerate([*settlements, *settlements]))
    )
    completed = [held for (held,) in found if isinstance(held, Completed)]
    assert completed == [Completed([message("end of g")])]


# ----------------------------------------------------------------------------------------------------- two of one task


async def test_a_member_whose_worker_died_is_counted_once(family: Family) -> None:
    store, heir = await family.open(), await family.open()
    await store.publish([message("g0")])
    await family.is_ready(store, QUEUE, 1)
    delivery = await take_one(store)
    await store.settle([Settlement(delivery.claim, Disposition.REDELIVER)])
    await family.is_ready(heir, QUEUE, 1)
    again = await take_one(heir)
    assert (await store.settle([ended(member(0, 2), claim=delivery.claim)])).refused == [delivery.claim]
    await heir.settle([ended(member(0, 2), claim=again.claim)])
    await count(heir, member(1, 2))
    await assert_published(family, heir, "end of g")
