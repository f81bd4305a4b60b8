"""Delivery tags: whatever the order, the server learns of each exactly once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from celeriac.stores.amqp.tags import Tags


class Server:
    """What RabbitMQ keeps of a channel: deliveries that are not settled."""

    def __init__(self, delivered: int) -> None:
        self.held = set(range(1, delivered + 1))

    def settle(self, tag: int, multiple: bool) -> set[int]:
        assert tag in self.held, "PRECONDITION_FAILED - unknown delivery tag"
        gone = {each for each in self.held if each == tag or (multiple and each < tag)}
        self.held -= gone
        return gone


@given(st.integers(0, 30), st.lists(st.lists(st.integers(-1, 32), max_size=12), max_size=12))
def test_each_delivery_is_settled_once_and_only_when_it_was_asked_for(delivered: int, calls: list[list[int]]) -> None:
    tags, server = Tags(), Server(delivered)
    tags.highest = delivered
    asked: set[int] = set()
    for call in calls:
        before = set(server.held)
        gone: set[int] = set()
        for tag, multiple in tags.settle(call):
            gone |= server.settle(tag, multiple)
        assert gone == before & set(call)
        asked |= set(call)
        assert tags.unsettled == len(server.held)


@given(st.permutations(range(1, 20)), st.integers(1, 6))
def test_when_all_are_settled_nothing_is_kept(order: list[int], size: int) -> None:
    tags = Tags()
    tags.highest = len(order)
    for start in range(0, len(order), size):
        tags.settle(order[start : start + size])
    assert (tags.floor, tags.unsettled, tags._settled) == (len(order) + 1, 0, set())


def test_a_complete_run_is_one_frame() -> None:
    tags = Tags()
    tags.highest = 100
    assert tags.settle(range(1, 51)) == [(50, True)]
    assert tags.settle([52, 51, 54]) == [(52, True), (54, False)]
    assert tags.settle([53]) == [(53, False)]
    assert tags.settle([55]) == [(55, False)]


def test_deliveries_that_need_no_settling_are_passed_over() -> None:
    tags = Tags()
    tags.skip(1)
    tags.highest = 2
    tags.skip(3)
    assert tags.settle([1, 2, 3]) == [(2, False)]
    assert tags.unsettled == 0
