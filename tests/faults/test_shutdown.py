"""Workers that are told to end: nothing is lost, repeated or left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.scenario import Place
from tests.faults.shutdown import cold, cycles, longer_than_grace, shorter_than_grace

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("broker", ["sqlite", "redis"])]


def test_what_runs_is_finished_and_what_waits_goes_back_at_once(broker: str, make_place: Callable[..., Place]) -> None:
    shorter_than_grace(make_place(broker), 5).check()


def test_what_outlasts_the_grace_goes_back_and_runs_elsewhere(broker: str, make_place: Callable[..., Place]) -> None:
    longer_than_grace(make_place(broker), 5).check()


def test_a_second_signal_and_quit_end_at_once_and_hand_back(broker: str, make_place: Callable[..., Place]) -> None:
    cold(make_place(broker), 5).check()


def test_workers_that_come_and_go_lose_nothing(broker: str, make_place: Callable[..., Place]) -> None:
    cycles(make_place(broker), 6).check()
