"""Nothing is lost when processes die."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.kills import kill_children_and_workers, poison_beside_work
from tests.faults.scenario import Place

pytestmark = pytest.mark.slow

GENEROUS = 0.4
"""Share of the rate that has to stay on a machine that others use too; by hand it is 0.8."""
RESTARTING = 0.1
"""The same where the only worker is killed each three seconds, and starts as slowly as the machine lets it."""


@pytest.mark.parametrize("broker", ["sqlite", "redis"])
def test_nothing_is_lost_when_children_and_workers_are_killed(broker: str, make_place: Callable[..., Place]) -> None:
    place = make_place(broker, worker_lease=3)
    kill_children_and_workers(place, 7, child_every=0.5, worker_every=3, kept=RESTARTING).check()


@pytest.mark.parametrize("broker", ["sqlite", "redis"])
def test_a_task_that_kills_its_child_leaves_the_others_their_rate(
    broker: str, make_place: Callable[..., Place]
) -> None:
    poison_beside_work(make_place(broker), 8, kept=GENEROUS).check()
