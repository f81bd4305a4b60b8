"""A simulation: workers, their broker and what goes wrong between them, all drawn from one seed.

The workers are the real ones (:mod:`celeriac.worker`): admission, dispatch, leases, limits, settlement and shutdown run
as they are. The network, the broker's process, the children and the clock are simulated.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from celeriac.stores.two_stores import TwoStores
from celeriac.testing.broker import Backend, Broker
from celeriac.testing.connection import SimulatedStore
from celeriac.testing.host import Fate, Host, simulated_connections
from celeriac.testing.ledger import Ledger
from celeriac.testing.moments import virtual_time
from celeriac.testing.network import Network
from celeriac.testing.process import Process
from celeriac.testing.scenario import Faults, Scenario, standard
from celeriac.testing.strikes import Strikes
from celeriac.testing.verdict import judge
from celeriac.testing.voice import listening
from celeriac.testing.world import EPOCH, Entry, World
from celeriac.worker.bucket import TokenBucket
from celeriac.worker.options import WorkerOptions
from celeriac.worker.shutdown import LAST_WAIT
from celeriac.worker.worker import Worker

if TYPE_CHECKING:
    from celeriac.canvas.signature import Signature
    from celeriac.stores.store import Outgoing, Store

__all__ = ["Report", "simulate"]

POOL: Final = "celeriac.testing.pool:SimulatedPool"
RECOVERY: Final = 900.0
"""Virtual seconds after the last fault within which everything has to be done: many leases, limits and countdowns."""
FAREWELL: Final = 120.0
"""Virtual seconds in which workers that have nothing to do have to end."""
AGAIN: Final = 0.5
"""Seconds until a producer repeats a publication."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one seed.

    Attributes:
        seed: of the run.
        objections: what should not be; empty when all is well.
        trace: everything that happened, in order.
        faults: what was to go wrong.
        messages, runs, steps: how many messages there were, starts of tasks, and callbacks of workers.
        seconds: virtual time that passed.
    """

    seed: int
    objections: Sequence[str]
    trace: Sequence[Entry]
    faults: Faults
    messages: int
    runs: int
    steps: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.objections

    @property
    def summary(self) -> str:
        """What went wrong, and what should not have come of it; one line each."""
        lines = [f"{self.faults}", *(self.objections or ["all is well"])]
        return "\n".join(f"seed {self.seed}: {line}" for line in lines)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.trace), self.summary])


def simulate(seed: int, scenario: Scenario | None = None) -> Report:
    """Run one seed of a scenario, from its first call to the orderly end of the last worker.

    Args:
        seed: everything that is left to chance comes from it: the same seed gives the same run.
        scenario: what to run; None is :func:`~celeriac.testing.scenario.standard`.

    Returns:
        What came of it; :attr:`Report.objections` says what should not be.

    Raises:
        RuntimeError: called within a running event loop or another simulation.
    """
    return Simulation(seed, scenario or standard()).run()


class Simulation:
    """One run of one seed."""

    def __init__(self, seed: int, scenario: Scenario) -> None:
        self.seed = seed
        self.scenario = scenario
        self.world = World(seed)
        self.random = random = self.world.random
        self.faults = scenario.faults or Faults.drawn(random)
        self.lease = scenario.lease or random.choice((5.0, 15.0))
        self.children = scenario.children or random.randint(1, 3)
        self.capacity = scenario.capacity or random.choice((1, 1, 1, 3))
        self.patience = random.choice((5.0, 30.0, 120.0))
        self.ledger = Ledger(self.world, EPOCH)
        self.network = Network(random, self.faults.lost, self.faults.late)
        self.broker = Broker(self.world, self.network, self.ledger, self.lease)
        self.backend: Backend | None = None
        self.atomic = True
        if scenario.apart:
            network = Network(random, self.faults.lost, self.faults.late)
            self.backend = Backend(self.world, network, self.ledger, self.lease)
            self.atomic = self.ledger.remembers = random.random() < 0.3
        self.workers: dict[Process, Worker] = {}
        #: Workers that were killed, or may have ended without having said everything: how many tasks they ran at once.
        self.crashed: dict[str, int] = {}
        self.processes: list[Process] = []
        self._unconfirmed = 0
        self._objections: list[str] = []

    def run(self) -> Report:
        """Run it."""
        app = self.scenario.app
        app.finalize()
        lease = app.conf.worker_lease
        with ExitStack() as stack:
            stack.enter_context(virtual_time(self.world))
            stack.enter_context(listening(self.world, self._objections))
            stack.enter_context(simulated_connections(app, self.broker, self.backend or self.broker, self._connect))
            stack.callback(app.conf.update, worker_lease=lease)
            app.conf.update(worker_lease=self.lease)
            self.host = Host(self.world, self.broker, self.ledger, app, self._destiny)
            self._play()
            objections = [*self._objections, *judge(app, self.ledger, self.crashed, self.scenario.apart)]
            objections += [f"{p.name}: {error}" for p in [*self.processes, self.host.coroutines] for error in p.errors]
            trace = list(self.world.trace)
            for process in [*self.processes, self.host.coroutines]:
                process.bury()
        runs = sum(len(record.runs) for record in self.ledger.records.values())
        return Report(
            self.seed,
            objections,
            trace,
            self.faults,
            len(self.ledger.records),
            runs,
            self.world.steps,
            self.world.now,
        )

    def _play(self) -> None:
        random, world = self.random, self.world
        atomic = "atomic" if self.atomic else "not atomic"
        world.note("world", "begins", f"lease {self.lease:g} s, {len(self.places)} stores, {atomic}")
        for _ in range(self.scenario.workers or random.randint(1, 3)):
            world.after(random.uniform(0.0, 1.0), self.start_worker)
        for call in self.scenario.calls(random):
            world.after(random.uniform(0.0, self.faults.span), partial(self._send, call))
            self._unconfirmed += 1
        strikes = Strikes(self)
        world.run(lambda: False, self.faults.span)
        if not world.run(lambda: strikes.over and self._quiet(), strikes.end + RECOVERY):
            self._objections.append(f"I5: not all was done {RECOVERY:.0f} s after the last fault: {self._left()}")
            return
        for place in self.places:
            place.network.lost = place.network.late = 0.0
        for process in self.alive():
            process.disarm()
            self.terminate(process)
        if not world.run(lambda: not self.alive(), world.now + FAREWELL):
            self._objections.append(f"workers did not end within {FAREWELL:.0f} s of SIGTERM: {self.alive()}")
        elif self.broker.left():
            self._objections.append(f"I5: residue after the end: {self._left()}")

    # -- workers -----------------------------------------------------------------------------------------------------

    def start_worker(self) -> None:
        """A new worker, in a process of its own."""
        process = Process(self.world, f"w{len(self.processes) + 1}")
        process.host = self.host
        self.processes.append(process)
        process.call_soon(lambda: process.create_task(self._live(process)))

    async def _live(self, process: Process) -> None:
        options = WorkerOptions(
            app_path="", hostname=process.name, pool=POOL, children=self.children, capacity=self.capacity
        )
        worker = Worker(self.scenario.app, options)
        for traits in worker.admission.traits.values():
            if traits.bucket is not None:
                traits.bucket = TokenBucket(1.0 / traits.bucket.interval, self.world.monotonic)
        self.workers[process] = worker
        self.world.note(process.name, "begins")
        try:
            code = await worker.run()
        except Exception as error:  # whatever ends a worker is what the simulation looks for
            self._objections.append(f"{process.name} ended with {error!r}")
        else:
            self.world.note(process.name, "ended", code)
            if self.ledger.troubled.get(process.name, 0.0) > self.world.now - LAST_WAIT:
                # It may not have reached the broker any more: as if it had been killed.
                self.crashed[process.name] = self.children * self.capacity
                self.ledger.trouble(process.name, lasting=True)
            if self.backend is not None:  # what waited for the backend, or for another worker, is left to its lease
                self.ledger.trouble(process.name, lasting=True)
        del self.workers[process]

    def alive(self) -> list[Process]:
        """The processes whose workers run."""
        return [process for process in self.workers if not process.dead]

    def terminate(self, process: Process) -> None:
        """SIGTERM to a worker."""
        self.world.note(process.name, "SIGTERM")
        process.call_soon(self.workers[process].shutdown.on_signal, signal.SIGTERM)

    def crash(self, process: Process) -> None:
        """SIGKILL to a worker."""
        self.world.note(process.name, "SIGKILL")
        self.crashed[process.name] = self.children * self.capacity
        self.ledger.trouble(process.name, lasting=True)
        process.kill()

    @property
    def places(self) -> list[Broker]:
        """The broker, and the backend where it is another one."""
        return [self.broker] if self.backend is None else [self.broker, self.backend]

    def _connect(self, process: Process) -> Store:
        broker = SimulatedStore(process, self.broker, self.ledger, self.patience, self.atomic)
        if self.backend is None:
            return broker
        backend = SimulatedStore(process, self.backend, self.ledger, self.patience)
        return TwoStores(broker, backend, self.lease, now=self.world.monotonic)

    def _destiny(self, name: str) -> tuple[float, Fate]:
        seconds = self.scenario.duration(name, self.random)
        if name in self.scenario.deadly:
            return seconds, Fate.DIES
        if self.random.random() < self.faults.deadly and self.world.now < self.faults.span:
            return seconds, self.random.choice((Fate.DIES, Fate.DIES_LATE))
        return seconds, Fate.LIVES

    # -- producers ---------------------------------------------------------------------------------------------------

    def _send(self, call: Signature) -> None:
        self._publish(self.scenario.app.sender.prepare(None, call))

    def _publish(self, messages: list[Outgoing]) -> None:
        """As a client does: what is not confirmed is sent again, so a lost reply makes a copy."""
        trip = self.network.trip()
        self.world.after(AGAIN if trip is None else trip, lambda: self._arrive(messages, lost=trip is None))

    def _arrive(self, messages: list[Outgoing], lost: bool) -> None:
        if lost or not self.network.up:
            self.world.after(AGAIN, lambda: self._publish(messages))
            return
        self.broker.publish(messages)
        if self.network.trip() is None:
            self.world.after(AGAIN, lambda: self._publish(messages))
            return
        self.ledger.confirmed(messages)
        self._unconfirmed -= 1

    # -- the end -----------------------------------------------------------------------------------------------------

    def _quiet(self) -> bool:
        """Nothing is left to be done anywhere."""
        if self._unconfirmed or self.broker.state.queues():
            return False
        return all(_idle(worker) for process, worker in self.workers.items() if not process.dead)

    def _left(self) -> str:
        counts = self.broker.left()
        busy = [
            f"{process.name}: {len(worker.dispatch.ready)} ready, {sum(1 for _ in worker.dispatch.requests())} in all, "
            f"settling {worker.settler.busy}, early {worker.early.waiting}"
            for process, worker in self.workers.items()
            if not process.dead
        ]
        return f"{self._unconfirmed} unconfirmed, {counts}, {busy}"


def _idle(worker: Worker) -> bool:
    """A worker has nothing to do, and nothing to say."""
    store = worker.store
    waiting = isinstance(store, TwoStores) and (len(store.outbox) or len(store.duplicates))
    return worker.dispatch.idle() and not (worker.settler.busy or worker.early.waiting or waiting)
