"""Chains over a broker that is not atomic, whatever dies, fails, is doubled or overtakes: against a model."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

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

from celeriac.exceptions import OperationalError
from celeriac.stores import outbox
from celeriac.stores.store import Disposition, Outgoing, Settlement

from .apart import LEASE, QUEUE, Crash, Worker, World, drain

T = TypeVar("T")

WORKERS = 2
CHAINS = 3
COPIES = 3
SPINS = 30
"""Turns of the loop after which every task waits for a permit again."""


class Permits:
    """A gate at which each step waits until the machine lets it go on, fail or die."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []
        self.dead = False

    async def __call__(self, point: str) -> None:
        if self.dead:
            raise Crash
        permit = asyncio.get_running_loop().create_future()
        self.waiting.append(permit)
        try:
            await permit
        finally:
            if permit in self.waiting:
                self.waiting.remove(permit)

    def release(self, number: int, error: BaseException | None = None) -> None:
        permit = self.waiting.pop(number)
        if error is None:
            permit.set_result(None)
        else:
            permit.set_exception(error)

    def die(self) -> None:
        self.dead = True
        while self.waiting:
            self.release(0, Crash())


class Process:
    """A worker, its permits, and the batch that it is settling."""

    def __init__(self, worker: Worker, permits: Permits) -> None:
        self.worker = worker
        self.permits = permits
        self.ending: asyncio.Task[None] | None = None

    @property
    def free(self) -> bool:
        return self.ending is None or self.ending.done()


class ChainMachine(RuleBasedStateMachine):
    """Chains of one to five steps; the machine decides which store's step of which worker comes next.

    Workers take a record that is not marked for one of the dead at once (no patience), which is harsher than life.
    """

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._world: World = self._run(self._made())
        self._processes: list[Process] = []
        for _ in range(WORKERS):
            self._start()
        self._chains: dict[str, int] = {}
        self._copies = 0
        self._results: dict[str, bytes] = {}

    @staticmethod
    async def _made() -> World:
        world = World()
        await world.open()
        return world

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(call)

    async def _spin(self) -> None:
        for _ in range(SPINS):
            await asyncio.sleep(0)

    def teardown(self) -> None:
        try:
            while self._processes:
                self._crash(self._processes.pop())
            self._run(drain(self._world))
            for chain, length in self._chains.items():
                self._run(self._world.assert_whole(chain, length))
            self.results_never_change()
        finally:
            self._run(self._world.close())
            self._runner.close()

    @initialize(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=CHAINS))
    def begin(self, lengths: list[int]) -> None:
        for length in lengths:
            chain = f"c{len(self._chains)}"
            self._chains[chain] = length
            self._run(self._world.begin(chain, length))

    def _start(self) -> None:
        permits = Permits()
        self._processes.append(Process(self._run(self._world.worker(permits)), permits))

    @precondition(lambda self: any(each.free for each in self._processes))
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        """Take some of what is ready, in any order, and begin to settle some of what is in hand."""
        process = data.draw(st.sampled_from([each for each in self._processes if each.free]))
        worker = process.worker
        before = len(worker.hands)
        self._run(worker.take())
        taken = data.draw(st.permutations(worker.hands[before:]))
        kept = data.draw(st.integers(min(1, len(taken)), len(taken)))
        back = [Settlement(each.claim, Disposition.GIVE_BACK) for each in taken[kept:]]
        self._run(worker.broker.settle(back))
        worker.hands[before:] = taken[:kept]
        if not worker.hands:
            return
        batch = worker.hands[: data.draw(st.integers(1, len(worker.hands)))]

        async def begin() -> None:
            process.ending = asyncio.ensure_future(worker.end(batch))
            await self._spin()

        self._run(begin())

    def _pick(self, data: st.DataObject) -> tuple[Permits, int]:
        permits = data.draw(st.sampled_from([each.permits for each in self._processes if each.permits.waiting]))
        return permits, data.draw(st.integers(0, len(permits.waiting) - 1))

    @precondition(lambda self: any(each.permits.waiting for each in self._processes))
    @rule(data=st.data(), steps=st.sampled_from([1, 2, 3, 4, 5, 6]))
    def go_on(self, data: st.DataObject, steps: int) -> None:
        """One or some steps of a worker, the same of several that wait first."""
        permits, number = self._pick(data)
        for _ in range(steps):
            if permits.waiting:
                permits.release(min(number, len(permits.waiting) - 1))
                self._run(self._spin())

    @precondition(lambda self: any(each.permits.waiting for each in self._processes))
    @rule(data=st.data())
    def go_on_to_the_end(self, data: st.DataObject) -> None:
        """All steps of a batch, and the next ones as far as they go without a stop."""
        permits, number = self._pick(data)
        while permits.waiting:
            permits.release(min(number, len(permits.waiting) - 1))
            self._run(self._spin())

    @precondition(lambda self: any(each.permits.waiting for each in self._processes))
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        """A call fails before its effect, or its reply is lost."""
        permits, number = self._pick(data)
        permits.release(number, OperationalError("cut off"))
        self._run(self._spin())

    @precondition(lambda self: any(each.permits.waiting for each in self._processes))
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        process = data.draw(st.sampled_from([each for each in self._processes if each.permits.waiting]))
        self._processes.remove(process)
        self._crash(process)
        self._start()

    def _crash(self, process: Process) -> None:
        async def die() -> None:
            process.permits.die()
            if process.ending is not None:
                with suppress(Crash):
                    await process.ending
            await process.worker.die()

        self._run(die())

    @precondition(lambda self: self._copies < COPIES)
    @rule(data=st.data())
    def publish_a_copy(self, data: st.DataObject) -> None:
        """Somebody published a message, lost the reply and published it again."""
        ready = self._run(self._world.watch.peek(QUEUE, 100))
        if ready:
            self._copies += 1
            self._run(self._world.watch.publish([Outgoing(QUEUE, data.draw(st.sampled_from(ready)))]))

    @rule(data=st.data())
    def lose_all_leases(self, data: st.DataObject) -> None:
        self._world.clock.advance(2 * LEASE)
        self._run(self._world.watch.renew([]))
        worker = data.draw(st.sampled_from(self._processes)).worker
        lost = set(self._run(worker.store.renew([each.claim for each in worker.hands])))
        worker.hands = [each for each in worker.hands if each.claim not in lost]
        self._run(self._spin())

    @invariant()
    def results_never_change(self) -> None:
        task_ids = [task_id for _, _, task_id in self._world.published]
        for task_id, found in zip(task_ids, self._run(self._world.backend.results(task_ids)), strict=True):
            if found is not None and self._follows(task_id):
                assert self._results.setdefault(task_id, found) == found

    def _follows(self, task_id: str) -> bool:
        chain, step, _ = task_id.split(".")
        return int(step) < self._chains[chain]

    @invariant()
    def no_step_has_two_successors(self) -> None:
        for chain, length in self._chains.items():
            for step in range(2, length + 1):
                assert len(self._world.successors(chain, step)) <= 1


def test_whatever_happens_every_step_of_a_chain_has_one_successor_and_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.0)  # what depends on real time cannot be repeated
    run_state_machine_as_test(
        ChainMachine,
        settings=settings(stateful_step_count=50, suppress_health_check=list(HealthCheck)),
    )
