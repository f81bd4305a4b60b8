"""The virtual clock."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.stores.memory.clock import SystemClock, VirtualClock


def test_the_system_clock_tells_the_time_and_how_long_to_sleep() -> None:
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 1
    assert clock.sleep_for(clock.now() - 5) == 0
    assert 4 < clock.sleep_for(clock.now() + 5) <= 5


def test_a_virtual_clock_begins_in_the_present_and_stands_still() -> None:
    clock = VirtualClock()
    assert abs(clock.now() - time.time()) < 1
    assert clock.now() == clock.now()


def test_a_virtual_clock_may_begin_anywhere() -> None:
    assert VirtualClock(100.0).now() == 100.0


def test_no_amount_of_real_sleep_moves_a_virtual_clock() -> None:
    clock = VirtualClock(100.0)
    assert clock.sleep_for(101.0) is None
    assert clock.sleep_for(100.0) == 0
    clock.advance(1)
    assert clock.sleep_for(101.0) == 0


def test_whoever_watches_is_woken_after_the_time_has_moved() -> None:
    clock = VirtualClock(100.0)
    seen: list[float] = []
    clock.on_advance(lambda: seen.append(clock.now()))
    clock.advance(2)
    clock.advance(0)
    assert seen == [102.0, 102.0]


def test_a_virtual_clock_never_goes_back() -> None:
    clock = VirtualClock(100.0)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    assert clock.now() == 100.0


@given(st.lists(st.floats(0, 1e6)))
def test_advances_add_up(steps: list[float]) -> None:
    clock = VirtualClock(0.0)
    for step in steps:
        clock.advance(step)
    assert clock.now() == pytest.approx(sum(steps))
