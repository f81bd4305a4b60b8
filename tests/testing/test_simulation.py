"""Thousands of interleavings of everything that can go wrong, through the worker's own code; here some hundred."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from celeriac.testing import Faults, Report, Scenario, simulate, standard
from celeriac.testing.tasks import early, step, work

SEEDS = 200
"""Two seconds on an idle machine; ``python -m celeriac.testing --seeds 10000`` takes a long look."""


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    return [simulate(seed) for seed in range(SEEDS)]


@pytest.mark.slow
def test_whatever_goes_wrong_nothing_is_lost_doubled_or_left(reports):
    assert [report.summary for report in reports if not report.ok] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "event",
    ["SIGKILL", "SIGSTOP", "SIGTERM", "cut", "lost", "child died", "refused", "lease ended", "taken back", "revoked"],
)
def test_every_kind_of_fault_strikes(reports, event):
    assert any(entry.event == event for report in reports for entry in report.trace)


@pytest.mark.slow
@pytest.mark.parametrize(
    "disposition", ["acknowledge", "hold", "give back", "redeliver", "dead letter", "late end", "doomed"]
)
def test_every_way_in_which_a_delivery_can_end_happens(reports, disposition):
    assert any(entry.event == disposition for report in reports for entry in report.trace)


def test_on_a_day_without_faults_everything_runs_once():
    def calls(random):
        return [work.s(1), early.s(2), step.s(1).set(chain=[dict(step.s()), dict(step.s())])]

    for seed in range(10):
        report = simulate(seed, Scenario(work.app, calls, faults=Faults.none()))
        assert report.ok, report
        assert (report.messages, report.runs) == (5, 5)


def test_on_a_day_without_faults_all_kinds_of_tasks_end_as_they_should():
    assert [report.summary for seed in range(20) if not (report := simulate(seed, standard(Faults.none()))).ok] == []


def test_the_same_seed_is_the_same_run():
    for seed in range(5):
        first, second = simulate(seed), simulate(seed)
        assert list(map(str, first.trace)) == list(map(str, second.trace))
        assert first.steps == second.steps


@pytest.mark.slow
def test_the_same_seed_is_the_same_run_in_another_process():
    program = "from celeriac.testing import simulate; print(simulate(3))"
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    other = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert other.stdout == f"{simulate(3)}\n"


def test_another_seed_is_another_run():
    assert list(map(str, simulate(1).trace)) != list(map(str, simulate(2).trace))


def test_a_report_tells_what_happened_and_what_was_to_go_wrong():
    report = simulate(1)
    text = str(report)
    assert "published" in text
    assert text.endswith(report.summary)
    assert "crashes=" in report.summary


def test_two_simulations_at_once_are_refused():
    from celeriac.testing.moments import virtual_time
    from celeriac.testing.world import World

    with virtual_time(World(0)), pytest.raises(RuntimeError, match="one at a time"):
        simulate(1)


def test_afterwards_the_worker_goes_by_real_time_again():
    import importlib
    import time

    from celeriac import ids
    from celeriac.testing.moments import EXCHANGED

    simulate(1)
    real = {"time": time, "monotonic": time.monotonic}
    assert all(getattr(importlib.import_module(module), name) is real[name] for module, name in EXCHANGED.items())
    assert ids.os is os


def test_no_module_of_the_worker_tells_the_time_behind_the_simulations_back():
    from pathlib import Path

    import celeriac.worker
    from celeriac.testing.moments import EXCHANGED

    by_parameter = {"bucket"}  # the simulation gives it a clock
    folder = Path(celeriac.worker.__file__).parent
    telling = {
        path.stem
        for path in folder.glob("*.py")
        if "\nimport time\n" in path.read_text() or "from time import" in path.read_text()
    }
    exchanged = {name.rpartition(".")[2] for name in EXCHANGED if name.startswith("celeriac.worker.")}
    assert telling - by_parameter == exchanged
