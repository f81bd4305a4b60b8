"""One time-out for all the steps of a wait."""

from __future__ import annotations

import pytest

from celeriac.result import deadline
from celeriac.result.deadline import Deadline


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(deadline, "monotonic", lambda: now[0])
    return now


def test_it_counts_down_to_zero_and_never_below(clock):
    limit = Deadline(3.0)
    assert (limit.remaining(), limit.over(), limit.at_most(1.0)) == (3.0, False, 1.0)
    clock[0] += 2.5
    assert (limit.remaining(), limit.over(), limit.at_most(1.0)) == (0.5, False, 0.5)
    clock[0] += 10
    assert (limit.remaining(), limit.over(), limit.at_most(1.0)) == (0.0, True, 0.0)


def test_zero_is_over_at_once_and_none_never(clock):
    assert Deadline(0).over()
    endless = Deadline(None)
    clock[0] += 1e9
    assert (endless.remaining(), endless.over(), endless.at_most(7.0)) == (None, False, 7.0)
