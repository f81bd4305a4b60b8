"""Nothing is lost when the broker or the network fails, and work goes on when they are back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.restarts import (
    broker_faults,
    full_memory,
    half_open,
    lost_replies,
    no_faults,
    reset_storm,
    slow_network,
    wrong_clocks,
)
from tests.faults.scenario import Place

pytestmark = pytest.mark.slow

GENEROUS = 8.0
"""Seconds until work goes on, on a machine that others use too; by hand it is 2."""


def test_restarts_kills_and_lost_connections_of_redis_lose_nothing(make_place: Callable[..., Place]) -> None:
    broker_faults(make_place("redis"), 10, patience=GENEROUS).check()


def test_half_open_connections_are_noticed(make_place: Callable[..., Place]) -> None:
    half_open(make_place("redis"), 6).check()


def test_a_storm_of_resets_is_survived(make_place: Callable[..., Place]) -> None:
    reset_storm(make_place("redis"), 6).check()


def test_slow_and_sliced_replies_are_understood(make_place: Callable[..., Place]) -> None:
    slow_network(make_place("redis"), 8).check()


def test_lost_replies_neither_lose_nor_repeat(make_place: Callable[..., Place]) -> None:
    lost_replies(make_place("redis"), 6).check()


@pytest.mark.parametrize("broker", ["sqlite", "redis"])
def test_without_faults_nothing_is_repeated(broker: str, make_place: Callable[..., Place]) -> None:
    no_faults(make_place(broker), 6).check()


def test_a_full_server_refuses_producers_and_lets_workers_go_on(make_place: Callable[..., Place]) -> None:
    full_memory(make_place("redis"), 5).check()


def test_the_clock_of_the_server_counts(make_place: Callable[..., Place]) -> None:
    wrong_clocks(make_place("redis"), 6).check()
