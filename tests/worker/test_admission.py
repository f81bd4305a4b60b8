"""What becomes of a delivery whose time has come, or has not, by a clock that may be wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from celeriac import Celeriac, envelope
from celeriac.message import Message
from celeriac.stores.store import Delivery, Disposition
from celeriac.worker.admission import FURTHEST_BEHIND, Admission
from celeriac.worker.documents import Documents
from celeriac.worker.reporting import Reporter
from celeriac.worker.revocations import Revocations

Admit = Callable[[Delivery], Disposition | None]


@pytest.fixture
def admit() -> Admit:
    """Let a worker decide; returns how it settles a delivery, None when it runs it."""
    app = Celeriac("admission", broker="memory://admission")

    @app.task(name="noop")
    def noop() -> None: ...

    store: Any = None  # admission asks no store
    worker = Admission(app, Documents(app.settings), Revocations(store), Reporter(app.telemetry), None, None)

    def decide(delivery: Delivery) -> Disposition | None:
        requests, settlements = worker.admit([delivery])
        assert len(requests) + len(settlements) == 1
        return settlements[0].disposition if settlements else None

    return decide


def delivery(seconds: float, **fields: Any) -> Delivery:
    """A message that is due so many seconds from now by this clock."""
    eta = datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()
    message = Message({"task": "noop", "id": "a", "eta": eta}, {}, b"[[], {}, {}]")
    return Delivery(b"claim", "work", envelope.encode(message, "", "work"), **fields)


def test_what_is_not_due_is_held(admit: Admit) -> None:
    assert admit(delivery(30)) is Disposition.HOLD


def test_what_is_due_runs(admit: Admit) -> None:
    assert admit(delivery(-1)) is None


def test_what_the_store_let_go_is_due_though_this_clock_is_behind(admit: Admit) -> None:
    assert admit(delivery(30, waited=True)) is None
    assert admit(delivery(3600, waited=True)) is None


def test_what_comes_back_to_who_held_it_is_due_though_its_clock_is_behind(admit: Admit) -> None:
    held = delivery(30)
    assert admit(held) is Disposition.HOLD
    assert admit(held) is None


def test_what_may_have_been_held_since_nobody_knew_its_task_is_not_taken_for_due(admit: Admit) -> None:
    assert admit(delivery(30, waited=True, holds=1)) is Disposition.HOLD


def test_what_waited_as_long_as_the_store_can_hold_it_and_is_still_not_due_is_held_again(admit: Admit) -> None:
    assert admit(delivery(FURTHEST_BEHIND + 60, waited=True)) is Disposition.HOLD
