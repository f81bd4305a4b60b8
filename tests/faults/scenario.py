"""What the scenarios share: a place to run in (broker, folder, ledger), a producer, and a verdict.

A scenario is a function of a place that makes faults happen and returns a verdict. It is run long by hand

    python -m tests.faults.kills --broker redis --seconds 180

and short by pytest. The verdict is judged by the ledger, by the results, and by what is left in the broker, never by
logs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from celeriac.exceptions import OperationalError
from celeriac.ids import new_task_id
from tests.apps import ledger as ledger_app
from tests.faults.ledger import Ledger
from tests.faults.processes import WorkerProcess, wait_until
from tests.servers import RedisServer, redis_server

__all__ = ["Place", "Producer", "Verdict", "by_hand", "place"]

_LOG_TAIL: Final = 4000
"""Characters of each worker's log that a failed run prints."""


class Verdict:
    """What a run found: facts for people, and problems that make it fail."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.facts: dict[str, Any] = {}
        self.problems: list[str] = []

    def note(self, **facts: Any) -> None:
        """Remember facts; underscores become spaces."""
        self.facts |= facts

    def expect(self, holds: bool, otherwise: str) -> None:
        """A problem unless it holds."""
        if not holds:
            self.problems.append(otherwise)

    def expect_soon(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """A problem unless it holds within so many seconds."""
        try:
            wait_until(condition, timeout, what)
        except AssertionError as error:
            self.problems.append(str(error))

    def __str__(self) -> str:
        facts = ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in self.facts.items())
        return f"{self.name}: {'FAILED: ' + '; '.join(self.problems) if self.problems else 'ok'} ({facts})"

    def check(self) -> Verdict:
        """Raise when there are problems.

        Raises:
            AssertionError: with the line that a run by hand prints.
        """
        assert not self.problems, str(self)
        return self


class Place:
    """Where a scenario runs.

    Attributes:
        broker: ``sqlite`` or ``redis``.
        folder: for files; removed afterwards.
        environment: for worker processes; set in this process too.
        server: the Redis server, None with SQLite.
        ledger: what the tasks write.
        app: the ledger app, configured for this place.
    """

    def __init__(self, broker: str, folder: Path, environment: dict[str, str], server: RedisServer | None) -> None:
        self.broker = broker
        self.folder = folder
        self.environment = environment
        self.server = server
        self.ledger = Ledger(folder / "ledger")
        self.app = ledger_app.app
        self._workers: list[WorkerProcess] = []

    @property
    def redis(self) -> RedisServer:
        """The server of a scenario that needs Redis."""
        assert self.server is not None, "this scenario runs on Redis"
        return self.server

    def worker(
        self, *arguments: str, app: str = "tests.apps.ledger", ready: bool = True, **environment: str
    ) -> WorkerProcess:
        """Start a worker; it is ended with the place."""
        number = len(self._workers)
        started = WorkerProcess(
            app,
            {**self.environment, **environment},
            "-n",
            f"w{number}@here",
            *arguments,
            log=self.folder / f"worker-{number}.log",
        )
        self._workers.append(started)
        return started.ready() if ready else started

    @contextlib.contextmanager
    def also(self, values: dict[str, str]) -> Iterator[None]:
        """More environment for this process and for the workers that are started within."""
        with _environment(values):
            self.environment |= values
            self.app.conf.refresh()
            try:
                yield
            finally:
                for name in values:
                    del self.environment[name]
        self.app.conf.refresh()

    def end(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.end()

    def logs(self) -> str:
        """The ends of all workers' logs."""
        tails = [f"== {worker.log.name}\n{worker.log.read_text()[-_LOG_TAIL:]}" for worker in self._workers]
        return "\n".join(tails)

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """Ask an asynchronous store of the app: ``place.ask(lambda store: store.dead_letters())``."""

        async def run() -> Any:
            store = self.app.connections.make()
            await store.open()
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def dead(self) -> list[Any]:
        """The dead letters."""
        found: list[Any] = self.ask(lambda store: store.dead_letters())
        return found

    def counts(self, queue: str = "celery") -> Any:
        """How many messages of a queue are where."""
        return self.ask(lambda store: store.counts([queue]))[queue]

    def settled(self, queue: str = "celery") -> bool:
        """Nothing of a queue is ready, held or in flight."""
        counts = self.counts(queue)
        return counts.ready == counts.held == counts.in_flight == 0

    def documents(self, ids: list[str]) -> dict[str, dict[str, Any] | None]:
        """The stored result documents by task id."""
        raw = self.app.connections.sync().results(ids)
        return {
            each: None if found is None else msgspec.json.decode(found) for each, found in zip(ids, raw, strict=True)
        }

    def judge(
        self, verdict: Verdict, patience: float = 60.0, repeated: int | None = None, results: bool = True
    ) -> None:
        """The verdicts I1, I2, I3, I5 and I7 of every run.

        Args:
            verdict: gets the facts and problems.
            patience: seconds until what was confirmed must be done.
            repeated: how many tasks may have started more than once; None is any number.
            results: each confirmed task must have its SUCCESS.
        """
        ledger = self.ledger
        begun = time.monotonic()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not ledger.lost(), patience, "everything that was confirmed is done")
        drained = time.monotonic() - begun
        with contextlib.suppress(AssertionError):
            wait_until(self.settled, patience, "nothing is left in the broker")
        lost, ghosts, again = ledger.lost(), ledger.ghosts(), ledger.repeated()
        verdict.note(
            sent=len(ledger.confirmed), lost=len(lost), ghosts=len(ghosts), repeated=len(again), drained_after=drained
        )
        verdict.expect(not lost, f"lost: {sorted(lost)[:5]}")
        verdict.expect(not ghosts, f"ended, but never sent: {sorted(ghosts)[:5]}")
        if repeated is not None:
            verdict.expect(
                len(again) <= repeated, f"{len(again)} repeated, at most {repeated} may be: {sorted(again)[:5]}"
            )
        counts = self.counts()
        verdict.expect(self.settled(), f"left in the broker: {counts}")
        if results:
            documents = self.documents(sorted(ledger.confirmed))
            wrong = [each for each, found in documents.items() if found is None or found["status"] != "SUCCESS"]
            verdict.expect(not wrong, f"{len(wrong)} without their SUCCESS: {wrong[:5]}")


class Producer(threading.Thread):
    """Sends the ledger's ``work`` at a steady rate until its time is over; what raised is attempted, not confirmed.

    Attributes:
        refused: calls of ``delay`` that raised.
        slowest: seconds of the slowest call.
    """

    def __init__(self, ledger: Ledger, seconds: float, rate: float, task: float = 0.02) -> None:
        super().__init__(name="producer")
        self._ledger, self._seconds, self._rate, self._task = ledger, seconds, rate, task
        self.refused = 0
        self.slowest = 0.0

    def run(self) -> None:
        start, sent = time.monotonic(), 0
        while (now := time.monotonic()) - start < self._seconds:
            if sent >= (now - start) * self._rate:
                time.sleep(0.001)
                continue
            sent += 1
            self.send()

    def send(self) -> None:
        """Send one."""
        task_id = new_task_id()
        self._ledger.attempted.add(task_id)
        begun = time.monotonic()
        try:
            ledger_app.work.apply_async((self._task,), task_id=task_id)
        except OperationalError:
            self.refused += 1
        else:
            self._ledger.confirmed.add(task_id)
        self.slowest = max(self.slowest, time.monotonic() - begun)


@contextlib.contextmanager
def place(broker: str, folder: Path, **settings: Any) -> Iterator[Place]:
    """Make a place; everything in it ends with the block.

    Args:
        broker: ``sqlite``, ``redis`` (with an append-only file that is synchronized at every write).
        folder: an empty one.
        settings: of the app, by name, given to all processes by the environment.
    """
    with contextlib.ExitStack() as stack:
        server = None
        if broker == "redis":
            server = stack.enter_context(redis_server(appendonly=True, enable_debug_command="yes"))
            environment = {"CELERIAC_BROKER_URL": str(server), "CELERIAC_RESULT_BACKEND": str(server)}
        else:
            environment = {"CELERIAC_STORE": str(folder / "store.sqlite3")}
        environment |= {f"CELERIAC_{name.upper()}": str(value) for name, value in settings.items()}
        environment["LEDGER"] = str(folder / "ledger")
        stack.enter_context(_environment(environment))
        made = Place(broker, folder, environment, server)
        made.app.conf.refresh()
        stack.callback(made.app.connections.close)
        stack.callback(made.end)
        yield made


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def by_hand(
    description: str | None,
    scenarios: dict[str, Callable[[Place, float], Verdict]],
    settings: dict[str, Any] | None = None,
) -> None:
    """Run scenarios by hand: ``--broker``, ``--seconds``, ``--only``; one line for each.

    Args:
        description: of the module.
        scenarios: by name; each gets the place and the seconds that it is to last.
        settings: see :func:`place`.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", choices=("sqlite", "redis"), default="redis")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", choices=sorted(scenarios))
    parser.add_argument("--logs", action="store_true", help="print the workers' logs of good runs too")
    arguments = parser.parse_args()
    failed = False
    for name, scenario in scenarios.items():
        if arguments.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as folder, place(arguments.broker, Path(folder), **(settings or {})) as made:
            try:
                verdict = scenario(made, arguments.seconds)
            except BaseException:
                print(made.logs())
                raise
            print(verdict, flush=True)
            failed = failed or bool(verdict.problems)
            if verdict.problems or arguments.logs:
                print(made.logs())
    raise SystemExit(int(failed))


def _short(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
