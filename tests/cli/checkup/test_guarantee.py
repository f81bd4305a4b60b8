"""Which guarantee a task has."""

from __future__ import annotations

from typing import Any

import pytest

from celeriac import Celeriac
from celeriac.cli.checkup.guarantee import guarantee_of
from celeriac.worker.traits import Traits


@pytest.mark.parametrize(
    ("options", "limit", "says"),
    [
        ({}, 3, ["at least once", "3 times", "dead letter"]),
        ({}, 1, ["at least once", "once, then a dead letter"]),
        ({"acks_late": False}, 3, ["at most once"]),
        ({"reject_on_worker_lost": False}, 3, ["WorkerLostError"]),
        ({"acks_on_failure": False}, 3, ["what fails is a dead letter"]),
        ({"acks_on_timeout": False}, 3, ["what times out is run again"]),
        ({"acks_on_failure_or_timeout": False, "acks_on_failure": None}, 3, ["what fails is a dead letter"]),
    ],
)
def test_the_guarantee_follows_from_the_options(options: dict[str, Any], limit: int, says: list[str]) -> None:
    app = Celeriac("shop", set_as_current=False)

    @app.task(**options)
    def task() -> None: ...

    said = guarantee_of(Traits(task, limited=False), limit)
    assert all(part in said for part in says), said
