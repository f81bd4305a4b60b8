"""Nothing is lost when the broker or the network fails, and work goes on when they are back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.restarts import broker_faults, half_open, reset_storm, slow_network
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
