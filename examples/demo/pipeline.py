"""The pipeline: what the demo sends, what it does to the worker meanwhile, and how it waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from celeriac import AsyncResult
from demo import tasks, trouble
from demo.app import app
from demo.display import Display
from demo.index import Index
from demo.ledger import Ledger
from demo.tally import Tally
from demo.tasks import Cycles
from demo.worker import WorkerProcess

__all__ = ["Call", "Pipeline", "Timings"]

LIMIT: Final = 300.0
"""Seconds for everything; the demo fails rather than to wait for longer."""
TICK: Final = 0.1
"""Seconds between two looks into the ledger."""
PINGS: Final = 300
FOLLOWED: Final = ("parse_module", "count_words")
"""Tasks with a callback."""


@dataclass(frozen=True)
class Call:
    """A task that the demo sent itself (callbacks are sent by the tasks' ends)."""

    name: str
    subject: str
    result: AsyncResult[Any]


@dataclass
class Timings:
    """Seconds, and how many tasks they are about."""

    start: float = 0.0
    send: float = 0.0
    pipeline: float = 0.0
    outage: float = 0.0
    round_trips: list[float] = field(default_factory=list)


class Pipeline:
    """Runs the demo's work.

    Args:
        worker: not started yet.
        root: the folder whose sources are indexed.
        folder: a folder for the demo's own files.
        display: shows it.
        most: index at most so many files.
    """

    def __init__(self, worker: WorkerProcess, root: Path, folder: Path, display: Display, most: int) -> None:
        self.worker = worker
        self.root = root
        self.folder = folder
        self.display = display
        self.most = most
        self.calls: list[Call] = []
        self.timings = Timings()
        self.cycles: Cycles | None = None
        self.ledger = Ledger()
        self.index = Index()
        self._news = asyncio.Event()

    @property
    def tally(self) -> Tally:
        """What has happened so far."""
        return self.display.tally

    async def run(self) -> None:
        """Do everything, and watch it."""
        self.index.create()
        self.display.stage("starting a worker")
        self.timings.start = await self.worker.start()
        async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            await self._index_everything(group)
            await self._meet_limits()
            await self._measure_round_trips()
            watching.cancel()
        self.look()

    def look(self) -> None:
        """Read the ledger and show it."""
        self.tally.add(self.ledger.new())
        self.display.update()

    async def _watch(self) -> None:
        while True:
            self.look()
            news, self._news = self._news, asyncio.Event()
            news.set()
            self.worker.check()
            await asyncio.sleep(TICK)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._news.wait()

    async def _index_everything(self, group: asyncio.TaskGroup) -> None:
        self.display.stage("discovering modules")
        discovered = await tasks.discover.adelay(str(self.root))
        self._sent("discover", str(self.root), discovered)
        paths = [*(await discovered.aget(timeout=LIMIT))[: self.most], trouble.write_broken_module(self.folder)]
        began = time.monotonic()
        await self._send(paths)
        self.timings.send = time.monotonic() - began
        self.display.note(f"sent {len(self.calls):,} tasks in {self.timings.send:.2f} s, in one round trip")
        self.display.stage("parsing and counting")
        disaster = group.create_task(self._kill_the_worker(len(self.calls) // 2))
        for call in self.calls:
            await call.result.aget(propagate=False)
        await disaster
        await self._until(self._callbacks_are_done)
        self.timings.pipeline = time.monotonic() - began

    async def _send(self, paths: list[str]) -> None:
        self.display.total = 1 + len(paths) * 4  # discover; and for each file two tasks with a callback each
        async with app.abatch():  # one round trip for all
            for path in paths:
                parsed = await tasks.parse_module.aapply_async((path,), link=tasks.index_module.s())
                self._sent("parse_module", path, parsed)
                counted = await tasks.count_words.aapply_async((path,), link=tasks.index_words.s())
                self._sent("count_words", path, counted)

    def _sent(self, name: str, subject: str, result: AsyncResult[Any]) -> None:
        self.calls.append(Call(name, subject, result))

    async def _kill_the_worker(self, after: int) -> None:
        """In the middle of everything: kill -9 the whole worker, and start another one."""
        await self._until(lambda: len(self.tally.ended) >= after)
        self.display.stage("the worker was killed")
        began, running = time.monotonic(), len(self.tally.running)
        await self.worker.kill()
        self.display.note(f"[bold red]kill -9[/] of the whole worker, with {running} tasks running, {after:,} done")
        await self.worker.start()
        self.timings.outage = time.monotonic() - began
        self.display.note(f"another worker is ready after {self.timings.outage:.1f} s")
        self.display.stage("parsing and counting")

    def _callbacks_are_done(self) -> bool:
        """Every success of the two tasks has its row in the index."""
        followed = sum(call.name in FOLLOWED for call in self.calls)
        failed = sum(entry.name in FOLLOWED for entry in self.tally.failures)
        self.display.total = len(self.calls) + followed - failed
        return len(self.tally.ended) >= self.display.total

    async def _meet_limits(self) -> None:
        """A search that ends itself when its soft time limit strikes, and a task that has to be ended."""
        self.display.stage("meeting time limits")
        self.display.total += 2
        searching = await tasks.import_cycles.adelay()
        self._sent("import_cycles", "", searching)
        stubborn = await tasks.never_gives_up.adelay()
        self._sent("never_gives_up", "", stubborn)
        self.cycles = await searching.aget(timeout=LIMIT)
        await stubborn.aget(timeout=LIMIT, propagate=False)

    async def _measure_round_trips(self) -> None:
        self.display.stage("measuring round trips")
        self.display.total += PINGS
        for number in range(PINGS):
            began = time.perf_counter()
            answered = await tasks.ping.adelay(number)
            await answered.aget(timeout=LIMIT)
            self.timings.round_trips.append(time.perf_counter() - began)
            self._sent("ping", str(number), answered)
