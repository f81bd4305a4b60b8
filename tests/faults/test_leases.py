"""Leases: what is alive is never repeated, what is stopped is replaced and refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.leases import long_tasks_and_countdowns, stopped_main, stopped_worker
from tests.faults.scenario import Place

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("broker", ["sqlite", "redis"])]

LEASE = 2.0


def test_tasks_and_countdowns_longer_than_the_lease_run_once(broker: str, make_place: Callable[..., Place]) -> None:
    long_tasks_and_countdowns(make_place(broker), LEASE).check()


def test_a_stopped_main_process_is_replaced_and_its_results_are_refused(
    broker: str, make_place: Callable[..., Place]
) -> None:
    stopped_main(make_place(broker), LEASE).check()


def test_a_stopped_worker_is_replaced_and_its_results_are_refused(
    broker: str, make_place: Callable[..., Place]
) -> None:
    stopped_worker(make_place(broker), LEASE).check()
