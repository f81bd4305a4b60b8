"""Chains over a broker and a backend apart while their workers are killed: the whole way, with processes."""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.processes import WorkerProcess, wait_until
from tests.servers import redis_server

from . import confirming

LENGTH = 5
SECONDS = float(os.environ.get("CHAINS_SECONDS", "4"))
"""How long workers are killed; longer by hand: CHAINS_SECONDS=120."""
RATE = 30.0
"""Chains that begin in a second."""


class Run(NamedTuple):
    """A line of the ledger."""

    root: str
    number: int
    task_id: str
    pid: int


class Chains:
    """Two servers, workers, and what ran."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.roots: list[str] = []
        self.workers: list[WorkerProcess] = []

    def worker(self) -> WorkerProcess:
        number = len(self.workers)
        log = self.folder / f"{number}.log"
        made = WorkerProcess("tests.stores.confirming", self.environment, "-c", "2", "-n", f"w{number}@here", log=log)
        self.workers.append(made)
        return made

    def begin(self) -> None:
        step = confirming.step
        self.roots.append(step.apply_async((1,), chain=[dict(step.s()) for _ in range(LENGTH - 1)]).id)

    def runs(self) -> list[Run]:
        path = Path(self.environment["CHAINS_LEDGER"])
        lines = path.read_text().splitlines() if path.exists() else []
        split = [line.split() for line in lines]
        return [Run(root, int(number), task_id, int(pid)) for root, number, task_id, pid in split]

    def unfinished(self) -> set[str]:
        return set(self.roots) - {run.root for run in self.runs() if run.number == LENGTH}


@pytest.fixture(params=["confirming", "atomic", "rabbitmq"])
def chains(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chains]:
    """The broker on one server, the backend on another one."""
    with ExitStack() as stack:
        backend = str(stack.enter_context(redis_server()))
        if request.param == "rabbitmq":
            broker = request.getfixturevalue("rabbitmq").virtual_host()
        else:
            broker = str(stack.enter_context(redis_server()))
        if request.param == "confirming":
            broker = broker.replace("redis", confirming.NAME, 1)
        environment = {
            "CELERIAC_BROKER_URL": broker,
            "CELERIAC_RESULT_BACKEND": backend,
            "CELERIAC_WORKER_LEASE": "1.5",
            "CELERIAC_TASK_DELIVERY_LIMIT": "1000",
            "CHAINS_LEDGER": str(tmp_path / "ledger"),
            "CONFIRMING_PAUSE": "0.005",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        confirming.app.conf.refresh()
        confirming.app.connections.close()  # as the current app it may have served others before
        made = Chains(tmp_path, environment)
        yield made
        for worker in made.workers:
            worker.end()
        confirming.app.connections.close()
    confirming.app.conf.refresh()


@pytest.mark.slow
def test_chains_whose_workers_are_killed_lose_no_step_and_have_one_of_each(chains: Chains) -> None:
    chance = random.Random(7)
    alive = [chains.worker().ready(), chains.worker().ready()]
    start = time.monotonic()
    next_kill, kills = start + 0.3, 0
    while (now := time.monotonic()) < start + SECONDS:
        if len(chains.roots) < (now - start) * RATE:
            chains.begin()
        elif now >= next_kill:
            victim = alive.pop(chance.randrange(len(alive)))
            victim.kill()
            kills += 1
            alive.append(chains.worker())
            next_kill = now + chance.uniform(0.2, 0.8)
        else:
            time.sleep(0.002)
    wait_until(lambda: not chains.unfinished(), 60, "every chain has ended")
    runs = chains.runs()
    steps: dict[tuple[str, int], set[str]] = {}
    for run in runs:
        steps.setdefault((run.root, run.number), set()).add(run.task_id)
    again = sum(times > 1 for times in Counter(run.task_id for run in runs).values())
    print(f"{len(chains.roots)} chains, {kills} kills, {again} of {len(steps)} tasks ran again", file=sys.stderr)
    assert steps.keys() == {(root, number) for root in chains.roots for number in range(1, LENGTH + 1)}
    assert {step: ids for step, ids in steps.items() if len(ids) > 1} == {}
