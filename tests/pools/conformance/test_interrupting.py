"""Soft limits and cancellation reach the request that they are meant for, and no other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from celeriac.pools.pool import Kind
from tests.pools.conformance.harness import PREFORK, PROCESSES, SHARED, SOLO, Kinds, Opener, touch, until

processes = pytest.mark.parametrize("kind", PROCESSES, ids=repr)
functions = pytest.mark.parametrize("function", ["sleep", "asleep", "group", "spin"])


@processes
@functions
async def test_a_soft_limit_ends_the_request_that_runs(kind: Kinds, function: str, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    (number,) = bench.send((function, 60))
    await bench.running(1)
    bench.pool.children[0].interrupt(number)
    (outcome,) = await bench.outcomes([number])
    assert (outcome.kind, outcome.text) == (Kind.FAILURE, "SoftTimeLimitExceeded")
    assert await bench.results(("echo", 1), ("asleep", 0.001)) == [1, 0.001]


@processes
async def test_a_soft_limit_for_what_does_not_run_does_nothing(kind: Kinds, open_pool: Opener, tmp_path: Path) -> None:
    bench = await open_pool(kind, capacity=1)
    gate = str(tmp_path / "gate")
    assert await bench.results(("echo", 1)) == [1]
    running, waiting = bench.send(("wait_for", gate), ("echo", 2))
    await bench.running(1)
    child = bench.pool.children[0]
    child.interrupt(1)
    child.interrupt(waiting)
    child.interrupt(waiting + 100)
    touch(gate)
    outcomes = await bench.outcomes([running, waiting])
    assert [outcome.kind for outcome in outcomes] == [Kind.SUCCESS, Kind.SUCCESS]


@processes
@pytest.mark.parametrize("function", ["sleep", "asleep"])
async def test_soft_limits_under_fire_hit_only_their_targets(kind: Kinds, function: str, open_pool: Opener) -> None:
    """Tasks of five milliseconds, every third one interrupted at about the instant of its end."""
    bench = await open_pool(kind, capacity=4)
    child = bench.pool.children[0]
    numbers = bench.send(*[(function, 0.005) for _ in range(150)])
    targets = set()
    hit: set[int] = set()
    end = asyncio.get_running_loop().time() + 20
    while len(bench.watcher.results) < len(numbers) and asyncio.get_running_loop().time() < end:
        for running in child.running():
            if running.number % 3 == 0 and running.number not in targets:
                targets.add(running.number)
                asyncio.get_running_loop().call_later(0.0045, child.interrupt, running.number)
        await asyncio.sleep(0.0005)
    for outcome in await bench.outcomes(numbers):
        if outcome.kind is Kind.FAILURE:
            assert outcome.text == "SoftTimeLimitExceeded"
            hit.add(outcome.number)
        else:
            assert outcome.kind is Kind.SUCCESS
    assert hit <= targets
    assert len(bench.watcher.results) == len(numbers)
    assert bench.watcher.exits == []


@pytest.mark.parametrize("kind", SHARED, ids=repr)
@functions
async def test_cancelling_ends_one_request_of_a_shared_child(kind: Kinds, function: str, open_pool: Opener) -> None:
    if kind.name == "asyncio" and function == "spin":
        function = "sleep"  # in a thread, as every plain function there
    bench = await open_pool(kind)
    number, other = bench.send((function, 60), ("asleep", 0.2))
    await bench.running(2)
    bench.pool.children[0].cancel(number)
    cancelled, finished = await bench.outcomes([number, other])
    assert (cancelled.kind, finished.kind) == (Kind.CANCELLED, Kind.SUCCESS)
    assert await bench.results(*[("echo", i) for i in range(8)]) == list(range(8))


@pytest.mark.parametrize("kind", [*PROCESSES, SOLO], ids=repr)
async def test_cancelling_what_waits_keeps_it_from_running(kind: Kinds, open_pool: Opener, tmp_path: Path) -> None:
    bench = await open_pool(kind, capacity=1)
    gate, ran = str(tmp_path / "gate"), tmp_path / "ran"
    running, waiting = bench.send(("await_for", gate), ("sleep", 0, str(ran)))
    await bench.running(1)
    bench.pool.children[0].cancel(waiting)
    (outcome,) = await bench.outcomes([waiting])
    assert outcome.kind is Kind.CANCELLED
    touch(gate)
    await bench.outcomes([running])
    assert not ran.exists()


@pytest.mark.parametrize("kind", PREFORK, ids=repr)
async def test_a_request_that_runs_alone_is_not_cancelled_but_killed(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    (number,) = bench.send(("sleep", 60))
    await bench.running(1)
    child = bench.pool.children[0]
    child.cancel(number)
    child.kill()
    await until(lambda: bench.watcher.exits, "the child's death")
    assert [running.number for running in bench.watcher.exits[0][2]] == [number]


@processes
async def test_a_dump_writes_the_stacks_of_a_child_and_harms_nothing(
    kind: Kinds, open_pool: Opener, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bench = await open_pool(kind)
    (number,) = bench.send(("sleep", 0.3, str(tmp_path / "sleeping")))
    await until((tmp_path / "sleeping").exists, "the task sleeps")
    bench.pool.children[0].dump()
    (outcome,) = await bench.outcomes([number])
    assert outcome.kind is Kind.SUCCESS
    assert "in sleep" in capfd.readouterr().err
