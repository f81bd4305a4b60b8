"""Every pool runs what it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from celeriac.pools.pool import Kind
from tests.pools.conformance.harness import ALL, PREFORK, PROCESSES, SHARED, SOLO, Kinds, Opener, touch, until

every = pytest.mark.parametrize("kind", ALL, ids=repr)
alone = pytest.mark.parametrize("kind", [*PREFORK, SOLO], ids=repr)
shared = pytest.mark.parametrize("kind", SHARED, ids=repr)
processes = pytest.mark.parametrize("kind", PROCESSES, ids=repr)


@every
async def test_outcomes_come_back_with_their_results(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    assert await bench.results(("echo", 1), ("echo", "two"), ("echo", [3])) == [1, "two", [3]]


@every
async def test_coroutine_functions_run_in_every_pool(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    assert await bench.results(("asleep", 0.01), ("group", 0.01), ("echo", 1)) == [0.01, 0.01, 1]


@every
async def test_a_failure_is_an_outcome(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    (outcome,) = await bench.outcomes(bench.send(("sleep", "not a number")))
    assert (outcome.kind, outcome.text) == (Kind.FAILURE, "TypeError")


@processes
@pytest.mark.parametrize("function", ["cancel_itself", "cancel_plainly"])
async def test_a_job_that_lets_a_cancellation_out_harms_nothing_else(
    kind: Kinds, function: str, open_pool: Opener
) -> None:
    bench = await open_pool(kind, runner="tests.pools.runners:make_leaky")
    (outcome,) = await bench.outcomes(bench.send((function,)))
    assert outcome.kind is Kind.CANCELLED
    assert await bench.results(("echo", 1), ("asleep", 0.001)) == [1, 0.001]
    assert bench.watcher.exits == []


@every
async def test_more_than_the_capacity_waits_and_runs_later(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    assert await bench.results(*[("echo", i) for i in range(500)]) == list(range(500))


@alone
async def test_one_child_runs_its_works_in_order(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    numbers = bench.send(*[("asleep" if i % 7 == 0 else "echo", 0.001) for i in range(200)])
    await bench.outcomes(numbers)
    assert bench.watcher.order == numbers


@shared
@pytest.mark.parametrize("function", ["wait_for", "await_for"])
async def test_a_child_runs_as_many_at_a_time_as_its_capacity(
    kind: Kinds, function: str, open_pool: Opener, tmp_path: Path
) -> None:
    bench = await open_pool(kind, capacity=3)
    gate = str(tmp_path / "gate")
    numbers = bench.send(*[(function, gate) for _ in range(5)])
    assert {running.number for running in await bench.running(3)} == set(numbers[:3])
    touch(gate)
    await bench.outcomes(numbers)
    await bench.running(0)


@every
async def test_the_page_tells_what_runs_and_since_when(kind: Kinds, open_pool: Opener, tmp_path: Path) -> None:
    bench = await open_pool(kind)
    gate = str(tmp_path / "gate")
    first, second = bench.send(("await_for", gate), ("await_for", gate))
    running = await bench.running(2 if kind.shared else 1)
    assert min(each.number for each in running) == first
    touch(gate)
    await bench.outcomes([first, second])
    assert bench.pool.children[0].running() == []


@every
async def test_an_outcome_does_not_wait_for_the_long_task_behind_it(
    kind: Kinds, open_pool: Opener, tmp_path: Path
) -> None:
    bench = await open_pool(kind)
    gate = str(tmp_path / "gate")
    quick, slow = bench.send(("echo", 1), ("await_for" if kind is SOLO else "wait_for", gate))
    await bench.outcomes([quick])
    assert [running.number for running in await bench.running(1)] == [slow]
    touch(gate)
    await bench.outcomes([slow])


@processes
async def test_large_arguments_and_results_pass(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    size, text = await bench.results(("size", "x" * 20_000_000), ("big", 5_000_000))
    assert size == 20_000_000
    assert len(text) == 5_000_000


@processes
async def test_each_child_has_its_own_random_numbers(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind, children=2)
    await bench.all_ready()
    assert await bench.results(("randomness",), child=0) != await bench.results(("randomness",), child=1)


@every
async def test_the_runner_is_started_before_work_and_stopped_when_the_child_leaves(
    kind: Kinds, open_pool: Opener, tmp_path: Path
) -> None:
    started, stopped = tmp_path / "started", tmp_path / "stopped"
    bench = await open_pool(kind, arguments={"started": str(started), "stopped": str(stopped)})
    pid = bench.pool.children[0].pid
    assert str(pid) in started.read_text().split()
    assert not stopped.exists()
    if kind is SOLO:
        await bench.pool.stop()
    else:
        bench.pool.children[0].retire()
    await until(lambda: stopped.exists() and str(pid) in stopped.read_text().split(), "the runner was stopped")


@pytest.mark.parametrize("kind", PREFORK, ids=repr)
async def test_tasks_may_use_multiprocessing_and_subprocess(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    values = await bench.results(("multiply",), ("terminate_grandchild",), ("run_and_terminate",))
    assert values == [[1, 2, 3], -15, -15]


@processes
async def test_children_leave_the_signals_of_the_terminal_to_main(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    (found,) = await bench.results(("dispositions",))
    assert found["alive"]
    if not kind.shared:
        assert not found["threads"], "a child with threads cannot safely fork"
