"""What dies is noticed at once, reported exactly, and replaced; and nothing outlives its parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sized
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from celeriac.pools.pool import Kind, Work
from tests.pools.conformance.harness import (
    FORKSERVER,
    PREFORK,
    PROCESSES,
    SHARED,
    Bench,
    Kinds,
    Opener,
    descriptors,
    is_alive,
    until,
)

processes = pytest.mark.parametrize("kind", PROCESSES, ids=repr)
prefork = pytest.mark.parametrize("kind", PREFORK, ids=repr)


async def replaced(bench: Bench, readied: int = 2) -> None:
    await until(lambda: len(bench.watcher.readied) >= readied, "a replacement is ready")
    assert await bench.results(("echo", "again")) == ["again"]


@prefork
async def test_a_killed_child_is_reported_with_what_had_started_and_what_had_not(
    kind: Kinds, open_pool: Opener, tmp_path: Path
) -> None:
    bench = await open_pool(kind)
    child = bench.pool.children[0]
    numbers = bench.send(("echo", 1), ("echo", 2), ("wait_for", str(tmp_path / "never")), ("echo", 3), ("echo", 4))
    await bench.outcomes(numbers[:2])
    await bench.running(1)
    os.kill(child.pid, signal.SIGKILL)
    await until(lambda: bench.watcher.exits, "the child's death")
    dead, ending, running = bench.watcher.exits[0]
    assert dead is child
    assert (ending.pid, ending.signal, ending.code, ending.retired) == (child.pid, signal.SIGKILL, None, False)
    assert [each.number for each in running] == numbers[2:3]
    assert child.running() == running
    assert set(bench.watcher.results) == set(numbers[:2])
    await replaced(bench)


@prefork
async def test_what_ended_before_a_death_without_its_outcome_being_sent_had_started(
    kind: Kinds, open_pool: Opener
) -> None:
    bench = await open_pool(kind)
    numbers = bench.send(*[("echo", i) for i in range(20)], ("die", 9), ("echo", 99))
    await until(lambda: bench.watcher.exits, "the child's death")
    running = {each.number for each in bench.watcher.exits[0][2]}
    assert numbers[-2] in running
    assert running | set(bench.watcher.results) == set(numbers[:-1])
    assert running.isdisjoint(bench.watcher.results)


@pytest.mark.parametrize("kind", SHARED, ids=repr)
async def test_all_that_runs_in_a_shared_child_is_reported_at_its_death(
    kind: Kinds, open_pool: Opener, tmp_path: Path
) -> None:
    bench = await open_pool(kind, capacity=3)
    numbers = bench.send(*[("await_for", str(tmp_path / "never")) for _ in range(5)])
    await bench.running(3)
    bench.pool.children[0].kill()
    await until(lambda: bench.watcher.exits, "the child's death")
    assert [each.number for each in bench.watcher.exits[0][2]] == numbers[:3]
    await replaced(bench)


@processes
@pytest.mark.parametrize(
    ("call", "code", "signal_number"),
    [
        (("hard_exit", 0), 0, None),
        (("hard_exit", 7), 7, None),
        (("soft_exit", 3), 3, None),
        (("async_exit", 4), 4, None),
        (("segfault",), None, signal.SIGSEGV),
        (("die", int(signal.SIGABRT)), None, signal.SIGABRT),
    ],
    ids=str,
)
async def test_a_task_that_ends_its_process_is_reported_with_how_it_did(
    kind: Kinds, call: tuple[Any, ...], code: int | None, signal_number: int | None, open_pool: Opener
) -> None:
    bench = await open_pool(kind)
    assert await bench.results(("echo", 1)) == [1]
    (number,) = bench.send(call)
    await until(lambda: bench.watcher.exits, "the child's death")
    _, ending, running = bench.watcher.exits[0]
    assert (ending.code, ending.signal, ending.retired) == (code, signal_number, False)
    assert [each.number for each in running] == [number]
    await replaced(bench)


async def test_outcomes_before_sys_exit_are_not_lost(open_pool: Opener) -> None:
    bench = await open_pool(FORKSERVER)
    numbers = bench.send(("echo", 1), ("echo", 2), ("soft_exit", 0), ("echo", 3))
    await until(lambda: bench.watcher.exits, "the child's death")
    assert set(bench.watcher.results) == set(numbers[:2])
    assert [each.number for each in bench.watcher.exits[0][2]] == numbers[2:3]


@processes
async def test_a_stopped_child_does_not_block_main(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    child = bench.pool.children[0]
    loop = asyncio.get_running_loop()
    assert child.pid > 0
    os.kill(child.pid, signal.SIGSTOP)
    payload = json.dumps(["size", "x" * 50_000_000]).encode()
    longest = 0.0
    child.send([Work(1_000, payload, "queue")])
    for _ in range(100):
        before = loop.time()
        await asyncio.sleep(0.001)
        longest = max(longest, loop.time() - before)
    assert longest < 0.5
    child.kill()
    await until(lambda: bench.watcher.exits, "the child's death")
    assert bench.watcher.exits[0][2] == []
    await replaced(bench)


@processes
async def test_a_stopped_child_goes_on_where_it_was(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    child = bench.pool.children[0]
    assert child.pid > 0
    os.kill(child.pid, signal.SIGSTOP)
    (number,) = bench.send(("size", "x" * 3_000_000))
    child.recall()
    os.kill(child.pid, signal.SIGCONT)
    await until(lambda: number in bench.watcher.results or number in bench.watcher.given_back, "the child goes on")


@prefork
async def test_a_grandchild_that_holds_the_socket_hides_no_death(
    kind: Kinds, open_pool: Opener, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    bench = await open_pool(kind)
    await bench.results(("fork_holder", str(release)))
    (number,) = bench.send(("sleep", 600))
    await bench.running(1)
    start = time.monotonic()
    bench.pool.children[0].kill()
    await until(lambda: bench.watcher.exits, "the child's death")
    assert time.monotonic() - start < 1.0
    assert [each.number for each in bench.watcher.exits[0][2]] == [number]
    release.touch()


async def test_a_child_that_closes_its_socket_is_killed_and_replaced(open_pool: Opener) -> None:
    bench = await open_pool(FORKSERVER)
    (number,) = bench.send(("close_socket",))
    await until(lambda: bench.watcher.exits, "the child's death")
    assert [each.number for each in bench.watcher.exits[0][2]] == [number]
    await replaced(bench)


async def test_a_result_that_is_cut_off_by_a_death_is_no_outcome(open_pool: Opener) -> None:
    bench = await open_pool(FORKSERVER)
    child: Any = bench.pool.children[0]
    (number,) = bench.send(("big", 10_000_000))
    # Main does not read for a while, so that the child stops in the midst of its frame.
    loop = asyncio.get_running_loop()
    loop.remove_reader(child._channel._sock.fileno())
    await until(lambda: _waits_for_room(child.pid), "the child waits for room in its socket")
    os.kill(child.pid, signal.SIGKILL)
    await until(lambda: bench.watcher.exits, "the child's death")
    assert number not in bench.watcher.results
    assert [each.number for each in bench.watcher.exits[0][2]] == [number]
    await replaced(bench)


def _waits_for_room(pid: int) -> bool:
    return Path(f"/proc/{pid}/wchan").read_text() in ("sock_alloc_send_pskb", "unix_stream_sendmsg") or (
        Path(f"/proc/{pid}/syscall").read_text().split()[0] == "44"  # sendto on x86-64
    )


@prefork
async def test_the_death_of_the_fork_server_takes_its_children_and_the_pool_goes_on(
    kind: Kinds, open_pool: Opener
) -> None:
    bench = await open_pool(kind, children=2)
    await bench.all_ready()
    (number,) = bench.send(("sleep", 600))
    await bench.running(1)
    pool: Any = bench.pool
    os.kill(pool._server._pid, signal.SIGKILL)
    await until(lambda: len(bench.watcher.exits) == 2, "both children's deaths")
    assert [each.number for _, _, running in bench.watcher.exits for each in running] == [number]
    await until(lambda: len(bench.watcher.readied) == 4, "two replacements")
    await bench.all_ready()
    assert await bench.results(("echo", 1), child=0) == [1]
    assert await bench.results(("echo", 2), child=1) == [2]


@processes
async def test_server_and_children_die_with_main(kind: Kinds, tmp_path: Path) -> None:
    release = tmp_path / "release"
    command = [sys.executable, "-m", "tests.pools.conformance.victim", kind.name, kind.start_method, str(release)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:  # noqa: ASYNC220 - it is to be killed
        assert victim.stdout is not None
        pids = [int(pid) for pid in victim.stdout.readline().split()]
        assert len(pids) == 3
        assert all(is_alive(pid) for pid in pids)
        victim.kill()
        victim.wait()
        await until(lambda: not any(is_alive(pid) for pid in pids), "server and children are gone", 2.0)
        release.touch()


@pytest.mark.slow
async def test_two_hundred_deaths_leak_nothing(open_pool: Opener) -> None:
    bench = await open_pool(FORKSERVER)
    pool: Any = bench.pool
    server = f"/proc/{pool._server._pid}/fd"
    before = descriptors() + len(os.listdir(server)) + len(asyncio.all_tasks())
    for deaths in range(1, 201):
        await until(lambda: bench.pool.children[0].ready, "a child is ready")
        bench.send(("die", 9))
        await until(partial(_has, bench.watcher.exits, deaths), "the child's death")
    await replaced(bench, 201)
    await until(
        lambda: descriptors() + len(os.listdir(server)) + len(asyncio.all_tasks()) <= before, "no more than before", 2.0
    )
    assert {ending.signal for _, ending, _ in bench.watcher.exits} == {9}
    assert bench.watcher.complaints == []


@processes
async def test_stopping_kills_everything_and_frees_everything(kind: Kinds, open_pool: Opener) -> None:
    before = descriptors()
    bench = await open_pool(kind, children=2)
    await bench.all_ready()
    bench.send(("sleep", 600))
    await bench.running(1)
    pool: Any = bench.pool
    pids = [pool._server._pid, *(child.pid for child in pool.children)]
    await bench.pool.stop()
    await bench.pool.stop()
    assert not any(is_alive(pid) for pid in pids)
    assert descriptors() == before
    assert bench.watcher.exits == []


@processes
@pytest.mark.slow
async def test_an_idle_pool_uses_no_processor_time(kind: Kinds, open_pool: Opener) -> None:
    bench = await open_pool(kind)
    await bench.results(("echo", 1))
    pool: Any = bench.pool
    pids = [pool._server._pid, pool.children[0].pid]
    await until(lambda: all(_sleeps(pid) for pid in pids), "all are asleep")
    before = [_switches(pid) for pid in pids]
    await asyncio.sleep(0.4)
    assert [_switches(pid) for pid in pids] == before


def _sleeps(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def _switches(pid: int) -> int:
    """How often any thread of the process was put to sleep or woken."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        for line in Path(f"/proc/{pid}/task/{thread}/status").read_text().splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total


async def test_outcomes_that_arrived_before_a_death_are_reported_before_it(open_pool: Opener) -> None:
    bench = await open_pool(FORKSERVER)
    for _ in range(20):
        readied = len(bench.watcher.readied)
        first, last = bench.send(("echo", 1), ("soft_exit", 1))
        await until(lambda: bench.watcher.exits, "the child's death")
        assert bench.watcher.results[first].kind is Kind.SUCCESS
        assert [each.number for each in bench.watcher.exits.pop()[2]] == [last]
        await until(partial(_has, bench.watcher.readied, readied + 1), "a replacement")


def _has(things: Sized, count: int) -> bool:
    return len(things) >= count
