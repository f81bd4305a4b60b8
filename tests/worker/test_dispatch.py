"""How much a worker fetches ahead."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

import pytest

from celeriac.pools.pool import Running, Work
from celeriac.stores.store import Delivery
from celeriac.worker.dispatch import MAX_WAITING, READ_AHEAD_BYTES, Dispatch
from celeriac.worker.request import Request

SLOTS = 4


class IdleChild:
    """Takes whatever it is given."""

    index, pid, capacity, ready = 0, 1, 1, True

    def __init__(self) -> None:
        self.works: list[Work] = []

    def send(self, works: Sequence[Work]) -> None:
        self.works += works

    def running(self) -> list[Running]:
        return []


class AnyTraits:
    """Of a task that takes no time."""

    runtime = 0.0

    def ran(self, seconds: float) -> None: ...


def request(size: int) -> Request:
    head: Any = None
    traits: Any = AnyTraits()
    return Request(Delivery(b"claim", "celery", bytes(size)), head, traits, True, None, None)


@pytest.fixture
def dispatch() -> Dispatch:
    made = Dispatch(lambda slot, requests: None)
    for _ in range(SLOTS):
        made.add(IdleChild())  # type: ignore[arg-type]
    return made


def worked(dispatch: Dispatch, size: int, count: int = 200) -> Dispatch:
    """So many tasks that took no time, with payloads of that size, are done."""
    for _ in range(count):
        dispatch.put([request(size)])
        dispatch.run()
        for slot in dispatch.slots.values():
            for number in list(slot.assigned):
                dispatch.finished(slot, number, 0.0)
    return dispatch


def test_short_tasks_are_fetched_ahead(dispatch: Dispatch) -> None:
    assert worked(dispatch, 500).room() == SLOTS * (1 + MAX_WAITING)


@pytest.mark.parametrize("size", [100_000, 1_000_000, 20_000_000])
def test_large_messages_are_fetched_ahead_by_their_size(dispatch: Dispatch, size: int) -> None:
    """A thousand messages of 10 MB each are 10 GB: they wait in the broker."""
    ahead = worked(dispatch, size, 300 if size < 10_000_000 else 150).room() - SLOTS
    assert 0 <= ahead <= 1.01 * READ_AHEAD_BYTES / size
    assert ahead >= int(READ_AHEAD_BYTES / size)


def test_what_waits_already_counts(dispatch: Dispatch) -> None:
    worked(dispatch, 1_000_000, 300)
    dispatch.put(request(1_000_000) for _ in range(SLOTS + 8))
    assert dispatch.room() <= READ_AHEAD_BYTES / 1_000_000 - 8 + 1


def test_nothing_is_started_under_a_lease_that_has_run_out(dispatch: Dispatch) -> None:
    """A worker that was frozen wakes with what others have run meanwhile."""
    dispatch.leased_until = monotonic() - 0.001
    dispatch.put([request(100)])
    dispatch.run()
    assert len(dispatch.ready) == 1
    dispatch.leased_until = monotonic() + 60
    dispatch.run()
    assert not dispatch.ready
