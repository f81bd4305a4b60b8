"""A broker that is not atomic: a chain's next step is neither lost nor doubled, wherever anything dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from itertools import count

import pytest

from celeriac.exceptions import OperationalError
from celeriac.stores.store import Capabilities, Disposition, Outgoing, Settlement

from .apart import LEASE, QUEUE, Crash, Gate, Worker, World, drain, free, placed

LENGTH = 3
WINDOW = {"after broker.publish", "before backend.record", "before broker.settle"}
"""Where a message may be published and neither marked nor acknowledged."""


async def opened(cleanup: AsyncExitStack) -> World:
    world = World()
    await world.open()
    cleanup.push_async_callback(world.close)
    return world


class Countdown:
    """A gate that a worker passes so many times; then it is dead, and so is everything that it tries."""

    def __init__(self, passes: int) -> None:
        self.left = passes
        self.died_at = ""

    async def __call__(self, point: str) -> None:
        await free(point)
        if self.left <= 0:
            self.died_at = self.died_at or point
            raise Crash
        self.left -= 1


async def run_one_by_one(worker: Worker) -> None:
    while await worker.take(1):
        await worker.end(list(worker.hands))


async def run_all_at_once(worker: Worker) -> None:
    while await worker.take():
        await worker.end(list(worker.hands))


def copies(world: World, chains: list[str]) -> list[int]:
    """How often the messages of each step were published, those that the steps before made."""
    return [sum(world.successors(chain, step).values()) for chain in chains for step in range(2, LENGTH + 1)]


@pytest.mark.parametrize(
    ("run", "window"), [(run_one_by_one, WINDOW), (run_all_at_once, {*WINDOW, "before broker.publish"})]
)
async def test_wherever_a_worker_dies_no_step_is_lost_and_none_has_two_successors(
    run: Callable[[Worker], Awaitable[None]], window: set[str]
) -> None:
    chains = ["a", "b"]
    died_at: list[str] = []
    for passes in count():
        async with AsyncExitStack() as cleanup:
            world = await opened(cleanup)
            for chain in chains:
                await world.begin(chain, LENGTH)
            gate = Countdown(passes)
            worker = await world.worker(gate)
            with suppress(Crash):
                await run(worker)
            await worker.die()
            await drain(world)
            for chain in chains:
                await world.assert_whole(chain, LENGTH)
            doubled = [times for times in copies(world, chains) if times != 1]
            # What was published in that very step, and nothing that follows from it.
            assert doubled in ([[], [2], [2, 2]] if gate.died_at in window else [[]]), gate.died_at
            died_at.append(gate.died_at)
            if not gate.died_at:
                break
    assert {*window, "before broker.publish", "after backend.record", "after broker.settle"} < set(died_at)


async def test_a_crash_at_every_point_of_every_worker_in_turn_still_ends_the_chain() -> None:
    """One worker after the other dies at its second, third, fourth, ... point: the chain gets on all the same."""
    for passes in range(1, 9):
        async with AsyncExitStack() as cleanup:
            world = await opened(cleanup)
            await world.begin("a", LENGTH)
            for _ in range(12):
                worker = await world.worker(Countdown(passes))
                with suppress(Crash):
                    await run_one_by_one(worker)
                await worker.die()
            await drain(world)
            await world.assert_whole("a", LENGTH)


# ------------------------------------------------------------------------------------------------- what a worker does


async def begin(cleanup: AsyncExitStack, gate: Gate = free, patience: float = 0.0) -> tuple[World, Worker]:
    """A worker that holds the first message of a chain."""
    world = await opened(cleanup)
    await world.begin("a", LENGTH)
    worker = await world.worker(gate, patience)
    cleanup.push_async_callback(worker.store.close)
    assert await worker.take() == 1
    return world, worker


class Log:
    """A gate that everybody passes and that knows who did."""

    def __init__(self) -> None:
        self.points: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.then: Gate = free

    async def __call__(self, point: str) -> None:
        await free(point)
        if point in self.failures:
            raise self.failures.pop(point)
        if point.startswith("before"):
            self.points.append(point.removeprefix("before "))
        await self.then(point)


async def eventually(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await look():  # noqa: ASYNC110 - what another task of the store does has no event
            await asyncio.sleep(0.001)


async def until(look: Callable[[], bool]) -> None:
    async def looked() -> bool:
        return look()

    await eventually(looked)


async def test_the_steps_of_a_batch_are_one_call_each(async_cleanup: AsyncExitStack) -> None:
    log = Log()
    world, worker = await begin(async_cleanup, log)
    for chain in "bcd":
        await world.begin(chain, LENGTH)
    await world.begin("short", 1)
    await worker.take()
    await worker.end(list(worker.hands))
    await until(lambda: "backend.record" in log.points[2:])
    # One publication of four messages is four points.
    assert log.points[:5] == ["backend.record", *["broker.publish"] * 4]
    assert sorted(log.points[5:]) == ["backend.record", "broker.settle"]


async def test_settlements_without_follow_ups_take_two_steps(async_cleanup: AsyncExitStack) -> None:
    log = Log()
    world = await opened(async_cleanup)
    await world.begin("short", 1)
    worker = await world.worker(log)
    async_cleanup.push_async_callback(worker.store.close)
    await worker.take()
    await worker.end(list(worker.hands))
    assert log.points == ["backend.settle", "broker.settle"]


async def test_follow_ups_without_an_identity_are_left_to_the_broker(async_cleanup: AsyncExitStack) -> None:
    log = Log()
    world, worker = await begin(async_cleanup, log)
    settlement = world.run(worker.hands[0])
    settlement.identity = ""
    await worker.store.settle([settlement])
    assert log.points == ["backend.settle", "broker.publish", "broker.settle"]
    assert list(world.successors("a", 2).values()) == [1]


async def test_a_failed_acknowledgement_is_repeated_without_another_publication(async_cleanup: AsyncExitStack) -> None:
    log = Log()
    world, worker = await begin(async_cleanup, log)
    log.failures["before broker.settle"] = OperationalError("cut off")
    settlement = world.run(worker.hands[0])
    with pytest.raises(OperationalError, match="cut off"):
        await worker.store.settle([settlement])
    await worker.store.settle([settlement])
    assert list(world.successors("a", 2).values()) == [1]
    assert (await world.watch.counts([QUEUE]))[QUEUE].in_flight == 0


async def test_a_failed_publication_is_repeated_with_the_same_messages(async_cleanup: AsyncExitStack) -> None:
    log = Log()
    world, worker = await begin(async_cleanup, log)
    log.failures["before broker.publish"] = OperationalError("cut off")
    settlement = world.run(worker.hands[0])
    with pytest.raises(OperationalError, match="cut off"):
        await worker.store.settle([settlement])
    await worker.store.settle([settlement])
    await until(lambda: not worker.store.duplicates)
    (task_id,) = world.successors("a", 2)
    assert [placed(each.payload)[1] for each in settlement.follow_ups] == [task_id]
    assert (await world.watch.counts([QUEUE]))[QUEUE].in_flight == 0


async def test_marks_that_the_backend_did_not_take_are_made_good_at_the_next_renewal(
    async_cleanup: AsyncExitStack,
) -> None:
    log = Log()
    world, worker = await begin(async_cleanup, log)
    settlement = world.run(worker.hands[0])

    async def fail_the_mark(point: str) -> None:
        if point == "after broker.publish":
            log.failures["before backend.record"] = OperationalError("the backend is down")

    log.then = fail_the_mark
    await worker.store.settle([settlement])
    await until(lambda: not log.failures)
    assert await world.backend.record([settlement]) == [settlement.follow_ups]
    await worker.store.renew([])

    async def marked() -> bool:
        return await world.backend.record([settlement]) == [[]]

    await eventually(marked)


async def test_closing_marks_what_is_left(async_cleanup: AsyncExitStack) -> None:
    world, worker = await begin(async_cleanup)
    settlement = world.run(worker.hands[0])
    await worker.store.settle([settlement])
    await worker.store.close()
    assert await world.backend.record([settlement]) == [[]]


# ----------------------------------------------------------------------------------------------- two that ran one task


async def test_of_two_copies_that_end_in_one_batch_one_publishes(async_cleanup: AsyncExitStack) -> None:
    world = await opened(async_cleanup)
    await world.begin("a", LENGTH)
    (first,) = await world.watch.peek(QUEUE, 1)
    await world.watch.publish([Outgoing(QUEUE, first)])
    worker = await world.worker(free, patience=0.05)
    async_cleanup.push_async_callback(worker.store.close)
    assert await worker.take() == 2
    await worker.end(list(worker.hands))
    await until(lambda: not worker.store.duplicates)
    assert list(world.successors("a", 2).values()) == [1]
    assert (await world.watch.counts([QUEUE]))[QUEUE].in_flight == 0


async def test_a_copy_waits_for_one_that_is_publishing_and_keeps_its_lease_meanwhile(
    async_cleanup: AsyncExitStack,
) -> None:
    let_go = asyncio.Event()

    async def slow(point: str) -> None:
        if point == "before broker.publish":
            await let_go.wait()

    world, slow_worker = await begin(async_cleanup, slow)
    ending = asyncio.ensure_future(slow_worker.end(list(slow_worker.hands)))
    await asyncio.sleep(0)
    await world.watch.publish([Outgoing(QUEUE, slow_worker.hands[0].payload)])
    worker = await world.worker(free, patience=0.2)
    async_cleanup.push_async_callback(worker.store.close)
    await worker.take()
    await worker.end(list(worker.hands))
    assert len(worker.store.duplicates) == 1
    assert world.successors("a", 2) == {}
    for _ in range(6):
        world.clock.advance(LEASE / 3)
        assert await worker.store.renew([]) == []
        await slow_worker.store.renew([each.claim for each in slow_worker.hands])
    let_go.set()
    await ending
    await until(lambda: not worker.store.duplicates)
    assert list(world.successors("a", 2).values()) == [1]
    assert (await world.watch.counts([QUEUE]))[QUEUE].in_flight == 0


async def test_a_copy_publishes_what_somebody_recorded_who_is_dead(async_cleanup: AsyncExitStack) -> None:
    world, worker = await begin(async_cleanup, patience=0.02)
    ended = world.run(worker.hands[0])
    await world.backend.record([ended])
    await worker.end(list(worker.hands))
    assert world.successors("a", 2) == {}
    await until(lambda: not worker.store.duplicates)
    (task_id,) = world.successors("a", 2)
    assert placed(ended.follow_ups[0].payload)[1] == task_id


async def test_a_copy_whose_lease_is_lost_while_it_waits_is_left_to_its_new_holder(
    async_cleanup: AsyncExitStack,
) -> None:
    world, worker = await begin(async_cleanup, patience=3600)
    await world.backend.record([world.run(worker.hands[0])])
    await worker.end(list(worker.hands))
    world.clock.advance(2 * LEASE)
    await world.watch.renew([])
    await worker.store.renew([])
    assert len(worker.store.duplicates) == 0
    assert (await world.watch.counts([QUEUE]))[QUEUE].ready == 1


async def test_a_copy_waits_on_while_a_store_cannot_be_reached(async_cleanup: AsyncExitStack) -> None:
    log = Log()
    world, worker = await begin(async_cleanup, log, patience=0.02)
    await world.backend.record([world.run(worker.hands[0])])
    await worker.end(list(worker.hands))
    log.failures["before backend.record"] = OperationalError("the backend is down")
    await until(lambda: not log.failures)
    assert len(worker.store.duplicates) == 1
    await until(lambda: not worker.store.duplicates)
    assert list(world.successors("a", 2).values()) == [1]


async def test_a_defect_while_a_copy_waits_is_said_and_its_lease_ends(
    async_cleanup: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    world, worker = await begin(async_cleanup, log, patience=0.02)
    await world.backend.record([world.run(worker.hands[0])])
    await worker.end(list(worker.hands))
    log.failures["before backend.record"] = TypeError("a defect")
    await until(lambda: not worker.store.duplicates)
    await until(lambda: "a defect" in caplog.text)
    assert worker.store.duplicates.claims == []


async def test_an_early_acknowledged_copy_publishes_nothing_either(async_cleanup: AsyncExitStack) -> None:
    world, worker = await begin(async_cleanup)
    await worker.end(list(worker.hands))
    (second,) = await world.watch.peek(QUEUE, 1)
    await world.watch.publish([Outgoing(QUEUE, second)])
    for _ in range(2):
        await worker.take(1)
        (delivery,) = worker.hands
        await worker.store.settle([Settlement(delivery.claim)])
        worker.hands.clear()
        settlement = world.run(delivery)
        settlement.claim, settlement.disposition = b"", Disposition.NONE
        await worker.store.settle([settlement])
        await until(lambda: not worker.store.duplicates)
    assert list(world.successors("a", 3).values()) == [1]


# -------------------------------------------------------------------------------------------------------- what is known


async def test_a_backend_that_keeps_no_records_leaves_follow_ups_to_the_broker(async_cleanup: AsyncExitStack) -> None:
    log = Log()
    world, worker = await begin(async_cleanup, log)
    worker.store.backend.capabilities = Capabilities(records=False)
    await worker.end(list(worker.hands))
    assert log.points == ["backend.settle", "broker.publish", "broker.settle"]
    assert list(world.successors("a", 2).values()) == [1]


async def test_a_broker_that_is_atomic_needs_no_records(async_cleanup: AsyncExitStack) -> None:
    log = Log()
    _, worker = await begin(async_cleanup, log)
    worker.store.broker.capabilities = Capabilities()
    await worker.end(list(worker.hands))
    assert log.points == ["backend.settle", "broker.publish", "broker.settle"]
