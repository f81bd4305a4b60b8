"""Chords whose messages and parts are in two places: wherever a worker dies, the completion comes, once if it can."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from itertools import count
from typing import Any, NamedTuple

import pytest

from celeriac import envelope
from celeriac.exceptions import OperationalError
from celeriac.message import Message
from celeriac.stores import memory
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import (
    ChordPart,
    Delivery,
    Disposition,
    Document,
    Effects,
    Outgoing,
    ResultRecord,
    Settlement,
)
from celeriac.stores.two_stores import TwoStores

from .apart import LEASE, QUEUE, Apart, Crash, Gate, Gated, free
from .test_steps import WINDOW, Countdown, Log, eventually

BROKER, BACKEND, ENDS = "memory://chord-broker", "memory://chord-backend", "ends"
MEMBERS = 3
END = Outgoing(ENDS, b"the end")


class Kind(NamedTuple):
    """What the broker can do, and whether its messages have names."""

    atomic: bool
    named: bool


KINDS = [Kind(atomic=False, named=True), Kind(atomic=False, named=False), Kind(atomic=True, named=True)]


def is_exact(kind: Kind, died_at: str) -> bool:
    """Whether the completion can have been published once only."""
    if kind.atomic:
        return True  # the claim fences it
    return kind.named and died_at not in WINDOW


class World:
    """Both places, and the members of one chord."""

    def __init__(self, kind: Kind, cleanup: AsyncExitStack) -> None:
        for name in ("chord-broker", "chord-backend"):
            memory.discard(name)
        self.kind = kind
        self.clock = memory.VirtualClock()
        self.broker = memory.open_store(self._options(BROKER))
        self.backend = memory.open_store(self._options(BACKEND))
        self._cleanup = cleanup

    def _options(self, url: str) -> StoreOptions:
        return StoreOptions(url=url, lease=LEASE, transport_options={"clock": self.clock})

    async def open(self) -> None:
        """Open both, and publish the header."""
        for store in (self.broker, self.backend):
            await store.open()
            self._cleanup.push_async_callback(store.close)
        headers = [{"task": "member", "id": f"t{index}"} for index in range(MEMBERS)]
        bodies = [envelope.encode(Message(each, {}, b"[]"), "", QUEUE) for each in headers]
        await self.broker.publish([Outgoing(QUEUE, body) for body in bodies])

    async def worker(self, gate: Gate = free, patience: float = 0.0) -> TwoStores:
        """A worker whose steps pass the gate."""
        broker, backend = memory.open_store(self._options(BROKER)), memory.open_store(self._options(BACKEND))
        await broker.open()
        await backend.open()
        gated: Any = Gated(broker, "broker", gate)
        apart: Any = gated if self.kind.atomic else Apart(gated)
        results: Any = Gated(backend, "backend", gate)
        return TwoStores(apart, results, LEASE, grace=60.0, now=self.clock.now, patience=patience)

    def run(self, delivery: Delivery) -> Settlement:
        """A member ends."""
        task_id = envelope.decode(delivery.payload).headers["id"]
        part = ChordPart("g", int(task_id[1:]), task_id, MEMBERS, task_id.encode(), END)
        identity = envelope.identity_of(delivery.payload) if self.kind.named else ""
        return Settlement(delivery.claim, effects=Effects(parts=[part]), identity=identity)

    async def die(self, worker: TwoStores) -> None:
        """A worker is no more: what it held comes back when its leases end."""
        await worker.duplicates.close()
        await worker.outbox.close(0)
        await worker.steps.close(0)
        self.clock.advance(2 * LEASE)

    async def drain(self) -> None:
        """A worker that lives ends what is left."""
        worker = await self.worker()
        await worker.renew([])
        await work(self, worker)
        while len(worker.duplicates):  # noqa: ASYNC110 - the second look is a task of its own
            await asyncio.sleep(0)
        await worker.close()

    async def ends(self) -> list[bytes]:
        return await self.broker.peek(ENDS, 100)

    async def assert_whole(self) -> None:
        assert await self.backend.chord_parts("g") == [b"t0", b"t1", b"t2"]
        counts = (await self.broker.counts([QUEUE]))[QUEUE]
        assert (counts.ready, counts.in_flight) == (0, 0)


async def work(world: World, worker: TwoStores, step: int = 1) -> None:
    """Take messages and end them, so many at once."""
    while deliveries := (await worker.receive([QUEUE], step, 0)).deliveries:
        await settle(worker, [world.run(each) for each in deliveries])


async def settle(worker: TwoStores, settlements: Sequence[Settlement]) -> None:
    """As the worker's settler: again when a store fails."""
    while True:
        with suppress(OperationalError):
            await worker.settle(settlements)
            return


@pytest.mark.parametrize("step", [1, MEMBERS], ids=["one by one", "all at once"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_wherever_a_worker_dies_the_completion_is_published(kind: Kind, step: int) -> None:
    died_at: set[str] = set()
    for passes in count():
        async with AsyncExitStack() as cleanup:
            world = World(kind, cleanup)
            await world.open()
            gate = Countdown(passes)
            worker = await world.worker(gate)
            with suppress(Crash):
                await work(world, worker, step)
            await world.die(worker)
            await world.drain()
            await world.assert_whole()
            ends = await world.ends()
            assert set(ends) == {END.payload}, gate.died_at
            if is_exact(kind, gate.died_at):
                assert len(ends) == 1, gate.died_at
            died_at.add(gate.died_at)
            if not gate.died_at:
                break
    expected = {"before backend.record", "after backend.record", "after broker.settle", ""}
    if not kind.atomic:
        expected |= {"before broker.publish", "after broker.publish"}
    assert expected <= died_at


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_without_any_fault_the_completion_is_published_once(kind: Kind, async_cleanup: AsyncExitStack) -> None:
    world = World(kind, async_cleanup)
    await world.open()
    await world.drain()
    await world.assert_whole()
    assert await world.ends() == [END.payload]


async def test_a_completion_waits_for_nothing(async_cleanup: AsyncExitStack) -> None:
    """Patience is for what somebody else recorded, not for what was recorded just now."""
    world = World(KINDS[0], async_cleanup)
    await world.open()
    worker = await world.worker(patience=3600)
    async_cleanup.push_async_callback(worker.close)
    await work(world, worker)
    assert await world.ends() == [END.payload]
    assert len(worker.duplicates) == 0


async def test_a_completion_is_confirmed_before_its_part_is_acknowledged(async_cleanup: AsyncExitStack) -> None:
    log = Log()
    world = World(KINDS[0], async_cleanup)
    await world.open()
    worker = await world.worker(log)
    async_cleanup.push_async_callback(worker.close)
    await work(world, worker, MEMBERS)
    publishing = log.points.index("broker.publish")
    assert log.points[:publishing] == ["backend.record"]
    assert "broker.settle" in log.points[publishing:]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("point", ["before backend.record", "after backend.record", "before broker.settle"])
async def test_a_step_that_fails_is_repeated_and_the_completion_comes(
    kind: Kind, point: str, async_cleanup: AsyncExitStack
) -> None:
    log = Log()
    world = World(kind, async_cleanup)
    await world.open()
    worker = await world.worker(log)
    async_cleanup.push_async_callback(worker.close)
    deliveries = (await worker.receive([QUEUE], MEMBERS, 0)).deliveries
    log.failures[point] = OperationalError("cut off")
    await settle(worker, [world.run(each) for each in deliveries])

    async def whole() -> bool:
        return bool(await world.ends()) and (await world.broker.counts([QUEUE]))[QUEUE].in_flight == 0

    await eventually(whole)
    await world.assert_whole()
    assert set(await world.ends()) == {END.payload}


async def test_a_worker_that_was_slow_publishes_no_completion_under_a_lost_claim(async_cleanup: AsyncExitStack) -> None:
    """Where the broker is atomic, the claim fences the completion: who counted the part and lost it is refused."""
    world = World(Kind(atomic=True, named=True), async_cleanup)
    await world.open()
    let_go, counted = asyncio.Event(), asyncio.Event()

    async def slow(point: str) -> None:
        if point == "before broker.settle":
            counted.set()
            await let_go.wait()

    worker = await world.worker(slow)
    async_cleanup.push_async_callback(worker.close)
    deliveries = (await worker.receive([QUEUE], MEMBERS, 0)).deliveries
    ending = asyncio.ensure_future(worker.settle([world.run(each) for each in deliveries]))
    await counted.wait()
    world.clock.advance(2 * LEASE)
    await world.drain()
    let_go.set()
    assert sorted((await ending).refused) == sorted(each.claim for each in deliveries)
    assert await world.ends() == [END.payload]


async def test_effects_that_may_be_repeated_need_no_record(async_cleanup: AsyncExitStack) -> None:
    log = Log()
    world = World(KINDS[0], async_cleanup)
    await world.open()
    worker = await world.worker(log)
    async_cleanup.push_async_callback(worker.close)
    (delivery,) = (await worker.receive([QUEUE], 1, 0)).deliveries
    effects = Effects([Document("flow", "f", b"1")], [ResultRecord("never", b"{}", "FAILURE")], closed=["h"])
    await worker.settle([Settlement(delivery.claim, effects=effects, identity="i")])
    assert log.points == ["backend.settle", "broker.settle"]
    assert await world.backend.documents("flow", ["f"]) == [b"1"]
    assert await world.backend.results(["never"]) == [b"{}"]


async def test_effects_wait_in_the_outbox_while_the_backend_is_down(async_cleanup: AsyncExitStack) -> None:
    world = World(KINDS[0], async_cleanup)
    await world.open()
    down = True

    async def gate(point: str) -> None:
        await free(point)
        if down and point.startswith("before backend"):
            raise OperationalError("the backend is down")

    worker = await world.worker(gate)
    async_cleanup.push_async_callback(worker.close)
    deliveries = (await worker.receive([QUEUE], MEMBERS, 0)).deliveries
    received = await worker.settle([world.run(each) for each in deliveries])
    assert received.refused == []
    assert len(worker.outbox) == MEMBERS
    assert await world.ends() == []
    down = False

    async def published() -> bool:
        return await world.ends() == [END.payload]

    await eventually(published)
    await world.assert_whole()


async def test_a_part_that_was_acknowledged_before_completes_too(async_cleanup: AsyncExitStack) -> None:
    world = World(KINDS[0], async_cleanup)
    await world.open()
    worker = await world.worker()
    async_cleanup.push_async_callback(worker.close)
    part = ChordPart("early", 0, "t", 1, b"[1]", END)
    await worker.settle([Settlement(b"", Disposition.NONE, effects=Effects(parts=[part]), identity="early")])
    assert await world.ends() == [END.payload]
