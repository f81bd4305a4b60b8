"""What simulations have found in the worker, each reduced to the few steps that it takes."""

from __future__ import annotations

from collections import deque
from math import inf
from types import SimpleNamespace

import pytest

from celeriac.stores.store import Delivery
from celeriac.testing import Faults, Scenario
from celeriac.testing import pool as pools
from celeriac.testing.simulation import Simulation
from celeriac.testing.tasks import early, work
from celeriac.worker.early import EarlyAcknowledgement
from celeriac.worker.leases import Leases
from celeriac.worker.request import Request

LONG = 8.0
"""Seconds that tasks take here, so that there is time to disturb them."""


def simulation(*calls, **options) -> Simulation:
    """One worker, and no fault but those that the test brings about."""
    options = {"workers": 1, "children": 1, "capacity": 1, "lease": 15.0, **options}
    scenario = Scenario(
        work.app, lambda random: calls, duration=lambda name, random: LONG, faults=Faults(span=0.5), **options
    )
    return Simulation(0, scenario)


def when(simulated: Simulation, event: str, act) -> None:
    """Do something at the moment of the first such line in the trace."""
    note, done = simulated.world.note, []

    def watch(place, what, *about):
        note(place, what, *about)
        if what == event and not done:
            done.append(True)
            act()

    simulated.world.note = watch


def events(report, name: str) -> int:
    return sum(entry.event == name for entry in report.trace)


def test_an_early_task_whose_shared_child_dies_is_not_run_again():
    simulated = simulation(early.s(1), early.s(2), capacity=2)
    simulated.world.after(5.0, lambda: simulated.host.pools[0].alive()[0].vanish("killed"))
    report = simulated.run()
    assert report.ok, report
    assert events(report, "died in") == 2
    assert events(report, "started") == 2


def test_a_task_that_is_acknowledged_early_while_the_worker_is_told_to_stop_still_runs():
    simulated = simulation(early.s(1))
    when(simulated, "acknowledge", lambda: simulated.terminate(simulated.processes[0]))
    report = simulated.run()
    assert report.ok, report
    assert events(report, "ended") >= 2  # the task and the worker
    assert events(report, "late end") == 1


def test_a_cold_end_settles_what_was_to_fail_in_a_new_child(monkeypatch):
    """An early task's child has died, and the second signal comes before there is another one for its failure hooks."""
    simulated = simulation(early.s(1))
    monkeypatch.setattr(pools, "SLOWEST_DEATH", 0.001)

    def die():
        monkeypatch.setattr(pools, "SLOWEST_START", 1000.0)
        simulated.host.pools[0].alive()[0].vanish("killed")

    simulated.world.after(4.0, lambda: simulated.terminate(simulated.processes[0]))
    simulated.world.after(5.0, die)
    simulated.world.after(5.5, lambda: simulated.terminate(simulated.processes[0]))
    report = simulated.run()
    assert report.ok, report
    assert events(report, "late end") == 1
    assert simulated.ledger.states == {simulated.ledger.records.popitem()[1].head.id: "FAILURE"}


def test_a_broker_that_is_lost_while_a_worker_starts_is_waited_for():
    simulated = simulation(work.s(1))
    simulated.patience = 2.0
    simulated.world.after(0.0, lambda: when(simulated, "begins", cut_after_open))

    def cut_after_open():
        open_ = simulated.broker.state.revocations

        def cut(after):
            simulated.broker.state.revocations = open_
            simulated.broker.cut()
            simulated.world.after(10.0, simulated.broker.mend)
            return open_(after)

        simulated.broker.state.revocations = cut

    report = simulated.run()
    assert report.ok, report
    assert events(report, "lost") > 1
    assert any("The broker is lost" in str(entry) for entry in report.trace)


# -- without a world ---------------------------------------------------------------------------------------------------


def request(claim: bytes) -> Request:
    return Request(Delivery(claim, "q", b""), SimpleNamespace(id="1", task="t"), SimpleNamespace(), False, None, None)


class FakeWorker:
    """What the parts under test see of a worker."""

    def __init__(self, *running: Request) -> None:
        self.settings = SimpleNamespace(worker_lease=15.0)
        self.settled = deque()
        self.lost = []
        self.settler = SimpleNamespace(add=lambda settlement, then: self.settled.append(then), claims=list)
        self.dispatch = SimpleNamespace(
            slots={1: SimpleNamespace(free=lambda: 1)},
            ready=[],
            requests=lambda: list(running),
            put=list,
            run=list,
            leased_until=inf,
        )
        self.shutdown = SimpleNamespace(handing_back=False)
        self.supervision = SimpleNamespace(lease_lost=self.lost.append)
        self.early = EarlyAcknowledgement(self)

    def wake(self) -> None:
        pass


def test_a_refused_acknowledgement_lets_the_next_early_task_go():
    """Nothing else may happen that would: with its lease renewed for ever the next one would never run anywhere."""
    worker = FakeWorker()
    worker.early.take([request(b"lost"), request(b"kept")])
    assert len(worker.settled) == 1
    worker.settled.popleft()(False)
    assert len(worker.settled) == 1
    assert worker.early.waiting == 1


@pytest.mark.parametrize("ended", ["acknowledged", "abandoned"])
async def test_a_renewal_that_overtakes_the_acknowledgement_ends_nothing(ended):
    """The claim is gone because this worker has settled it while the renewal was under way."""
    running = request(b"claim")
    worker = FakeWorker(running)

    async def renew(claims):
        assert claims == [b"claim"]
        setattr(running, ended, True)
        return [b"claim"]

    worker.store = SimpleNamespace(renew=renew)
    await Leases(worker).renew()
    assert worker.lost == []


async def test_a_renewal_that_is_refused_ends_what_runs():
    running = request(b"claim")
    worker = FakeWorker(running)

    async def renew(claims):
        return list(claims)

    worker.store = SimpleNamespace(renew=renew)
    await Leases(worker).renew()
    assert worker.lost == [running]


def test_a_lost_lease_of_an_early_task_that_waits_frees_its_place():
    worker = FakeWorker()
    waiting = request(b"lost")
    worker.early.take([request(b"first"), waiting])
    worker.early.forget(waiting)
    worker.early.forget(waiting)  # it may have gone already
    assert worker.early.requests() == []
