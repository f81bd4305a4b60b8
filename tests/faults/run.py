"""One run of one scenario: what it runs on, what it can do, and how it is judged."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import psutil

from celeriac.stores.amqp.wire import Publication
from celeriac.stores.store import Outgoing
from tests.apps import ledger as ledger_app
from tests.faults.amqp_corruptor import AmqpCorruptor
from tests.faults.brokers import Broker, Server, broker
from tests.faults.catalogue import Cell
from tests.faults.corruptor import Corruptor
from tests.faults.judging import RECOVERY, Judge
from tests.faults.ledger import Ledger
from tests.faults.pools import POOLS, SLOTS
from tests.faults.processes import WorkerProcess, wait_until
from tests.faults.resources import Resources, resources_of
from tests.faults.senders import Figures, SenderProcess
from tests.faults.size import Size
from tests.faults.systems import CELERIAC, System
from tests.faults.verdict import Verdict
from tests.proxy import Proxy, proxy_to

__all__ = ["OCCUPIED", "Run", "Size", "run_cell", "run_scenario", "server_of"]

RATE: Final = 120.0
"""Tasks a second that a load sends; one worker can do 200 of them, two 400."""
TASK: Final = 0.02
"""Seconds that a task of the load takes."""
OCCUPIED: Final = 1.0
"""Seconds of the tasks that keep a worker busy."""
READ_AHEAD: Final = 4
"""Messages for each slot that a worker may have besides what runs."""
LEASE: Final = 3.0
"""Seconds of a lease in these runs (15 by default), so that they do not wait for long."""
LOUD_LINES: Final = 60
"""Lines of warnings and errors of each worker's log that a failed run prints."""
MANY: Final = 1_000_000
"""Dead letters: all of them."""
AT_ONCE: Final = 1000
"""Results that are asked for at once."""
LAST_LINES: Final = 8
"""Lines of any kind after them."""


class Window(NamedTuple):
    """When a fault was there, monotonic seconds."""

    name: str
    begun: float
    over: float


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
        self.settings = made.settings | {name: value for name, value in settings.items() if isinstance(value, dict)}
        plain = {name: value for name, value in settings.items() if name not in self.settings}
        self.environment |= {f"CELERIAC_{name.upper()}": str(value) for name, value in plain.items()}
        if self.settings:
            self.environment |= _configured(folder, self.settings)
        self.lease = float(settings["worker_lease"])
        self.affected: set[int] = set()
        self.poisons: set[str] = set()
        self.windows: list[Window] = []
        self.workers: list[WorkerProcess] = []
        self._senders: list[SenderProcess] = []
        self.before: dict[WorkerProcess, Resources] = {}
        self.connections: int | None = None
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

    def corruptor(self) -> Corruptor | AmqpCorruptor:
        """What makes wrong messages for this broker; :meth:`inject` takes them."""
        return AmqpCorruptor(self.chance) if self.broker.name.startswith("rabbitmq") else Corruptor(self.chance)

    def inject(self, messages: Sequence[bytes | Publication]) -> None:
        """Put raw messages into the queue, past all of our checks."""

        async def put(store: Any) -> None:
            publications = [each for each in messages if isinstance(each, Publication)]
            if publications:
                refused = await store.broker._publisher.deliver(publications)
                assert not refused, f"RabbitMQ did not take what was injected: {refused[:3]}"
            await store.publish([Outgoing("celery", each) for each in messages if isinstance(each, bytes)])

        self.ask(put)

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

    def occupy(self, worker: WorkerProcess) -> None:
        """Send some longer tasks, and wait until that worker runs one: there is something to lose.

        The other workers may take all of them; then there are more.
        """
        sent: set[str] = set()
        mine = {process.pid for process in worker.tree()}
        asked = 0.0

        def busy() -> bool:
            nonlocal asked
            if time.monotonic() - asked > 2 * OCCUPIED:
                asked = time.monotonic()
                sent.update(self.client_beside.send(self.pool.task, OCCUPIED) for _ in range(SLOTS))
            running = sent & self.ledger.running()
            return any(event.pid in mine and event.task_id in running for event in self.ledger.events("start"))

        wait_until(busy, 20.0, "a longer task runs in the worker")

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
            wait_until(lambda: all(self._has_run(worker) for worker in self.alive()), 20.0, "all workers work")

    def alive(self) -> list[WorkerProcess]:
        """The workers that run now."""
        return [worker for worker in self.workers if worker.process.poll() is None]

    def _has_run(self, worker: WorkerProcess) -> bool:
        mine = {process.pid for process in worker.tree()}
        return any(event.pid in mine for event in self.ledger.events("end"))

    def look(self) -> None:
        """Remember what the workers hold now (I6)."""
        self.before = {each: held for each in self.workers if (held := resources_of(each)) is not None}
        self.connections = self.broker.connections()

    def kill(self, worker: WorkerProcess) -> None:
        """kill -9 of a whole worker: what it had may be repeated, and its children must follow it."""
        self.affect(worker)
        tree = worker.tree()
        worker.process.kill()
        worker.process.wait()
        _, alive = psutil.wait_procs(tree, timeout=self.within(2.0))
        alive = [process for process in alive if not _is_zombie(process)]
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

    def cuts(self, count: int) -> int:
        """Tasks that may be repeated because a worker's connections broke so often.

        None where claims outlive connections; RabbitMQ gives to others what was unacknowledged on one that broke.
        """
        return count * self.in_flight if self.broker.name.startswith("rabbitmq") else 0

    @property
    def in_flight(self) -> int:
        """Tasks that one worker may have at an instant: I3 for one fault."""
        return SLOTS * (1 + READ_AHEAD)

    # --------------------------------------------------------------------------------------------------------- verdict

    def judge(self, **expected: Any) -> None:
        """Judge all that is judged in every run; see :meth:`Judge.judge` for what can be expected."""
        Judge(self).judge(**expected)

    def judge_spoilt(self, most: int) -> None:
        """Judge a run in which that many bytes arrived changed."""
        Judge(self).spoilt(most)

    def recover(self, within: float = RECOVERY, timeout: float = 60.0) -> None:
        """I4: from the end of the last fault to the first task that both starts and ends after it."""
        over = self.windows[-1].over
        found: list[float] = []

        def resumed() -> bool:
            since = self.ledger.since(over)
            started = {event.task_id for event in since if event.kind == "start"}
            found[:] = [event.at for event in since if event.kind == "end" and event.task_id in started]
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

    def processor_time(self, worker: WorkerProcess) -> float:
        """Seconds of processor time that its main process has used."""
        times = psutil.Process(worker.pid).cpu_times()
        return float(times.user + times.system)

    def end_load(self) -> None:
        """Once as much is sent as a run has at least."""
        for sender in self._senders:
            wait_until(lambda sender=sender: self._enough(sender.figures()), 120.0, "the load is sent")  # type: ignore[misc]
            sender.stop()

    def _enough(self, figures: Figures) -> bool:
        return not figures.running or figures.sent >= self.size.tasks

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
        found: list[Any] = self.ask(lambda store: store.dead_letters(MANY))
        return found

    def counts(self, queue: str = "celery") -> Any:
        """How many messages of a queue are where."""
        return self.ask(lambda store: store.counts([queue]))[queue]

    def documents(self, ids: list[str]) -> dict[str, dict[str, Any] | None]:
        """The stored result documents by task id."""
        found: dict[str, dict[str, Any] | None] = {}
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            raw = self.app.connections.sync().results(some)
            found |= {
                each: None if value is None else msgspec.json.decode(value)
                for each, value in zip(some, raw, strict=True)
            }
        return found

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


def _configured(folder: Path, settings: dict[str, Any]) -> dict[str, str]:
    """The environment of processes that find settings in a module: not every setting has a variable."""
    (folder / "ledger_config.py").write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    return {"LEDGER_CONFIG": "ledger_config", "PYTHONPATH": path}


def _worth_reading(log: str) -> str:
    lines = log.splitlines()
    loud = [line for line in lines if ": INFO/" not in line][-LOUD_LINES:]
    return "\n".join([*loud, "-- and last:", *lines[-LAST_LINES:]])


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
    with broker(cell.broker, folder, queue_type=size.queue_type, **cell.fault.server) as made:
        return run_scenario(Run(cell, made, folder, size, system, seed), told)


def run_scenario(run: Run, told: Callable[[str], None] = lambda text: None) -> Verdict:
    """Run the scenario of a cell whose broker is up; ends everything that it has started."""
    with ExitStack() as stack:
        stack.enter_context(_environment(run.environment))
        run.app.conf.refresh()
        before = {name: run.app.conf[name] for name in run.settings}
        run.app.conf.update(run.settings)
        stack.callback(run.app.conf.update, before)
        stack.callback(run.app.connections.close)
        stack.callback(run.close)
        try:
            run.cell.fault.scenario(run)
        except Exception as error:
            run.verdict.problems.append(f"{type(error).__name__}: {error}"[:500])
            told(traceback.format_exc())
        if run.verdict.problems:
            told(run.logs())
        return run.verdict


def _is_zombie(process: psutil.Process) -> bool:
    """It is dead: whoever adopted it takes note of that late."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
