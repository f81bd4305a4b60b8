"""The stand: a private Redis, a private RabbitMQ where one is asked for, folders, and one system at a time on them."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.errors import BenchmarkError
from benchmarks.marks import Marks
from benchmarks.processes import Program, wait_until
from benchmarks.rabbitmq_server import RabbitMQ
from benchmarks.redis_server import RedisServer
from benchmarks.systems.system import EMBEDDED, RABBITMQ, REDIS, RPC, Subject

CHECKOUT = Path(__file__).resolve().parent.parent
IN_MEMORY = Path("/dev/shm")
"""Where the marks of the tasks are written, so that no disk takes part."""
CLIENT_LIMIT = 600.0
"""Seconds within which any client process has done its work."""
START_LIMIT = 60.0
"""Seconds within which a worker has run its first task."""
SETTLE_LIMIT = 30.0
"""Seconds within which the last results are stored after the last body ran."""


class Run:
    """One subject on one store, with or without results: its processes, its queue, its marks."""

    def __init__(self, stand: Stand, subject: Subject, store: str, results: bool, server: RedisServer | None) -> None:
        self.stand = stand
        self.subject = subject
        self.store = store
        self.results = results
        self.server = server or stand.server
        self.folder = Path(tempfile.mkdtemp(dir=stand.folder))
        self.file = self.folder / "store" / "queue.sqlite3"
        memory = Path(tempfile.mkdtemp(dir=stand.memory))
        self.marks = Marks(memory)
        self.broker = self.server.url if store == REDIS else stand.rabbitmq().place() if store == RABBITMQ else ""

    def environment(self) -> dict[str, str]:
        """The variables by which application and tasks find their surroundings."""
        rpc = self.subject.variant == RPC
        return {
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONWARNINGS": "ignore",
            "BENCHMARK_BROKER": self.broker,
            "BENCHMARK_BACKEND": "" if self.store == EMBEDDED else "rpc://" if rpc else self.server.url,
            "BENCHMARK_STORE": str(self.file),
            "BENCHMARK_RESULTS": "1" if self.results else "0",
            "BENCHMARK_VARIANT": self.subject.variant,
            **dict(self.subject.settings),
            **self.marks.environment(),
            **(self.subject.system.environment(self.file) if self.store == EMBEDDED else {}),
        }

    def clear(self) -> None:
        """Empty the store and the marks."""
        self.marks.clear()
        if self.store != EMBEDDED:
            self.server.flush()
            # A place on RabbitMQ is new; what one run leaves there nobody meets again.
        else:
            shutil.rmtree(self.file.parent, ignore_errors=True)
            self.file.parent.mkdir()

    def save(self) -> Any:
        """The whole content of the store, for `restore`; None where that cannot be had (RabbitMQ)."""
        if self.store == RABBITMQ:
            return None
        if self.store == REDIS:
            return self.server.dump()
        return {path.name: path.read_bytes() for path in self.file.parent.iterdir() if path.is_file()}

    def restore(self, saved: Any) -> None:
        """Replace the content of the store with what `save` returned."""
        self.clear()
        if self.store == REDIS:
            self.server.restore(saved)
        else:
            for name, content in saved.items():
                (self.file.parent / name).write_bytes(content)

    def settled(self, results: int) -> bool:
        """Whether nothing waits or is in flight and `results` results are stored."""
        system = self.subject.system
        if self.store == REDIS:
            return system.settled_on_redis(self.server, results)
        if self.store == RABBITMQ:
            # Results that are messages wait in a queue that only their client knows.
            results = 0 if self.subject.variant == RPC else results
            return system.settled_on_rabbitmq(self.stand.rabbitmq().ready(self.broker), self.server, results)
        return system.settled_on_sqlite(self.file, results)

    @contextlib.contextmanager
    def worker(self) -> Iterator[Worker]:
        """The worker and its companions, running until the block is left."""
        with ExitStack() as stack:
            programs = [
                stack.enter_context(Program(command, self.environment(), CHECKOUT, self.folder / "worker.log"))
                for command in (self.subject.command, *self.subject.companions)
            ]
            yield Worker(self, programs)

    def client(self, mode: str, *numbers: float) -> Any:
        """Run a client process (`benchmarks.client`) to its end and return what it printed."""
        command = [str(self.subject.system.interpreter), "-m", "benchmarks.client", self.subject.system.application]
        with Client(self, [*command, mode, *map(str, numbers)]) as client:
            return client.answer()


class Client(Program):
    """A client process, whose last line is its answer."""

    def __init__(self, run: Run, command: list[str]) -> None:
        self.answer_file = run.folder / "client.log"
        self.answer_file.write_bytes(b"")
        super().__init__(command, run.environment(), CHECKOUT, self.answer_file)

    def answer(self) -> Any:
        """Wait for the process and return the JSON that it printed."""
        try:
            code = self.process.wait(CLIENT_LIMIT)
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"{' '.join(self.command)} did not end in {CLIENT_LIMIT:g} s") from error
        lines = self.answer_file.read_text(errors="replace").splitlines()
        if code or not lines:
            raise BenchmarkError(f"{' '.join(self.command)} ended with code {code}:\n{self.output()}")
        return json.loads(lines[-1])


class Worker:
    """The running processes of a subject."""

    def __init__(self, run: Run, programs: list[Program]) -> None:
        self.run = run
        self.programs = programs

    def pids(self) -> list[int]:
        """All processes, children included."""
        return [pid for program in self.programs for pid in program.pids()]

    def cpu_seconds(self) -> float:
        """CPU seconds of all processes so far."""
        return sum(program.cpu_seconds() for program in self.programs)

    def wait_for_marks(self, count: int, seconds: float) -> None:
        """Wait until `count` no-op tasks ran; raise when a process dies or `seconds` are over."""
        self._wait(lambda: self.run.marks.count() >= count, seconds, f"{count} tasks to run")

    def wait_for_stamps(self, count: int, seconds: float) -> None:
        """Wait until `count` stamping tasks started."""
        self._wait(lambda: self.run.marks.stamped() >= count, seconds, f"{count} tasks to start")

    def wait_until_settled(self, results: int) -> None:
        """Wait until the store says that all is finished and `results` results are there."""
        self.wait_until(lambda: self.run.settled(results), f"the queue to be empty and {results} results")

    def wait_until(self, condition: Callable[[], bool], purpose: str) -> None:
        """Wait until `condition` holds, which it does at once or after the last batch is settled."""
        self._wait(condition, SETTLE_LIMIT, purpose)

    def warm_up(self, count: int = 100) -> None:
        """Have `count` no-op tasks run, then forget them."""
        self.run.client("enqueue", count)
        self.wait_for_marks(count, START_LIMIT)
        self.run.marks.clear()

    def _wait(self, condition: Callable[[], bool], seconds: float, purpose: str) -> None:
        # In slices, so that a worker that died is told at once and not after the whole time.
        slice_seconds = 1.0
        for _ in range(max(1, int(seconds / slice_seconds))):
            if wait_until(condition, slice_seconds):
                return
            for program in self.programs:
                program.check()
        outputs = "\n".join(program.output() for program in self.programs)
        ran, name = self.run.marks.count(), self.run.subject.name
        raise BenchmarkError(f"{name}: waited {seconds:g} s for {purpose}; {ran} ran. It printed:\n{outputs}")


class Stand:
    """The private Redis and the folders; all of it is gone when the `with` block is left."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._rabbitmq: RabbitMQ | None = None

    def __enter__(self) -> Self:
        # A terminated run ends its processes like an interrupted one.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        in_memory = IN_MEMORY if IN_MEMORY.is_dir() else None
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
            self.memory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-", dir=in_memory)))
            self.server = stack.enter_context(RedisServer(self.folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def rabbitmq(self) -> RabbitMQ:
        """The private RabbitMQ, started at first use: it takes some seconds and a share of the memory."""
        if self._rabbitmq is None:
            self._rabbitmq = self._stack.enter_context(RabbitMQ())
        return self._rabbitmq

    def run(self, subject: Subject, store: str, results: bool = True, server: RedisServer | None = None) -> Run:
        """A fresh, empty place for `subject`; on `server` instead of the shared Redis when one is given."""
        run = Run(self, subject, store, results, server)
        run.clear()
        return run
