"""Solo enforces time limits itself and outlives its tasks."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import AsyncExitStack

import pytest

from celeriac.pools.pool import Kind
from tests.pools.conformance.harness import SOLO, Bench, Opener, opener, until

functions = pytest.mark.parametrize("function", ["sleep", "spin", "asleep", "group"])


async def limited(bench: Bench, function: str, soft: float | None, hard: float | None) -> tuple[Kind, str, float]:
    work = bench.work(function, 20, soft=soft, hard=hard)
    start = time.monotonic()
    bench.pool.children[0].send([work])
    (outcome,) = await bench.outcomes([work.number])
    return outcome.kind, outcome.text, time.monotonic() - start


@functions
async def test_a_soft_limit_is_raised_in_the_task(function: str, open_pool: Opener) -> None:
    bench = await open_pool(SOLO)
    assert bench.pool.enforces_limits
    kind, text, passed = await limited(bench, function, 0.1, None)
    assert (kind, text) == (Kind.FAILURE, "SoftTimeLimitExceeded")
    assert 0.1 <= passed < 5


@functions
@pytest.mark.parametrize("soft", [None, 5.0])
async def test_a_hard_limit_ends_the_task_and_says_so(function: str, soft: float | None, open_pool: Opener) -> None:
    bench = await open_pool(SOLO)
    kind, _, passed = await limited(bench, function, soft, 0.1)
    outcome = bench.watcher.results[1]
    assert kind is Kind.CANCELLED
    assert outcome.text == "over its hard time limit of 0.1 seconds"
    assert 0.1 <= passed < 5


async def test_limits_do_not_strike_a_task_that_keeps_them(open_pool: Opener) -> None:
    bench = await open_pool(SOLO)
    works = [bench.work("sleep", 0.002, soft=0.05, hard=0.06) for _ in range(40)]
    bench.pool.children[0].send(works)
    outcomes = await bench.outcomes([work.number for work in works])
    assert {outcome.kind for outcome in outcomes} == {Kind.SUCCESS}
    await asyncio.sleep(0.1)  # a timer that was left behind would strike now
    assert await bench.results(("echo", 1)) == [1]


def test_limits_of_plain_functions_hold_outside_of_the_main_thread_too() -> None:
    found = []

    async def run() -> None:
        async with AsyncExitStack() as cleanup:
            bench = await opener(cleanup)(SOLO)
            found.append((await limited(bench, "sleep", 0.05, None))[:2])
            found.append((await limited(bench, "sleep", None, 0.05))[:2])

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    thread.join()
    assert found == [
        (Kind.FAILURE, "SoftTimeLimitExceeded"),
        (Kind.CANCELLED, "over its hard time limit of 0.05 seconds"),
    ]


@pytest.mark.parametrize("function", ["soft_exit", "async_exit"])
async def test_a_task_that_exits_is_reported_as_lost_and_main_lives_on(function: str, open_pool: Opener) -> None:
    bench = await open_pool(SOLO)
    number, waiting = bench.send((function, 3), ("echo", 1))
    await until(lambda: bench.watcher.exits, "the exit")
    _, ending, running = bench.watcher.exits[0]
    assert ending.code == 3
    assert "sys.exit(3)" in ending.text
    assert [each.number for each in running] == [number]
    assert bench.watcher.given_back == [waiting]
    assert await bench.results(("echo", 2)) == [2]


async def test_a_coroutine_is_cancelled_and_interrupted_on_request(open_pool: Opener) -> None:
    bench = await open_pool(SOLO)
    child = bench.pool.children[0]
    (number,) = bench.send(("asleep", 60))
    await bench.running(1)
    child.cancel(number)
    (outcome,) = await bench.outcomes([number])
    assert (outcome.kind, outcome.text) == (Kind.CANCELLED, "CancelledError")
    (number,) = bench.send(("asleep", 60))
    await bench.running(1)
    child.interrupt(number)
    (outcome,) = await bench.outcomes([number])
    assert outcome.text == "SoftTimeLimitExceeded"


async def test_stopping_cancels_what_runs(open_pool: Opener) -> None:
    bench = await open_pool(SOLO)
    bench.send(("asleep", 60))
    await bench.running(1)
    await bench.pool.stop()
    assert bench.pool.children[0].running() == []
