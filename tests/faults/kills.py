"""kill -9 of children and of whole workers under load (FAULTS 1, 2, 3, 6; acceptance line 8 of the first issue).

Run it long by hand:

    python -m tests.faults.kills --broker sqlite --seconds 180
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.apps import ledger as ledger_app
from tests.faults.ledger import Ledger
from tests.faults.processes import WorkerProcess, wait_until

__all__ = ["Kills", "run"]

RATE = 200.0
"""Tasks a second that are sent."""
TASK = 0.02
"""Seconds that each takes."""
CHILD_EVERY, WORKER_EVERY = 1.0, 10.0


@dataclass
class Kills:
    """What a run found."""

    sent: int = 0
    lost: set[str] = field(default_factory=set)
    ghosts: set[str] = field(default_factory=set)
    unexplained: set[str] = field(default_factory=set)
    repeated: int = 0
    killed_children: int = 0
    killed_workers: int = 0
    poison_starts: int = 0
    dead_letters: int = 0
    seconds: float = 0.0
    drained_after: float = 0.0

    def verdict(self) -> str:
        """One line for people."""
        return (
            f"{self.sent} sent, {len(self.lost)} lost, {len(self.ghosts)} ghosts, {self.repeated} repeated of which "
            f"{len(self.unexplained)} unexplained; {self.killed_children} children and {self.killed_workers} workers killed; "
            f"poison ran {self.poison_starts} times, {self.dead_letters} dead; drained {self.drained_after:.1f} s after the last"
        )


def run(environment: dict[str, str], folder: Path, seconds: float, seed: int = 1, workers: int = 1) -> Kills:
    """Send, kill, drain, judge."""
    found = Kills(seconds=seconds)
    chance = random.Random(seed)
    ledger = Ledger(folder / "ledger")
    environment = {**environment, "LEDGER": str(ledger.path)}
    fleet = [_start(environment, folder, number) for number in range(workers)]
    for worker in fleet:
        worker.ready()
    killed: set[int] = set()
    app = ledger_app.app
    with _environment(environment):
        app.conf.refresh()
        poison = ledger_app.poison.delay().id
        producer = threading.Thread(target=_produce, args=(ledger, seconds, found))
        producer.start()
        start = time.monotonic()
        next_child, next_worker, number = start + CHILD_EVERY, start + WORKER_EVERY, workers
        while producer.is_alive():
            time.sleep(0.02)
            now = time.monotonic()
            if now >= next_worker:
                next_worker += WORKER_EVERY
                which = chance.randrange(len(fleet))
                killed.update(process.pid for process in fleet[which].tree())
                fleet[which].kill()
                fleet[which] = _start(environment, folder, number)
                number, found.killed_workers = number + 1, found.killed_workers + 1
            elif now >= next_child:
                next_child += CHILD_EVERY
                found.killed_children += _kill_child(chance.choice(fleet), chance, killed)
        producer.join()
        found.drained_after = wait_until(lambda: not ledger.lost(), 90, "everything that was confirmed is done")
        wait_until(lambda: _dead(environment, app) >= 1, 60, "the poison is a dead letter")
        found.dead_letters = _dead(environment, app)
        for worker in fleet:
            worker.end()
        app.connections.close()
    _judge(found, ledger, killed, poison)
    return found


def _judge(found: Kills, ledger: Ledger, killed: set[int], poison: str) -> None:
    found.sent, found.lost = len(ledger.confirmed), ledger.lost()
    found.ghosts = ledger.ghosts()
    found.poison_starts = ledger.ids("start")[poison]
    repeated = ledger.repeated() - {poison}
    found.repeated = len(repeated)
    runs: dict[str, list[int]] = {}
    for kind, task_id, pid, _ in ledger.events():
        if kind == "start" and task_id in repeated:
            runs.setdefault(task_id, []).append(int(pid))
    # A task may run again only if the process that ran it before was killed.
    found.unexplained = {task_id for task_id, pids in runs.items() if not set(pids[:-1]) <= killed}


def _start(environment: dict[str, str], folder: Path, number: int) -> WorkerProcess:
    return WorkerProcess(
        "tests.apps.ledger", environment, "-c", "8", "-n", f"w{number}@here", log=folder / f"worker-{number}.log"
    )


def _kill_child(worker: WorkerProcess, chance: random.Random, killed: set[int]) -> int:
    children = worker.children()
    if not children:
        return 0
    child = chance.choice(children)
    killed.add(child.pid)
    with contextlib.suppress(psutil.NoSuchProcess):
        child.send_signal(signal.SIGKILL)
    return 1


def _produce(ledger: Ledger, seconds: float, found: Kills) -> None:
    start = time.monotonic()
    sent = 0
    while (now := time.monotonic()) - start < seconds:
        if sent < (now - start) * RATE:
            ledger.confirmed.add(ledger_app.work.delay(TASK).id)
            sent += 1
        else:
            time.sleep(0.001)


def _dead(environment: dict[str, str], app: Any) -> int:
    import asyncio

    async def count() -> int:
        store = app.connections.make()
        await store.open()
        try:
            return len(await store.dead_letters())
        finally:
            await store.close()

    return asyncio.run(count())


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Any:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> None:
    """Run it by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", choices=("sqlite", "redis"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        if arguments.broker == "redis":
            from tests.servers import redis_server

            server = stack.enter_context(redis_server(appendonly=True))
            environment = {"CELERIAC_BROKER_URL": str(server), "CELERIAC_RESULT_BACKEND": str(server)}
        else:
            environment = {"CELERIAC_STORE": str(folder / "store.sqlite3")}
        found = run(environment, folder, arguments.seconds, arguments.seed)
        print(found.verdict())
        if found.lost or found.unexplained or found.ghosts:
            for log in sorted(folder.glob("*.log")):
                print("==", log.name, log.read_text()[-3000:])
            raise SystemExit(1)


if __name__ == "__main__":
    main()
