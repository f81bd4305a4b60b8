"""Handing over in any order of events: each message is in one place, and no delivery is under a claim that is not held.

Everything that could happen by itself is a step of its own here: a transaction of a worker, a datagram that arrives, a
publisher that learns of a refusal or dies, an alarm, a receive that is cancelled.
"""

from __future__ import annotations

import asyncio
import queue
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import claiming, handover, publishing, receiving, settling
from celeriac.stores.sqlite.claiming import Holder
from celeriac.stores.sqlite.database import Database
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.handover import Handover
from celeriac.stores.sqlite.receiving import Receiver
from celeriac.stores.sqlite.wakeup import DATAGRAM, Sending
from celeriac.stores.store import Outgoing, Received, Settlement

from .clock import Clock

LEASE = 10.0
LONG = 1e6
"""Seconds that no receive of these lasts."""
ITERATIONS = 6
"""Of the event loop, after which everything that follows from a step has happened."""


class StepDatabase(Database):
    """Runs what was submitted when it is told to."""

    def __init__(self, file: StoreFile) -> None:
        super().__init__(file, 1.0)
        self._thread = threading.current_thread()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def step(self, count: int) -> bool:
        """Run so many operations in one transaction; whether there were any."""
        batch = []
        try:
            for _ in range(count):
                batch.append(self._jobs.get_nowait())
        except queue.Empty:
            pass
        jobs = [job for job in batch if job is not None]
        self._run([job for job in jobs if not (job.can_skip and job.future.cancelled())], self._write)
        self._deliver(jobs)
        return bool(jobs)


class StepBell:
    """A bell that rings, and whose alarm goes off, when it is told to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.on_ring: Callable[[list[bytes]], object] | None = None
        self._rings: set[asyncio.Future[None]] = set()

    def expect(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rings.add(future)
        future.add_done_callback(self._rings.discard)
        return future

    async def sleep(self, ring: asyncio.Future[None], seconds: float) -> None:
        await ring

    def ring(self) -> None:
        for future in list(self._rings):
            if not future.done():
                future.set_result(None)

    def arrive(self, datagram: bytes) -> None:
        assert self.on_ring is not None
        self.on_ring([datagram])
        self.ring()


class Worker:
    """One open store that receives."""

    def __init__(self, name: str, file: StoreFile, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self.database = StepDatabase(file)
        self.database.begin(loop)
        self.bell = StepBell(name)
        self.holder = Holder(StoreOptions(url="", lease=LEASE))
        self.receiver = Receiver(self.database, self.holder, self.bell, clock)  # type: ignore[arg-type]
        self.receive: asyncio.Task[Received] | None = None
        self.held: dict[bytes, str] = {}


def idle(worker: Worker) -> bool:
    return worker.receive is None


def receives(worker: Worker) -> bool:
    return worker.receive is not None


def stands(worker: Worker) -> bool:
    return worker.receiver._keep is not None


def has_work(worker: Worker) -> bool:
    return not worker.database._jobs.empty()


def holds(worker: Worker) -> bool:
    return bool(worker.held)


class HandoverMachine(RuleBasedStateMachine):
    """Two workers and any number of publishers on one file."""

    def __init__(self) -> None:
        super().__init__()
        self._exit = ExitStack()
        patch = self._exit.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(receiving, "KEEP", LONG)
        self._runner = self._exit.enter_context(asyncio.Runner())
        self.clock = Clock()
        path = Path(self._exit.enter_context(tempfile.TemporaryDirectory())) / "store.sqlite3"
        self.file = StoreFile(path, clock=self.clock)
        self._exit.callback(self.file.close)
        # All senders share what stands for the kernel.
        self.file._ringer.send = self._send  # type: ignore[method-assign]
        self.outcome: Sending | None = Sending.SENT
        self.mail: list[tuple[str, bytes]] = []
        self.refusals: list[Handover] = []
        self.workers = [Worker(name, self.file, self.clock, self._runner.get_loop()) for name in ("one", "two")]
        self.published: set[str] = set()
        self.ended: set[str] = set()
        self.begin = self.clock.now
        self.leases_last = True

    def teardown(self) -> None:
        self._settle_down()
        self._exit.close()

    def _send(self, name: str, datagram: bytes) -> Sending:
        if self.outcome is None:  # the publisher dies
            return Sending.SENT
        if self.outcome is Sending.SENT:
            self.mail.append((name, datagram))
        return self.outcome

    def _publish(self, count: int) -> None:
        names = [f"m{len(self.published) + number}" for number in range(count)]
        self.published.update(names)
        messages = [Outgoing("work", name.encode()) for name in names]
        self.file.run(partial(publishing.publish, messages=messages), 1)

    def _deliver(self, name: str, datagram: bytes) -> None:
        for worker in self.workers:
            if worker.bell.name == name:
                worker.bell.arrive(datagram)
        self._turn()

    def _some(self, is_so: Callable[[Worker], bool]) -> bool:
        return any(map(is_so, self.workers))

    def _one(self, data: st.DataObject, is_so: Callable[[Worker], bool]) -> Worker:
        return self.workers[data.draw(st.sampled_from([n for n, worker in enumerate(self.workers) if is_so(worker)]))]

    def _receive(self, worker: Worker, limit: int) -> None:
        worker.receive = self._runner.get_loop().create_task(worker.receiver.receive(("work",), limit, LONG))
        self._turn()

    def _cancel(self, worker: Worker) -> None:
        if worker.receive is not None:
            worker.receive.cancel()
            self._turn()

    def _stay_away(self, worker: Worker) -> None:
        if worker.receiver._keep is not None:
            worker.receiver._keep.cancel()
            worker.receiver._stand_down()

    def _run_all(self, worker: Worker) -> None:
        while worker.database.step(1):
            self._turn()

    def _turn(self) -> None:
        """Let the coroutines go on as far as they can."""

        async def turn() -> None:
            for _ in range(ITERATIONS):
                await asyncio.sleep(0)

        self._runner.run(turn())
        for worker in self.workers:
            if worker.receive is not None and worker.receive.done():
                task, worker.receive = worker.receive, None
                if not task.cancelled():
                    self._got(worker, task.result())

    def _got(self, worker: Worker, received: Received) -> None:
        for delivery in received.deliveries:
            name = delivery.payload.decode()
            assert name in self.published
            assert name not in self.ended
            if self.leases_last:
                assert delivery.losses == 0
                assert self._is_held(delivery.claim), "a delivery under a claim that is not held"
                assert all(name not in each.held.values() for each in self.workers), "two hold one message"
            worker.held[delivery.claim] = name

    def _is_held(self, claim: bytes) -> bool:
        holder, batch, number = claim.decode().split(":")
        sql = "SELECT 1 FROM lease WHERE id = ? AND batch = ? AND holder = ?"
        arguments = (int(number), int(batch), holder)
        return self.file.read(lambda transaction: transaction.execute(sql, arguments).fetchone() is not None, 1)

    @rule(arrives=st.booleans(), outcome=st.sampled_from([*[Sending.SENT] * 6, Sending.FULL, None]))
    def publish(self, arrives: bool, outcome: Sending | None) -> None:
        """One message. With None its publisher dies after the commit; else what it sends may arrive at once."""
        before = len(self.mail)
        self.outcome = outcome
        self._publish(1)
        self.outcome = Sending.SENT
        while arrives and len(self.mail) > before:
            self._deliver(*self.mail.pop(before))

    @rule()
    def publish_two(self) -> None:
        self._publish(2)

    @rule()
    def publish_and_be_refused_later(self) -> None:
        before = len(self.mail)
        self._publish(1)
        for _, datagram in self.mail[before:]:
            if datagram != DATAGRAM and (handed := handover.read(datagram)) is not None:
                self.refusals.append(handed)
        del self.mail[before:]

    @precondition(lambda self: self.refusals)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        handed = self.refusals.pop(data.draw(st.integers(0, len(self.refusals) - 1)))
        self.file.run(partial(handover.take_back, refused=[handed]), 1)

    @precondition(lambda self: self.mail)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self._deliver(*self.mail.pop(data.draw(st.integers(0, len(self.mail) - 1))))

    @initialize(limits=st.lists(st.integers(1, 3), min_size=1, max_size=2))
    def register(self, limits: list[int]) -> None:
        for worker, limit in zip(self.workers, limits, strict=False):
            self._receive(worker, limit)
            self._run_all(worker)

    @precondition(lambda self: self._some(idle))
    @rule(data=st.data(), limit=st.integers(1, 3), at_once=st.booleans())
    def receive(self, data: st.DataObject, limit: int, at_once: bool) -> None:
        worker = self._one(data, idle)
        self._receive(worker, limit)
        if at_once:
            self._run_all(worker)

    @precondition(lambda self: self._some(receives))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self._cancel(self._one(data, receives))

    @precondition(lambda self: self._some(has_work))
    @rule(data=st.data(), count=st.integers(1, 3))
    def run_transaction(self, data: st.DataObject, count: int) -> None:
        self._one(data, has_work).database.step(count)
        self._turn()

    @precondition(lambda self: self._some(receives))
    @rule(data=st.data())
    def alarm(self, data: st.DataObject) -> None:
        """The waiter wakes by itself."""
        self._one(data, receives).bell.ring()
        self._turn()

    @precondition(lambda self: self._some(stands))
    @rule(data=st.data())
    def stay_away(self, data: st.DataObject) -> None:
        """The time of a registration that stood still is over."""
        self._stay_away(self._one(data, stands))

    @precondition(lambda self: self._some(holds))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        worker = self._one(data, holds)
        claim = data.draw(st.sampled_from(sorted(worker.held)))
        name = worker.held.pop(claim)
        operation = partial(settling.settle, options=worker.holder.options, settlements=[Settlement(claim)])
        refused = self.file.run(operation, 1)
        if self.leases_last:
            assert refused == []
        if not refused:
            assert name not in self.ended
            self.ended.add(name)

    @rule()
    def end_what_is_ready(self) -> None:
        """Somebody else is quick: only an empty queue lets messages be handed over."""
        other = Holder(StoreOptions(url="", lease=LEASE))
        deliveries = self.file.run(partial(claiming.claim, holder=other, queues=("work",), limit=100), 1)
        settlements = [Settlement(delivery.claim) for delivery in deliveries]
        assert self.file.run(partial(settling.settle, options=other.options, settlements=settlements), 1) == []
        self.ended.update(delivery.payload.decode() for delivery in deliveries)

    @rule(leases=st.sampled_from([0.1, 0.1, 0.4, 1.1]))
    def let_time_pass(self, leases: float) -> None:
        self.clock.now += leases * LEASE
        if self.clock.now - self.begin >= LEASE:
            self.leases_last = False

    @invariant()
    def each_message_is_in_one_place(self) -> None:
        places = "SELECT id FROM ready UNION ALL SELECT id FROM held UNION ALL SELECT id FROM lease"
        found = self.file.read(lambda transaction: transaction.execute(places).fetchall(), 1)
        alive = self.file.read(lambda transaction: transaction.execute("SELECT id FROM message").fetchall(), 1)
        assert sorted(found) == sorted(alive)
        assert len(alive) == len(self.published) - len(self.ended)

    def _settle_down(self) -> None:
        """When everybody has stopped to wait, nothing is leased but what somebody holds."""
        for worker in self.workers:
            self._cancel(worker)
            self._run_all(worker)
            assert worker.receive is None
            self._stay_away(worker)
            self._run_all(worker)
        claims = "SELECT holder || ':' || batch || ':' || id FROM lease"
        leased = self.file.read(lambda transaction: transaction.execute(claims).fetchall(), 1)
        held = [claim.decode() for worker in self.workers for claim in worker.held]
        if self.leases_last:
            assert sorted(claim for (claim,) in leased) == sorted(held)
        else:
            assert {claim for (claim,) in leased} <= set(held)


@pytest.mark.slow
def test_no_order_of_events_loses_a_message_or_gives_it_to_two() -> None:
    run_state_machine_as_test(
        HandoverMachine,
        settings=settings(
            max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
