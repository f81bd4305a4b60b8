"""Children that leave do so with their work done, and are replaced."""

from __future__ import annotations

import signal
from collections.abc import Sized
from functools import partial
from pathlib import Path

import psutil
import pytest

from celeriac.pools import handle
from celeriac.pools.pool import Kind
from tests.pools.conformance.harness import PREFORK, PROCESSES, SOLO, Kinds, Opener, touch, until

processes = pytest.mark.parametrize("kind", PROCESSES, ids=repr)


@processes
async def test_a_retiring_child_finishes_what_it_has_and_is_replaced(
    kind: Kinds, open_pool: Opener, tmp_path: Path
) -> None:
    bench = await open_pool(kind, capacity=2)
    child = bench.pool.children[0]
    gate = str(tmp_path / "gate")
    numbers = bench.send(("wait_for", gate), ("asleep", 0.01), ("echo", 3))
    child.retire()
    assert not child.ready
    await bench.running(1)
    assert bench.pool.children[0] is child, "no replacement while the old one works: that would be one too many"
    touch(gate)
    outcomes = await bench.outcomes(numbers)
    assert [outcome.kind for outcome in outcomes] == [Kind.SUCCESS] * 3
    await until(lambda: bench.watcher.exits, "the child leaves")
    dead, ending, running = bench.watcher.exits[0]
    assert (dead, ending.retired, ending.code, running) == (child, True, 0, [])
    await until(lambda: len(bench.watcher.readied) == 2, "a replacement")
    assert await bench.results(("echo", 1)) == [1]


@processes
async def test_an_idle_child_retires_at_once(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    first = bench.pool.children[0]
    first.retire()
    first.retire()
    await until(lambda: bench.watcher.exits and len(bench.watcher.readied) == 2, "one leaves, one comes")
    assert bench.watcher.exits[0][1].retired
    assert bench.pool.children[0] is not first


@processes
async def test_children_that_are_told_to_retire_while_they_start_do_so_later(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind, children=3)
    children = list(bench.pool.children)
    for child in children:
        child.recall()
        child.retire()
    await until(lambda: len(bench.watcher.exits) == 3 and len(bench.watcher.readied) == 6, "three leave, three come")
    assert all(ending.retired for _, ending, _ in bench.watcher.exits)
    assert bench.watcher.complaints == []


@processes
async def test_a_child_that_does_not_leave_is_killed(
    kind: Kinds, open_pool: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle, "LEAVE_GRACE", 0.2)
    bench = await open_pool(kind, arguments={"stop": "hangs"})
    bench.pool.children[0].retire()
    await until(lambda: bench.watcher.exits and len(bench.watcher.readied) == 2, "one is killed, one comes")
    assert bench.watcher.exits[0][1].signal == signal.SIGKILL


@processes
async def test_works_for_a_child_that_takes_none_come_back(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    child = bench.pool.children[0]
    child.retire()
    works = [bench.work("echo", 1), bench.work("echo", 2)]
    child.send(works)
    await until(lambda: bench.watcher.given_back == [1, 2], "both come back")


@processes
async def test_a_child_runs_max_tasks_exactly_and_is_replaced(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind, max_tasks=3)
    numbers = bench.send(*[("pid",) for _ in range(5)])
    first = bench.pool.children[0].pid
    outcomes = await bench.outcomes(numbers[:3])
    assert {outcome.result for outcome in outcomes} == {str(first).encode()}
    await until(lambda: bench.watcher.given_back == numbers[3:], "the rest comes back")
    await until(lambda: bench.watcher.exits and len(bench.watcher.readied) == 2, "one leaves, one comes")
    assert bench.watcher.exits[0][1].retired
    assert await bench.results(("pid",)) == [bench.pool.children[0].pid]
    assert bench.pool.children[0].pid != first


@processes
async def test_what_was_given_back_does_not_count_for_max_tasks(kind: Kinds, open_pool: Opener, tmp_path: Path) -> None:
    bench = await open_pool(kind, capacity=1, max_tasks=3)
    gate = str(tmp_path / "gate")
    numbers = bench.send(("wait_for", gate), ("echo", 1))
    await bench.running(1)
    child = bench.pool.children[0]
    child.recall()
    await until(lambda: bench.watcher.given_back == numbers[1:], "the second comes back")
    touch(gate)
    await bench.outcomes(numbers[:1])
    assert await bench.results(("echo", 2)) == [2]
    assert child.ready
    assert await bench.results(("echo", 3)) == [3]
    assert not child.ready


@processes
async def test_a_child_over_its_memory_leaves_after_the_task_and_loses_nothing(kind: Kinds, open_pool: Opener) -> None:
    # A child that is forked from this process begins with as much as this process has by now.
    begins_with = psutil.Process().memory_info().rss if kind.start_method == "fork" else 0
    bench = await open_pool(kind, capacity=1, max_memory=begins_with + (250 << 20))
    assert await bench.results(("echo", 1)) == [1]
    numbers = bench.send(("allocate", 300), *[("echo", i) for i in range(50)])
    await until(lambda: bench.watcher.exits, "the child leaves")
    assert bench.watcher.exits[0][1].retired
    assert numbers[0] in bench.watcher.results
    told = set(bench.watcher.results) | set(bench.watcher.given_back)
    assert told >= set(numbers)
    assert set(bench.watcher.results).isdisjoint(bench.watcher.given_back)
    await until(lambda: len(bench.watcher.readied) == 2, "a replacement")
    assert await bench.results(("echo", 2)) == [2]


@pytest.mark.parametrize("kind", [*PROCESSES, SOLO], ids=repr)
async def test_a_recall_brings_back_what_has_not_started_while_a_task_runs(
    kind: Kinds, open_pool: Opener, tmp_path: Path
) -> None:
    bench = await open_pool(kind, capacity=1)
    gate = str(tmp_path / "gate")
    function = "await_for" if kind is SOLO else "wait_for"
    numbers = bench.send((function, gate), ("echo", 1), ("echo", 2))
    await bench.running(1)
    bench.pool.children[0].recall()
    await until(lambda: bench.watcher.given_back == numbers[1:], "two come back while one runs")
    touch(gate)
    (outcome,) = await bench.outcomes(numbers[:1])
    assert outcome.kind is Kind.SUCCESS
    assert await bench.results(("echo", 3)) == [3]
    assert set(bench.watcher.results) == {numbers[0], 4}


@pytest.mark.parametrize("kind", PREFORK, ids=repr)
async def test_a_recall_under_fire_neither_loses_nor_doubles_a_work(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    watcher = bench.watcher
    numbers: list[int] = []
    for turn in range(200):
        numbers += bench.send(*[("echo", i) for i in range(30)])
        if turn % 2:
            await until(partial(_more, len(watcher.results), watcher.results), "some have run")
        bench.pool.children[0].recall()
        await until(partial(_more, len(numbers) - 1, watcher.results, watcher.given_back), "all are told of")
    assert len(watcher.results) > 100
    assert set(watcher.results).isdisjoint(watcher.given_back)
    assert watcher.exits == []


def _more(count: int, *collections: Sized) -> bool:
    return sum(len(collection) for collection in collections) > count
