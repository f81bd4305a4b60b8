"""Messages in one store and results in another: what the outside sees is the same, whatever breaks in between."""

from __future__ import annotations

import pytest

from celeriac.stores.outbox import Outbox
from celeriac.stores.steps import Steps
from celeriac.testing import Faults, simulate, standard

SEEDS = 150
APART = standard(apart=True)

pytestmark = pytest.mark.slow


def found_within(seeds: int) -> str:
    """What the first seed that fails objects to."""
    for seed in range(seeds):
        report = simulate(seed, APART)
        if not report.ok:
            return report.summary
    pytest.fail(f"{seeds} seeds did not find it")


def test_nothing_is_lost_between_two_stores_and_no_step_has_two_successors():
    assert [report.summary for seed in range(SEEDS) if not (report := simulate(seed, APART)).ok] == []


def test_both_kinds_of_brokers_and_outages_of_both_places_occur():
    lines = [str(entry) for seed in range(60) for entry in simulate(seed, APART).trace]
    for wanted in (
        "2 stores, atomic",
        "2 stores, not atomic",
        "network    cut",
        "backend    cut",
        "the result backend cannot be reached",
        "the result backend is back",
    ):
        assert any(wanted in line for line in lines), wanted


def test_on_a_day_without_faults_nothing_waits():
    for seed in range(5):
        report = simulate(seed, standard(Faults.none(), apart=True))
        assert report.ok, report
        assert not any("backend" in str(entry) for entry in report.trace)


def test_a_broker_that_is_not_atomic_without_records_is_found(monkeypatch):
    monkeypatch.setattr(Steps, "recording", False)
    assert "different lines of successors" in found_within(400)


def test_an_outbox_that_forgets_is_found(monkeypatch):
    monkeypatch.setattr(Outbox, "post", lambda self, settlements, storing=None, outage="": None)
    assert "though nothing kept it from renewing" in found_within(50)
