"""What the conformance tests of pools share: a watcher that remembers, and a way to make pools."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from celeriac.pools import create_pool
from celeriac.pools.pool import Child, ChildExit, Kind, Outcome, Pool, PoolOptions, Running, Work

RUNNER = "tests.pools.runners:make"
DEADLINE = 15.0
"""Seconds to wait for what must happen; passing takes milliseconds, also on a busy machine it takes less."""


async def until(condition: Callable[[], Any], what: str, deadline: float = DEADLINE) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline:g} s: {what}"
        await asyncio.sleep(0.002)


def touch(path: str) -> None:
    """Make the file, for which a task waits."""
    Path(path).touch()


class Watcher:
    """Remembers what it is told, in order."""

    def __init__(self) -> None:
        self.readied: list[Child] = []
        self.results: dict[int, Outcome] = {}
        self.order: list[int] = []
        self.given_back: list[int] = []
        self.exits: list[tuple[Child, ChildExit, list[Running]]] = []
        self.complaints: list[tuple[float, str]] = []

    def ready(self, child: Child) -> None:
        self.readied.append(child)

    def outcomes(self, child: Child, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            assert outcome.number not in self.results, "an outcome came twice"
            self.results[outcome.number] = outcome
            self.order.append(outcome.number)

    def returned(self, child: Child, numbers: list[int]) -> None:
        self.given_back += numbers

    def exited(self, child: Child, exit: ChildExit, running: list[Running]) -> None:  # noqa: A002 - as in PoolWatcher
        self.exits.append((child, exit, running))

    def broken(self, text: str) -> None:
        self.complaints.append((time.monotonic(), text))


class Bench:
    """A started pool and its watcher."""

    def __init__(self, pool: Pool, watcher: Watcher) -> None:
        self.pool = pool
        self.watcher = watcher
        self.numbers = 0

    def work(self, name: str, *arguments: Any, **fields: Any) -> Work:
        self.numbers += 1
        return Work(self.numbers, json.dumps([name, *arguments]).encode(), "queue", **fields)

    def send(self, *calls: tuple[Any, ...], child: int = 0) -> list[int]:
        works = [self.work(*call) for call in calls]
        self.pool.children[child].send(works)
        return [work.number for work in works]

    async def outcomes(self, numbers: Sequence[int], deadline: float = DEADLINE) -> list[Outcome]:
        await until(lambda: all(n in self.watcher.results for n in numbers), f"outcomes of {numbers}", deadline)
        return [self.watcher.results[number] for number in numbers]

    async def results(self, *calls: tuple[Any, ...], child: int = 0) -> list[Any]:
        outcomes = await self.outcomes(self.send(*calls, child=child))
        assert [outcome.kind for outcome in outcomes] == [Kind.SUCCESS] * len(calls), outcomes
        return [json.loads(outcome.result or b"null") for outcome in outcomes]

    async def running(self, count: int, child: int = 0) -> list[Running]:
        await until(lambda: len(self.pool.children[child].running()) == count, f"{count} running")
        return self.pool.children[child].running()

    async def all_ready(self) -> None:
        await until(lambda: all(child.ready for child in self.pool.children), "all children ready")


class Kinds:
    """A pool's name and start method, as tests are parametrized by."""

    def __init__(self, name: str, start_method: str) -> None:
        self.name = name
        self.start_method = start_method
        self.shared = name in ("threads", "asyncio")
        self.processes = name != "solo"

    def __repr__(self) -> str:
        return self.name if self.start_method == "forkserver" else f"{self.name}-{self.start_method}"


FORKSERVER = Kinds("prefork", "forkserver")
PREFORK = [FORKSERVER, Kinds("prefork", "spawn"), Kinds("prefork", "fork")]
SHARED = [Kinds("threads", "forkserver"), Kinds("asyncio", "forkserver")]
PROCESSES = [*PREFORK, *SHARED]
SOLO = Kinds("solo", "forkserver")
ALL = [*PROCESSES, SOLO]

Opener = Callable[..., Awaitable[Bench]]


def opener(cleanup: AsyncExitStack) -> Opener:
    """Return what makes and starts a pool that the test's end stops."""

    async def open_pool(kind: Kinds, children: int = 1, capacity: int = 4, **fields: Any) -> Bench:
        fields.setdefault("arguments", {})
        fields.setdefault("runner", RUNNER)
        options = PoolOptions(
            children=children,
            capacity=capacity if kind.shared else 1,
            start_method=kind.start_method,
            **fields,
        )
        bench = Bench(create_pool(kind.name, options), Watcher())
        cleanup.push_async_callback(bench.pool.stop)
        await bench.pool.start(bench.watcher)
        return bench

    return open_pool


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def is_alive(pid: int) -> bool:
    """The process exists and is no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"
