"""Delays between attempts to connect."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from celeriac.stores.backoff import Backoff, pause_before


def test_the_first_attempt_waits_for_nothing() -> None:
    assert Backoff().delay(0.0) == 0.0


def test_delays_grow_to_a_second_while_nothing_answers() -> None:
    backoff, delays = Backoff(), []
    for _ in range(12):
        backoff.failed(10.0)
        delays.append(backoff.delay(10.0))
    assert delays[0] <= 0.05
    assert 0.69 <= delays[-1] <= 1.0


def test_time_that_passed_counts() -> None:
    backoff = Backoff()
    for _ in range(12):
        backoff.failed(10.0)
    assert backoff.delay(11.5) == 0.0


def test_nobody_waits_while_another_connection_stands() -> None:
    backoff = Backoff()
    backoff.failed(10.0)
    backoff.connected()
    assert backoff.delay(10.0) == 0.0


def test_connections_that_break_together_count_once() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.broke(made=10.0, now=10.1)
    assert backoff.failures == 1


def test_connections_that_break_soon_are_made_ever_more_slowly() -> None:
    backoff, now, attempts = Backoff(), 0.0, 0
    while now < 20.0:
        now += backoff.delay(now)
        attempts += 1
        backoff.connected()
        backoff.broke(made=now, now=now + 0.2)
        now += 0.2
    assert attempts <= 20


def test_a_connection_that_lived_ends_the_series() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.failed(0.0)
    backoff.connected()
    backoff.broke(made=1.0, now=100.0)
    assert backoff.delay(100.0) <= 0.05


@given(st.integers(min_value=1, max_value=10_000))
def test_a_pause_is_never_long_and_never_negative(attempt: int) -> None:
    assert 0.0 < pause_before(attempt) <= 1.0
