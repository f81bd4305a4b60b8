"""One run of one scenario: what it runs on, what it can do, and how it is judged."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import psutil

from celeriac.stores.store import Outgoing
from tests.apps import ledger as ledger_app
from tests.faults.brokers import Broker, Server, broker
from tests.faults.catalogue import Cell
from tests.faults.ledger import Ledger
from tests.faults.pools import POOLS, SLOTS
from tests.faults.processes import WorkerProcess, wait_until
from tests.proxy import Proxy, proxy_to
from tests.faults.senders import Figures, SenderProcess
from tests.faults.systems import CELERIAC, System
from tests.faults.verdict import Verdict
from tests.faults.voice import listen

__all__ = ["Run", "Size", "run_cell", "run_scenario", "server_of"]

RATE: Final = 120.0
"""Tasks a second that a load sends; one worker can do 200 of them, two 400."""
TASK: Final = 0.02
"""Seconds that a task of the load takes."""
READ_AHEAD: Final = 4
"""Messages for each slot that a worker may have besides what runs."""
RECOVERY: Final = 5.0
"""Seconds of I4 unless a fault says otherwise."""
LEASE: Final = 3.0
"""Seconds of a lease in these runs (15 by default), so that they do not wait for long."""
MEMORY: Final = 1.10
"""Times the memory of before that a worker may have afterwards."""
MEMORY_NOISE: Final = 12 * 1024 * 1024
"""Bytes that the allocator keeps of a busy time, whatever it was."""
DESCRIPTORS: Final = 2
"""Descriptors, threads and connections that may be more than before."""
CALM: Final = 6.0
"""Seconds for connections that are not needed any more to be closed."""
LINES_A_SECOND: Final = 5.0
"""Of warnings and errors, while a fault lasts."""
LOUD_LINES: Final = 60
"""Lines of warnings and errors of each worker's log that a failed run prints."""
LAST_LINES: Final = 8
"""Lines of any kind after them."""


class Size(NamedTuple):
    """How much of it.

    Attributes:
        tasks: of a load.
        longest: seconds that any fault lasts at most; the plan has outages of ten minutes.
        patience: factor of all bounds in seconds, for machines that others use too.
        messages: that are wrong.
        flood: tasks that are due at the same time; the plan has a million.
        cycles: of a worker that ends and a new one.
        restarts: of the workers of a fleet.
    """

    tasks: int = 1000
    longest: float = 20.0
    patience: float = 1.0
    messages: int = 1000
    flood: int = 20_000
    cycles: int = 20
    restarts: int = 10


class Window(NamedTuple):
    """When a fault was there, monotonic seconds."""

    name: str
    begun: float
    over: float


class Resources(NamedTuple):
    """What a worker's main process holds.

    Attributes:
        memory: bytes that are resident.
        descriptors: how many.
        threads: how many.
        open: what the descriptors are.
    """

    memory: int
    descriptors: int
    threads: int
    open: tuple[str, ...]


class Run:
    """What a scenario is given.

    Attributes:
        ledger: what producers and tasks write; the judge.
        broker, pool, system: what it runs on.
        verdict: what it found.
        chance: all randomness comes from here.
        sender: a process with a client.
        app: Celeriac's app in this process, on the same broker.
        affected: processes whose tasks may be repeated.
        poisons: tasks that are never done, and judged by their scenario.
        windows: the faults that were.
    """

    def __init__(self, cell: Cell, made: Broker, folder: Path, size: Size, system: System, seed: int) -> None:
        self.cell, self.broker, self.folder, self.size, self.system = cell, made, folder, size, system
        self.pool = POOLS[cell.pool]
        self.verdict = Verdict(str(cell) if system is CELERIAC else f"{cell}, {system.name}")
        self.ledger = Ledger(folder / "ledger")
        self.chance = random.Random(seed)
        self.app = ledger_app.app
        self.environment = made.environment | {"LEDGER": str(self.ledger.path)}
        settings = {"worker_lease": LEASE, **cell.fault.settings}
        self.environment |= {f"CELERIAC_{name.upper()}": str(value) for name, value in settings.items()}
        self.lease = float(settings["worker_lease"])
        self.affected: set[int] = set()
        self.poisons: set[str] = set()
        self.windows: list[Window] = []
        self.workers: list[WorkerProcess] = []
        self._senders: list[SenderProcess] = []
        self._before: dict[WorkerProcess, Resources] = {}
        self._connections: int | None = None
        self._stack = ExitStack()
        self._numbers = count()

    # ------------------------------------------------------------------------------------------------------- processes

    def worker(self, *arguments: str, ready: bool = True, app: str = "", **environment: str) -> WorkerProcess:
        """Start a worker with the pool of this run; it is ended with the run."""
        number = next(self._numbers)
        started = WorkerProcess(
            app or self.system.app,
            {**self.environment, **self.system.environment, **environment},
            "-n",
            f"w{number}@here",
            *self.pool.arguments,
            *self.system.arguments,
            *arguments,
            log=self.folder / f"worker-{number}.log",
            python=self.system.python,
            module=self.system.module,
        )
        self.workers.append(started)
        return started.ready(60.0) if ready else started

    def children(self, worker: WorkerProcess) -> list[psutil.Process]:
        """The processes of a worker that run tasks."""
        found = worker.tree() if self.system.forks else worker.children()
        return [process for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]

    def forget(self, worker: WorkerProcess) -> None:
        """It has ended, and its log is of no interest any more: a thousand of them would fill the disk."""
        self.workers.remove(worker)
        worker.log.unlink()

    def sender(self, **environment: str) -> SenderProcess:
        """Start a client in a process of its own."""
        started = SenderProcess(
            self.system.python,
            self.system.app,
            {**self.environment, **self.system.environment, **environment},
            self.folder / f"sender-{len(self._senders)}.log",
        )
        self._senders.append(started)
        return started

    @property
    def client(self) -> SenderProcess:
        """The first sender."""
        return self._senders[0] if self._senders else self.sender()

    @property
    def client_beside(self) -> SenderProcess:
        """Another one, whose calls do not wait for those of the load."""
        assert self._senders, "there is no load yet"
        return self._senders[1] if len(self._senders) > 1 else self.sender()

    def proxy(self, server: Any = None) -> Proxy:
        """A network before the broker (or another server), for as long as the run."""
        target = server or self.broker.server
        assert target is not None, "there is no server behind this broker"
        return self._stack.enter_context(proxy_to(target.address))

    def load(self, tasks: int | None = None, rate: float | None = RATE, seconds: float = TASK, **options: Any) -> None:
        """Begin to send tasks that sleep; it goes on until the run is judged unless a number is given."""
        self.client.load(self.pool.task, seconds, count=tasks, rate=rate, **options)

    def backlog(self, tasks: int, seconds: float = TASK) -> None:
        """Send that many now, so that a worker that takes nothing is never just idle."""
        self.load(tasks, None, seconds)
        self.client.join()

    def inject(self, payloads: Sequence[bytes]) -> None:
        """Put raw messages into the queue, past all of our checks."""
        self.ask(lambda store: store.publish([Outgoing("celery", each) for each in payloads]))

    def double(self) -> None:
        """Put every message that waits into the queue once more."""
        self.inject(self.ask(lambda store: store.peek("celery", 100_000)))

    def confirm(self, ids: Iterable[str]) -> None:
        """These were sent by this process, and the broker has taken them."""
        self.ledger.confirmed.update(ids)

    def within(self, seconds: float) -> float:
        """A bound, with this machine's patience."""
        return seconds * self.size.patience

    def lasting(self, seconds: float) -> float:
        """How long a fault lasts that the plan gives so many seconds."""
        return min(seconds, self.size.longest)

    # ----------------------------------------------------------------------------------------------------------- waits

    def wait_ended(self, count: int, timeout: float = 60.0) -> None:
        """Wait until so many tasks are done."""
        wait_until(lambda: self.ledger.ended() >= count, timeout, f"{count} tasks are done")

    def wait_started(self, count: int, timeout: float = 30.0) -> None:
        """Wait until so many tasks have started."""
        wait_until(lambda: len(self.ledger.ids("start")) >= count, timeout, f"{count} tasks have started")

    def wait_started_since(self, before: int, count: int, timeout: float = 30.0) -> None:
        """Wait until there are so many more starts than there were before."""
        wait_until(
            lambda: len(self.ledger.events("start")) >= before + count, timeout, f"{count} more tasks have started"
        )

    def wait_under_way(self) -> None:
        """Wait until a quarter of the load is done: now is the time for a fault."""
        self.wait_ended(self.size.tasks // 4)

    # ---------------------------------------------------------------------------------------------------------- faults

    @contextlib.contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """The fault lasts as long as the block."""
        if not self.windows:
            self._warm_up()
            self.look()
        begun = time.monotonic()
        try:
            yield
        finally:
            self.windows.append(Window(name, begun, time.monotonic()))

    def _warm_up(self) -> None:
        """Every worker has run something, if there is something to run: what is opened at first use is open."""
        senders = [sender for sender in self._senders if sender.figures().running]
        if senders:
            wait_until(lambda: all(self._has_run(worker) for worker in self._alive()), 20.0, "all workers work")

    def _alive(self) -> list[WorkerProcess]:
        return [worker for worker in self.workers if worker.process.poll() is None]

    def _has_run(self, worker: WorkerProcess) -> bool:
        mine = {process.pid for process in worker.tree()}
        return any(event.pid in mine for event in self.ledger.events("end"))

    def look(self) -> None:
        """Remember what the workers hold now (I6)."""
        self._before = {each: held for each in self.workers if (held := _resources(each)) is not None}
        self._connections = self.broker.connections()

    def kill(self, worker: WorkerProcess) -> None:
        """kill -9 of a whole worker: what it had may be repeated, and its children must follow it."""
        self.affect(worker)
        tree = worker.tree()
        worker.process.kill()
        worker.process.wait()
        _, alive = psutil.wait_procs(tree, timeout=self.within(2.0))
        self.verdict.expect(not alive, f"{len(alive)} processes live on after kill -9 of their main process")
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def affect(self, worker: WorkerProcess) -> None:
        """What runs in this worker now may be repeated."""
        self.affected.update(process.pid for process in worker.tree())

    @property
    def takeover(self) -> str | None:
        """What is said when a dead worker's messages go to another; RabbitMQ gives them back without a word."""
        return None if self.broker.name.startswith("rabbitmq") else "worker was lost"

    @property
    def in_flight(self) -> int:
        """Tasks that one worker may have at an instant: I3 for one fault."""
        return SLOTS * (1 + READ_AHEAD)

    # --------------------------------------------------------------------------------------------------------- verdict

    def recover(self, within: float = RECOVERY, timeout: float = 60.0) -> None:
        """I4: from the end of the last fault to the first task that both starts and ends after it."""
        over = self.windows[-1].over
        found: list[float] = []

        def resumed() -> bool:
            started = {event.task_id for event in self.ledger.events("start") if event.at > over}
            found[:] = [event.at for event in self.ledger.events("end") if event.at > over and event.task_id in started]
            return bool(found)

        try:
            wait_until(resumed, self.within(timeout), "work goes on after the fault")
        except AssertionError as error:
            self.verdict.expect(False, str(error), "I4")
        else:
            self.verdict.recovered(min(found) - over, self.within(within))

    def recover_by_sending(self) -> None:
        """I4 where no load runs: some tasks are sent, and the last fault is over."""
        self.backlog(20)
        self.recover()

    def judge_spoilt(self, most: int) -> None:
        """Judge a run in which that many bytes arrived changed: each has spoilt one thing at most."""
        self.end_load()
        ledger, verdict = self.ledger, self.verdict
        dead = {letter.id for letter in self.dead()}
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not ledger.lost(), self.within(2 * self.lease + 5.0), "what is not spoilt is done")
        verdict.lost, verdict.ghosts = len(ledger.lost()), len(ledger.ghosts())
        verdict.duplicates = len(ledger.repeated())
        verdict.note(confirmed=len(ledger.confirmed), dead=len(dead))
        verdict.expect(verdict.lost <= most, f"{verdict.lost} lost by {most} changed bytes", "I1")
        verdict.expect(verdict.ghosts <= most, f"{verdict.ghosts} ghosts by {most} changed bytes", "I2")

    def processor_time(self, worker: WorkerProcess) -> float:
        """Seconds of processor time that its main process has used."""
        times = psutil.Process(worker.pid).cpu_times()
        return float(times.user + times.system)

    def judge(
        self,
        *,
        repeated: int | None = 0,
        lost: int = 0,
        explained: bool = True,
        voice: str | None = None,
        lines: int = 0,
        states: bool = True,
        dead: int = 0,
        patience: float = 60.0,
        tracebacks: bool = False,
        resources: bool = True,
        residue: bool = True,
    ) -> None:
        """Judge all that is judged in every run.

        Args:
            repeated: how many tasks may have started more than once; None is any number.
            lost: how many confirmed tasks may be missing (a broker that lost its own memory).
            explained: a task may only be repeated when the process that had it is in ``affected``.
            voice: a pattern that a warning must match; None when nothing has to be said.
            lines: warnings and errors that are to be expected besides those of the fault.
            states: every confirmed task must have its success.
            dead: how many dead letters there must be.
            patience: seconds until all that was confirmed must be done.
            tracebacks: there may be some.
            resources: judge I6.
            residue: judge I5.
        """
        self.end_load()
        self._judge_ledger(repeated, lost, explained, self.within(min(patience, self.system.patience)))
        if residue:
            self._judge_residue()
        if resources:
            self._judge_resources()
        if self.system is CELERIAC:
            if states and not lost:
                self._judge_states()
            found = len(self.dead())
            self.verdict.expect(found == dead, f"{found} dead letters, {dead} are due")
            self._judge_voice(voice, tracebacks, lines)

    def end_load(self) -> None:
        """Once as much is sent as a run has at least."""
        for sender in self._senders:
            wait_until(lambda sender=sender: self._enough(sender.figures()), 120.0, "the load is sent")  # type: ignore[misc]
            sender.stop()

    def _enough(self, figures: Figures) -> bool:
        return not figures.running or figures.sent >= self.size.tasks

    def _judge_ledger(self, repeated: int | None, lost: int, explained: bool, patience: float) -> None:
        ledger, verdict = self.ledger, self.verdict
        begun = time.monotonic()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: len(ledger.lost() - self.poisons) <= lost, patience, "everything that was confirmed is done")
        missing = ledger.lost() - self.poisons
        ghosts, again = ledger.ghosts(), ledger.repeated() - self.poisons
        verdict.lost, verdict.ghosts, verdict.duplicates = len(missing), len(ghosts), len(again)
        verdict.note(confirmed=len(ledger.confirmed), drained_after=time.monotonic() - begun)
        verdict.expect(len(missing) <= lost, f"{len(missing)} lost: {sorted(missing)[:3]}", "I1")
        verdict.expect(not ghosts, f"{len(ghosts)} ended, but never sent: {sorted(ghosts)[:3]}", "I2")
        if repeated is not None:
            verdict.expect(len(again) <= repeated, f"{len(again)} repeated, at most {repeated} may be", "I3")
            if explained:
                strange = ledger.repeated_without(self.affected) - self.poisons
                verdict.expect(not strange, f"{len(strange)} repeated without a fault: {sorted(strange)[:3]}", "I3")

    def _told(self, ids: set[str]) -> str:
        """What the ledger knows of some of them, seconds from the begin of the first fault."""
        zero = self.windows[0].begun if self.windows else 0.0
        return "; ".join(
            f"{each}: "
            + ", ".join(
                f"{event.kind} in {event.pid} at {event.at - zero:.3f}"
                for event in self.ledger.events()
                if event.task_id == each
            )
            for each in sorted(ids)[:3]
        )

    def _judge_residue(self) -> None:
        """I5: asked of the server itself, and not of our code."""
        left: list[str] = []

        def empty() -> bool:
            left[:] = self.broker.residue()
            return not left

        with contextlib.suppress(AssertionError):
            wait_until(empty, self.within(10.0), "the broker is empty")
        self.verdict.expect(not left, f"left in the broker: {left[:5]}", "I5")

    def _judge_resources(self) -> None:
        """I6, of the workers that were there before the first fault and are there still."""
        for worker, before in self._before.items():
            now = _resources(worker)
            if now is not None and worker.process.poll() is None:
                self._judge_worker(worker, before, now)
        if self._connections is None or set(self._alive()) != set(self._before):
            return
        most = self._connections + DESCRIPTORS + len(self._before) * self.broker.opened_later

        def calm() -> bool:
            return (self.broker.connections() or 0) <= most

        with contextlib.suppress(AssertionError):
            wait_until(calm, self.within(CALM), "connections are closed")
        now_open = self.broker.connections() or 0
        self.verdict.expect(now_open <= most, f"{now_open} connections, {self._connections} before", "I6")

    def _judge_worker(self, worker: WorkerProcess, before: Resources, now: Resources) -> None:
        most = DESCRIPTORS + self.broker.opened_later
        deadline = time.monotonic() + self.within(CALM)
        while now.descriptors > before.descriptors + most and time.monotonic() < deadline:
            time.sleep(0.1)
            now = _resources(worker) or now
        grown = now.memory <= before.memory * MEMORY + MEMORY_NOISE
        self.verdict.expect(grown, f"memory grew from {before.memory >> 20} to {now.memory >> 20} MiB", "I6")
        same = now.descriptors <= before.descriptors + most
        more = Counter(now.open) - Counter(before.open)
        self.verdict.expect(same, f"{now.descriptors} descriptors, {before.descriptors} before: {dict(more)}", "I6")
        same = now.threads <= before.threads + DESCRIPTORS
        self.verdict.expect(same, f"{now.threads} threads, {before.threads} before", "I6")

    def _judge_states(self) -> None:
        """I7: results as the clients see them."""
        documents = self.documents(sorted(self.ledger.confirmed - self.poisons))
        wrong = [each for each, found in documents.items() if found is None or found["status"] != "SUCCESS"]
        self.verdict.expect(not wrong, f"{len(wrong)} without their success: {wrong[:3]}", "I7")

    def _judge_voice(self, pattern: str | None, tracebacks: bool, expected: int) -> None:
        """I8, of all workers' logs."""
        heard = listen([worker.log.read_text(errors="replace") for worker in self.workers])
        if pattern is not None:
            named = heard.names(pattern)
            self.verdict.expect(named, f"no warning names {pattern!r}", "I8")
        if not tracebacks:
            self.verdict.expect(not heard.tracebacks, f"{heard.tracebacks} tracebacks", "I8")
        seconds = sum(window.over - window.begun + RECOVERY for window in self.windows)
        most = expected + LINES_A_SECOND * seconds * max(1, len(self.workers)) + len(self.windows) * self.in_flight
        if self.windows:
            self.verdict.expect(heard.warnings <= most, f"{heard.warnings} warnings in {seconds:.0f} s", "I8")

    # ------------------------------------------------------------------------------------------------- looking at it

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """Ask an asynchronous store of the app: ``run.ask(lambda store: store.dead_letters())``."""

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

    def documents(self, ids: list[str]) -> dict[str, dict[str, Any] | None]:
        """The stored result documents by task id."""
        raw = self.app.connections.sync().results(ids)
        return {
            each: None if found is None else msgspec.json.decode(found) for each, found in zip(ids, raw, strict=True)
        }

    def logs(self) -> str:
        """What all workers said that is not everyday talk, and the ends of their logs."""
        files = [worker.log for worker in self.workers] + sorted(self.folder.glob("sender-*.log"))
        return "\n".join(f"== {file.name}\n{_worth_reading(file.read_text(errors='replace'))}" for file in files)

    def close(self) -> None:
        """End all processes."""
        for sender in self._senders:
            sender.close()
        for worker in self.workers:
            worker.end()
        self._stack.close()


def server_of(run: Run) -> Server:
    """The process of the broker."""
    assert run.broker.server is not None, "there is no server behind this broker"
    return run.broker.server


def _worth_reading(log: str) -> str:
    lines = log.splitlines()
    loud = [line for line in lines if ": INFO/" not in line][-LOUD_LINES:]
    return "\n".join([*loud, "-- and last:", *lines[-LAST_LINES:]])


def _resources(worker: WorkerProcess) -> Resources | None:
    try:
        process = psutil.Process(worker.pid)
        opened = tuple(_descriptors(worker.pid))
        return Resources(process.memory_info().rss, len(opened), process.num_threads(), opened)
    except (psutil.NoSuchProcess, FileNotFoundError):
        return None


def _descriptors(pid: int) -> Iterator[str]:
    """What a process has open, without the numbers that tell two sockets apart."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{name}").split(":[")[0]


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_cell(
    cell: Cell,
    folder: Path,
    size: Size,
    system: System = CELERIAC,
    seed: int = 1,
    told: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Run one cell.

    Args:
        folder: an empty one.
        told: gets the workers' logs of a run that failed.
    """
    with broker(cell.broker, folder, **cell.fault.server) as made:
        return run_scenario(Run(cell, made, folder, size, system, seed), told)


def run_scenario(run: Run, told: Callable[[str], None] = lambda text: None) -> Verdict:
    """Run the scenario of a cell whose broker is up; ends everything that it has started."""
    with ExitStack() as stack:
        stack.enter_context(_environment(run.environment))
        run.app.conf.refresh()
        stack.callback(run.app.connections.close)
        stack.callback(run.close)
        try:
            run.cell.fault.scenario(run)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other cells are run all the same
            run.verdict.problems.append(f"{type(error).__name__}: {error}"[:500])
            told(traceback.format_exc())
        if run.verdict.problems:
            told(run.logs())
        return run.verdict
