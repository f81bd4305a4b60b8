"""Nothing that the store kept its word for is lost when masters and nodes fail, and work goes on elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deployments import redis_cluster, redis_sentinels
from tests.faults.deployments import lost_master, lost_node, place_on, reshard

pytestmark = pytest.mark.slow

SECONDS = 8.0


def test_what_replicas_confirmed_survives_the_loss_of_the_master(tmp_path: Path) -> None:
    with redis_sentinels() as made, place_on(f"{made.url}&wait_replicas=1", tmp_path) as place:
        lost_master(place, made, SECONDS, confirmed=True).check()


def test_slots_move_while_everything_runs(tmp_path: Path) -> None:
    with redis_cluster() as made, place_on(made.url, tmp_path) as place:
        reshard(place, made, SECONDS).check()


def test_what_replicas_confirmed_survives_the_loss_of_a_node(tmp_path: Path) -> None:
    with redis_cluster() as made, place_on(f"{made.url}?wait_replicas=1", tmp_path) as place:
        lost_node(place, made, SECONDS).check()
