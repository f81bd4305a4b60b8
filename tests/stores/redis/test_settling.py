"""Batches of settlements as keys and arguments."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from celeriac.stores.redis.claiming import Home
from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.settling import BATCH_BYTES, BATCH_SIZE, Batch, Context, batches, encode
from celeriac.stores.redis.wire import milliseconds
from celeriac.stores.store import Disposition, Outgoing, ResultRecord, Settlement

KEYS = Keys({}, 0, "celeriac.dead", "")
FIXED = tuple(b"fixed%d" % number for number in range(7))


def encoded(settlements: list[Settlement], **fields: Any) -> Batch:
    values: dict[str, Any] = {"homes": {}, "marked": {}, "redelivered": set(), **fields}
    return encode(settlements, Context(KEYS, FIXED, 0, None, **values))


def result_of(size: int, state: str = "SUCCESS", expires: float | None = 60.0) -> ResultRecord:
    return ResultRecord("id", b"x" * size, state, expires)


@given(st.lists(st.integers(min_value=0, max_value=BATCH_BYTES * 2), max_size=12), st.integers(0, 600))
def test_batches_keep_every_settlement_in_its_order_and_their_bounds(sizes: list[int], small: int) -> None:
    settlements = [Settlement(b"%d" % number, result=result_of(1)) for number in range(small)]
    for number, size in enumerate(sizes):
        # One byte object for all: the sizes count, not the memory.
        settlements.insert(number * 7, Settlement(b"big%d" % number, result=result_of(size)))
    cut = list(batches(settlements))
    kept = [each for large, batch in cut if not large for each in batch]
    assert sorted(each.claim for _, batch in cut for each in batch) == sorted(each.claim for each in settlements)
    positions = [next(at for at, other in enumerate(settlements) if other is each) for each in kept]
    assert positions == sorted(positions)
    for large, batch in cut:
        bytes_ = sum(len(each.result.payload) for each in batch if each.result)
        if large:
            assert len(batch) == 1
            assert bytes_ > BATCH_BYTES
        else:
            assert len(batch) <= BATCH_SIZE
            assert bytes_ <= BATCH_BYTES


def test_the_common_case_costs_one_key_and_two_arguments() -> None:
    one = encoded([Settlement(b"c1", result=result_of(3))])
    two = encoded([Settlement(b"c1", result=result_of(3)), Settlement(b"c2", result=result_of(3))])
    assert len(two.keys) - len(one.keys) == 1
    assert len(two.arguments) - len(one.arguments) == 2
    assert one.keys == [*FIXED, b"celery-task-meta-id"]


def test_what_is_not_a_plain_success_is_an_operation() -> None:
    plain = Settlement(b"c1", result=result_of(1))
    cases: list[tuple[Settlement, dict[str, Any]]] = [
        (Settlement(b"c2", result=result_of(1, "FAILURE")), {}),
        (Settlement(b"c2", result=result_of(1, expires=None)), {}),
        (Settlement(b"c2", result=result_of(1, expires=5.0)), {}),
        (Settlement(b"c2", result=result_of(1)), {"redelivered": {b"c2"}}),
        (Settlement(b"c2", Disposition.DEAD_LETTER, result=result_of(1)), {"homes": {b"c2": Home("q", 0)}}),
        (Settlement(b"", Disposition.NONE, result=result_of(1, "STARTED")), {}),
    ]
    for other, fields in cases:
        batch = encoded([plain, other], **fields)
        assert batch.claims[0] == b"c1"
        assert batch.arguments[1] == 1  # plain results
        assert b"R" in batch.arguments


def test_the_result_of_what_was_acknowledged_early_costs_no_more() -> None:
    batch = encoded([Settlement(b"", Disposition.NONE, result=result_of(3)), Settlement(b"c1", result=result_of(4))])
    assert batch.arguments[:4] == [1, 1, 0, 1]
    assert batch.arguments[-3:] == [b"c1", b"xxxx", b"xxx"]


def test_what_is_done_once_only_is_a_plain_result_without_follow_ups() -> None:
    plain = Settlement(b"c1", result=result_of(3), identity="tag")
    assert encoded([plain]) == encoded([Settlement(b"c1", result=result_of(3))])
    batch = encoded([Settlement(b"c1", result=result_of(3), follow_ups=[Outgoing("q", b"x")], identity="tag")])
    assert batch.keys[7:] == [b"celeriac.recorded.tag", b"celery-task-meta-id", b"q"]
    (at,) = [place for place, argument in enumerate(batch.arguments) if argument == b"O"]
    after = batch.arguments[at + 5 :]
    assert after[0] == b"R"
    assert batch.arguments[at + 4] == len(after)


def test_claims_whose_envelope_is_needed_come_last() -> None:
    homes = {b"c%d" % number: Home("q", 1) for number in range(4)}
    batch = encoded(
        [
            Settlement(b"c0", Disposition.HOLD, due=5.0),
            Settlement(b"c1"),
            Settlement(b"c2", Disposition.GIVE_BACK),
            Settlement(b"c3", result=result_of(1)),
        ],
        homes=homes,
    )
    assert batch.claims == [b"c3", b"c1", b"c0", b"c2"]
    assert batch.arguments[:4] == [4, 1, 2, 0]


def test_keys_that_several_operations_use_are_named_once() -> None:
    messages = [Outgoing("q", b"x"), Outgoing("q", b"y"), Outgoing("q", b"z", priority=9), Outgoing("q", b"w", due=5.0)]
    batch = encoded([Settlement(b"c", follow_ups=messages)])
    assert batch.keys[7:] == [b"q", b"q\x06\x169", b"celeriac.held.q", b"celeriac.due.q"]
    assert batch.arguments[7] == "llzs"


def test_lifetimes_are_at_least_a_millisecond() -> None:
    assert milliseconds(0.0) == 1
    assert milliseconds(1.0001) == 1001
