"""One queue: priorities, the oldest every eighth time, and what is held."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from celeriac.stores.memory.queue import OLDEST_EVERY, Entry, MessageQueue


def entry(order: int, priority: int = 0) -> Entry:
    return Entry(order, "work", str(order).encode(), priority)


def drain(queue: MessageQueue, strict: bool = False) -> list[int]:
    taken: list[int] = []
    while (found := queue.take(strict)) is not None:
        taken.append(found.order)
    return taken


def test_every_eighth_message_is_the_oldest_of_any_priority() -> None:
    queue = MessageQueue()
    for order in range(3):
        queue.append(entry(order, priority=9))
    for order in range(3, 30):
        queue.append(entry(order))
    taken = drain(queue)
    places = [taken.index(order) + 1 for order in range(3)]
    assert places == [OLDEST_EVERY, 2 * OLDEST_EVERY, 3 * OLDEST_EVERY]


def test_strict_priorities_have_no_exception() -> None:
    queue = MessageQueue()
    queue.append(entry(0, priority=9))
    for order in range(1, 30):
        queue.append(entry(order))
    assert drain(queue, strict=True)[-1] == 0


def test_messages_that_are_due_together_come_in_the_order_of_their_due_times() -> None:
    queue = MessageQueue()
    queue.append(entry(9))
    for order, due in ((1, 30.0), (2, 10.0), (3, 20.0), (4, 99.0)):
        queue.hold(entry(order), due)
    assert queue.next_due == 10.0
    assert queue.release_due(30.0) == 3
    assert queue.next_due == 99.0
    assert drain(queue) == [2, 3, 1, 9]


def test_a_queue_is_empty_when_nothing_is_ready_held_or_in_flight() -> None:
    queue = MessageQueue()
    assert queue.empty
    queue.hold(entry(1), 10.0)
    assert not queue.empty
    queue.release_due(10.0)
    assert not queue.empty
    queue.take(False)
    queue.in_flight = 1
    assert not queue.empty
    queue.in_flight = 0
    assert queue.empty


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=40),
    st.integers(0, 50),
    st.integers(0, 10),
    st.booleans(),
)
def test_peeking_tells_the_future(
    arrivals: list[tuple[int, bool]], limit: int, taken_before: int, strict: bool
) -> None:
    queue = MessageQueue()
    for order, (priority, front) in enumerate(arrivals):
        (queue.append_front if front else queue.append)(entry(order, priority))
    for _ in range(taken_before):
        queue.take(strict)
    peeked = [int(payload) for payload in queue.peek(limit, strict)]
    ready = queue.ready
    assert peeked == drain(queue, strict)[:limit]
    assert len(peeked) == min(limit, ready)
    assert queue.ready == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 100)), max_size=40), st.floats(0, 100))
def test_exactly_what_is_due_is_released(held: list[tuple[int, float]], now: float) -> None:
    queue = MessageQueue()
    for order, (priority, due) in enumerate(held):
        queue.hold(entry(order, priority), due)
    expected = {order for order, (_, due) in enumerate(held) if due <= now}
    assert queue.release_due(now) == len(expected)
    assert set(drain(queue)) == expected
    assert queue.held == len(held) - len(expected)


def test_clearing_drops_what_is_ready_and_held() -> None:
    queue = MessageQueue()
    queue.append(entry(1))
    queue.append(entry(2, priority=9))
    queue.hold(entry(3), 10.0)
    queue.in_flight = 1
    assert queue.clear() == 3
    assert (queue.ready, queue.held, queue.in_flight) == (0, 0, 1)
