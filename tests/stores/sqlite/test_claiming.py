"""Which messages a claim takes, in which order."""

from __future__ import annotations

import os
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import claiming, publishing, settling
from celeriac.stores.sqlite.claiming import JOINED_SIZE, OLDEST_EVERY, Holder, weave
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.store import Delivery, Outgoing, Settlement

from .clock import Clock


@pytest.fixture
def holder() -> Holder:
    return Holder(StoreOptions(url="", lease=10.0))


def put(file: StoreFile, *messages: Outgoing) -> None:
    file.run(partial(publishing.publish, messages=messages), 1)


def take(file: StoreFile, holder: Holder, limit: int, queues: tuple[str, ...] = ("work",)) -> list[Delivery]:
    return file.run(partial(claiming.claim, holder=holder, queues=queues, limit=limit), 1)


def names(deliveries: list[Delivery]) -> list[str]:
    return [delivery.payload.decode() for delivery in deliveries]


def message(name: object, queue: str = "work", priority: int = 0, due: float | None = None) -> Outgoing:
    return Outgoing(queue, str(name).encode(), priority, due)


def test_a_queue_that_has_little_leaves_its_share_to_the_others(timed_file: StoreFile, holder: Holder) -> None:
    put(timed_file, *(message(number, "full") for number in range(50)), message("x", "little"))
    deliveries = take(timed_file, holder, 20, ("little", "full", "empty"))
    assert len(deliveries) == 20
    assert "x" in names(deliveries)


def test_the_queue_that_is_served_first_changes(timed_file: StoreFile, holder: Holder) -> None:
    queues = ("one", "two", "three")
    put(timed_file, *(message(queue, queue) for queue in queues for _ in range(4)))
    served = [names(take(timed_file, holder, 1, queues))[0] for _ in range(6)]
    assert served == ["one", "two", "three"] * 2


def test_a_flood_of_due_messages_leaves_room_for_immediate_ones(
    timed_file: StoreFile, holder: Holder, clock: Clock
) -> None:
    put(timed_file, *(message("flood", due=clock.now + 1) for _ in range(300)))
    clock.now += 2
    put(timed_file, *(message("immediate") for _ in range(20)))
    taken = [names(take(timed_file, holder, 20)) for _ in range(3)]
    assert "immediate" in taken[1]
    assert sum(batch.count("immediate") for batch in taken) == 20
    assert all(len(batch) == 20 for batch in taken)


def test_a_flood_leaves_room_even_when_messages_are_taken_one_by_one(
    timed_file: StoreFile, holder: Holder, clock: Clock
) -> None:
    put(timed_file, *(message("flood", due=clock.now + 1) for _ in range(30)))
    clock.now += 2
    put(timed_file, message("immediate"))
    taken = [names(take(timed_file, holder, 1))[0] for _ in range(5)]
    assert "immediate" in taken


def test_the_end_of_a_flood_is_reached(timed_file: StoreFile, holder: Holder, clock: Clock) -> None:
    put(timed_file, *(message(number, due=clock.now + 1) for number in range(100)))
    clock.now += 2
    taken: list[str] = []
    for _ in range(200):
        taken += names(take(timed_file, holder, 3))
    assert sorted(taken, key=int) == [str(number) for number in range(100)]


def test_held_messages_become_ready_in_the_order_of_their_times(
    timed_file: StoreFile, holder: Holder, clock: Clock
) -> None:
    put(timed_file, *(message(delay, due=clock.now + delay) for delay in (3, 1, 2)))
    clock.now += 5
    assert names(take(timed_file, holder, 10)) == ["1", "2", "3"]


def test_claims_of_other_stores_and_nonsense_end_nothing(timed_file: StoreFile, holder: Holder) -> None:
    put(timed_file, message("a"))
    (delivery,) = take(timed_file, holder, 1)
    name, batch, number = delivery.claim.split(b":")
    wrong = [
        b"",
        b"x",
        b"a:b:c",
        b"%b: 7:%b" % (name, number),
        b"\xff:1:1",
        b"x:%b:%b" % (batch, number),
        b"%b:999:%b" % (name, number),
    ]
    settlements = [Settlement(claim) for claim in (*wrong, delivery.claim)]
    assert timed_file.run(partial(settling.settle, options=holder.options, settlements=settlements), 1) == wrong


def test_a_busy_store_looks_for_ended_leases_by_itself(timed_file: StoreFile, holder: Holder, clock: Clock) -> None:
    put(timed_file, message("lost"))
    take(timed_file, Holder(StoreOptions(url="", lease=5.0)), 1)
    assert take(timed_file, holder, 1) == []
    clock.now += 6
    (delivery,) = take(timed_file, holder, 1)
    assert delivery.losses == 1


def test_messages_of_a_lost_worker_come_back_with_a_warning(
    timed_file: StoreFile, holder: Holder, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    put(timed_file, message("lost"))
    take(timed_file, Holder(StoreOptions(url="", lease=5.0)), 1)
    clock.now += 6
    take(timed_file, holder, 1)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "a worker was lost: 1 of its messages are back in their queues"
    ]


def test_a_clock_that_was_set_back_does_not_stop_the_sweeps(
    timed_file: StoreFile, holder: Holder, clock: Clock
) -> None:
    take(timed_file, holder, 1)
    clock.now -= 3600
    assert holder.must_sweep(clock.now)


Places = st.lists(st.integers(0, 9), max_size=60)


@given(priorities=Places, served=st.integers(0, 20), limit=st.integers(1, 80))
def test_weaving_takes_each_eighth_message_by_age_and_loses_none(
    priorities: list[int], served: int, limit: int
) -> None:
    places = [(priority, number, number) for number, priority in enumerate(priorities)]
    chosen = weave(sorted(places), places, served, limit)
    # The rule, written down naively: one message after the other out of what is left.
    left, expected = list(places), []
    for turn in range(served, served + min(limit, len(places))):
        by_age = turn % OLDEST_EVERY == OLDEST_EVERY - 1
        found = min(left, key=lambda place: place[2]) if by_age else min(left)
        left.remove(found)
        expected.append(found)
    assert chosen == expected


@given(data=st.data(), priorities=Places.filter(bool), served=st.integers(0, 20))
def test_weaving_needs_to_see_only_a_few_of_the_oldest(data: st.DataObject, priorities: list[int], served: int) -> None:
    limit = data.draw(st.integers(1, len(priorities)))
    places = [(priority, number, number) for number, priority in enumerate(priorities)]
    per_priority: list[tuple[int, int, int]] = []
    for priority in range(10):
        same = [place for place in places if place[0] == priority]
        per_priority += same[: limit // OLDEST_EVERY + 1]
    per_priority.sort(key=lambda place: place[2])
    chosen = weave(sorted(places)[:limit], per_priority, served, limit)
    assert chosen == weave(sorted(places), places, served, limit)


@pytest.mark.parametrize("size", [0, 1, 1000, JOINED_SIZE // 2])
def test_payloads_of_any_size_and_content_come_back_untouched(timed_file: StoreFile, holder: Holder, size: int) -> None:
    payloads = [bytes(size), b"\0\xff\xfe" + os.urandom(size), "é🥕".encode() * (size // 6), b""]
    put(timed_file, *(Outgoing("work", payload) for payload in payloads))
    assert [delivery.payload for delivery in take(timed_file, holder, 10)] == payloads


def test_the_latest_of_several_claims_on_a_message_is_the_one_that_counts(
    timed_file: StoreFile, holder: Holder, clock: Clock
) -> None:
    put(timed_file, message("a"))
    claims = []
    for _ in range(3):
        claims.append(take(timed_file, holder, 1)[0].claim)
        clock.now += 11
        timed_file.run(partial(claiming.end_expired, holder=holder), 1)
    claims.append(take(timed_file, holder, 1)[0].claim)
    assert timed_file.run(partial(claiming.renew, tokens=claims, lease=10.0), 1) == claims[:3]
    settlements = [Settlement(claim) for claim in (*claims[::-1], claims[3])]
    refused = timed_file.run(partial(settling.settle, options=holder.options, settlements=settlements), 1)
    assert refused == [*claims[2::-1], claims[3]]
