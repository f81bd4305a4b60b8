"""That simulations find what they are there for: each test plants one defect that loses or doubles tasks."""

from __future__ import annotations

from math import inf

import msgspec
import pytest

from celeriac.pools.pool import Kind
from celeriac.stores.memory.results import ResultTable
from celeriac.stores.store import Disposition, Settlement
from celeriac.testing import Faults, Scenario, simulate
from celeriac.testing.connection import SimulatedStore
from celeriac.testing.tasks import early, poison, step, work
from celeriac.worker.admission import Admission
from celeriac.worker.dispatch import Dispatch
from celeriac.worker.early import EarlyAcknowledgement
from celeriac.worker.leases import Leases
from celeriac.worker.supervision import Supervision
from celeriac.worker.verdicts import Verdicts

pytestmark = pytest.mark.slow


def found_within(seeds: int, scenario: Scenario | None = None) -> str:
    """What the first seed that fails objects to."""
    for seed in range(seeds):
        report = simulate(seed, scenario)
        if not report.ok:
            return report.summary
    pytest.fail(f"{seeds} seeds did not find it")


def test_a_settler_that_acknowledges_before_it_stores(monkeypatch):
    settle = SimulatedStore.settle

    async def first_the_one_then_the_other(self, settlements, queues=(), limit=0):
        bare = [msgspec.structs.replace(each, result=None, follow_ups=()) for each in settlements]
        received = await settle(self, bare, queues, limit)
        rest = [each for each in settlements if each.result is not None or each.follow_ups]
        await settle(
            self,
            [
                Settlement(b"", Disposition.NONE, each.result, each.follow_ups, identity=each.identity)
                for each in rest
                if each.claim not in received.refused
            ],
        )
        return received

    monkeypatch.setattr(SimulatedStore, "settle", first_the_one_then_the_other)
    assert "I1: " in found_within(5)


def test_follow_ups_that_are_published_apart_from_the_acknowledgement(monkeypatch):
    settle = SimulatedStore.settle

    async def published_before(self, settlements, queues=(), limit=0):
        await self.publish([message for each in settlements for message in each.follow_ups])
        bare = [msgspec.structs.replace(each, follow_ups=()) for each in settlements]
        return await settle(self, bare, queues, limit)

    monkeypatch.setattr(SimulatedStore, "settle", published_before)
    assert "I1: " in found_within(5)


def test_copies_of_a_message_that_are_both_followed_up(monkeypatch):
    of_outcome = Verdicts.of_outcome

    def anonymous(self, request, outcome):
        return msgspec.structs.replace(of_outcome(self, request, outcome), identity="")

    monkeypatch.setattr(Verdicts, "of_outcome", anonymous)
    assert "different lines of successors" in found_within(300)


def test_a_lease_that_is_not_renewed(monkeypatch):
    async def never(self):
        self._worker.dispatch.leased_until = inf

    monkeypatch.setattr(Leases, "renew", never)
    assert "though nothing kept it from renewing" in found_within(50)


def test_a_duplicate_that_overwrites_a_success(monkeypatch):
    store = ResultTable.store

    def overwrite(self, record, now):
        self.forget([record.task_id])
        store(self, record, now)

    monkeypatch.setattr(ResultTable, "store", overwrite)
    assert "I7: " in found_within(300)


def test_a_stale_claim_that_settles(monkeypatch):
    """After a pause the worker's outcomes are stored although somebody else has its tasks."""
    of_outcome = Verdicts.of_outcome

    def unfenced(self, request, outcome):
        settlement = of_outcome(self, request, outcome)
        if outcome.kind is Kind.SUCCESS and not request.acknowledged:
            return Settlement(b"", Disposition.NONE, settlement.result, settlement.follow_ups)
        return settlement

    monkeypatch.setattr(Verdicts, "of_outcome", unfenced)
    assert "I1: " in found_within(5)


def test_what_a_dead_child_ran_is_acknowledged(monkeypatch):
    def acknowledged(self, request, back):
        self._worker.settler.add(Settlement(request.delivery.claim))

    monkeypatch.setattr(Supervision, "_lost", acknowledged)
    assert "I1: " in found_within(50)


def test_what_a_dead_child_had_not_started_is_forgotten(monkeypatch):
    monkeypatch.setattr(Dispatch, "put_first", lambda self, requests: None)
    scenario = Scenario(
        step.app,
        lambda random: [step.s(number) for number in range(30)],
        duration=lambda name, random: 0.0005,
        faults=Faults(child_deaths=10, deadly=0.2, span=3.0),
        workers=1,
    )
    assert "though nothing kept it from renewing" in found_within(10, scenario)


def test_revocations_that_are_not_looked_at(monkeypatch):
    from celeriac.worker.revocations import Revocations

    monkeypatch.setattr(Revocations, "__contains__", lambda self, task_id: False)
    scenario = Scenario(
        work.app,
        lambda random: [work.s(1).set(countdown=10.0) for _ in range(10)],
        faults=Faults(revocations=5, span=8.0),
    )
    assert "was revoked before it was delivered" in found_within(20, scenario)


def test_a_message_that_is_run_before_it_is_due(monkeypatch):
    from celeriac.stores.memory.state import State

    publish = State.publish
    monkeypatch.setattr(
        State,
        "publish",
        lambda self, messages: publish(self, [msgspec.structs.replace(each, due=None) for each in messages]),
    )
    monkeypatch.setattr(Admission, "_parks", lambda self, delivery, head, due: False)
    assert "before it was due" in found_within(20)


def test_an_early_task_that_is_redelivered(monkeypatch):
    """Acknowledged early, a task runs once at most."""

    def acknowledged_late(self, requests):
        self._worker.dispatch.put(requests)
        self._worker.dispatch.run()

    monkeypatch.setattr(EarlyAcknowledgement, "take", acknowledged_late)
    scenario = Scenario(
        early.app, lambda random: [early.s(n) for n in range(10)], faults=Faults(crashes=3, pauses=2, span=10.0)
    )
    assert "I3: " in found_within(50, scenario)


def test_a_poison_message_that_is_redelivered_for_ever(monkeypatch):
    def again(self, request, reason):
        return Settlement(request.delivery.claim, Disposition.REDELIVER)

    monkeypatch.setattr(Verdicts, "of_loss", again)
    scenario = Scenario(
        poison.app, lambda random: [poison.s()], faults=Faults.none(), deadly=frozenset({poison.name}), workers=1
    )
    assert "I5: " in found_within(1, scenario)
