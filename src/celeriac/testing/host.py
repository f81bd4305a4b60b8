"""What the simulated workers of one simulation stand on: its ledger, its broker, its app's runner, its chance."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from celeriac import envelope
from celeriac.app.connections import Connections
from celeriac.app.runner import TaskRunner
from celeriac.exceptions import UnsupportedOption
from celeriac.pools.pool import Job, Outcome, Work
from celeriac.stores.memory.store import CAPABILITIES
from celeriac.stores.store import Document, Outgoing, ResultRecord, Revocation
from celeriac.testing.process import Process, current_process

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.stores.memory.state import State
    from celeriac.stores.store import Store
    from celeriac.testing.broker import Broker
    from celeriac.testing.ledger import Ledger
    from celeriac.testing.pool import SimulatedPool
    from celeriac.testing.world import World

__all__ = ["Fate", "Host", "simulated_connections"]


class Fate(enum.Enum):
    """What a task does to its child."""

    LIVES = enum.auto()
    DIES = enum.auto()
    """It kills the child instead of ending."""
    DIES_LATE = enum.auto()
    """The child dies after the task's end and before it has told anybody."""


class Host:
    """One for all processes of a simulation.

    Args:
        world, broker, ledger: of the simulation.
        app: whose tasks run.
        destiny: seconds that a task of that name takes, and what it does to its child.
    """

    def __init__(
        self,
        world: World,
        broker: Broker,
        ledger: Ledger,
        app: Celeriac,
        destiny: Callable[[str], tuple[float, Fate]],
    ) -> None:
        self.world = world
        self.broker = broker
        self.ledger = ledger
        self.pools: list[SimulatedPool] = []
        self.coroutines = Process(world, "coroutines")
        self._runner = TaskRunner(app, "simulated", describe=False)
        self._destiny = destiny

    def load(self, work: Work) -> Job:
        """The app's own runner decodes a message."""
        return cast("Job", self._runner.load(work))

    def fate(self, work: Work) -> tuple[float, Fate]:
        """How long a request runs, in virtual seconds, and what it does to its child."""
        if work.verdict:  # only its failure hooks run
            return 0.0, Fate.LIVES
        head = envelope.read_head(work.payload)
        return self._destiny(head.task if head is not None else "")

    def start(self, job: Job, done: Callable[[Outcome], None]) -> asyncio.Task[None]:
        """Run a coroutine's task, whose own awaits take virtual time."""

        async def run() -> None:
            done(await job.arun())

        return self.coroutines.create_task(run())


class _ClientStore:
    """What a task body sees of the store: it publishes and stores states, as any client does."""

    capabilities = CAPABILITIES

    def __init__(self, broker: Broker, results: State) -> None:
        self._broker = broker
        self._results = results

    def close(self) -> None:
        """Nothing is open."""

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish, without a fault."""
        self._broker.publish(messages)

    def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Store states."""
        self._results.store_results(records)

    def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """Read results."""
        return self._results.results(task_ids)

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> Iterator[tuple[str, bytes]]:
        """Virtual time stands still while a task body runs, so it cannot wait."""
        raise UnsupportedOption("a task cannot wait for a result in a simulation: no time passes while its body runs")

    def forget(self, task_ids: Sequence[str]) -> None:
        """Drop results."""
        self._results.forget(task_ids)

    def store_documents(self, documents: Sequence[Document]) -> None:
        """Store documents."""
        self._results.store_documents(documents)

    def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """Read documents."""
        return self._results.documents(kind, ids)

    def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Drop documents."""
        self._results.drop_documents(kind, ids)

    def chord_parts(self, group_id: str) -> list[bytes]:
        """Read the parts of a chord."""
        return self._results.chord_parts(group_id)

    def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """Revoke tasks."""
        for each in revocations:
            self._broker.revoke(each.task_id, each.terminate)

    def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        """Nobody listens."""


class _SimulatedConnections(Connections):
    """Leads an app's workers and clients to a simulated broker."""

    def __init__(self, app: Celeriac, broker: Broker, results: Broker, connect: Callable[[Process], Store]) -> None:
        super().__init__(app)
        self._client = _ClientStore(broker, results.state)
        self._connect = connect

    def sync(self) -> _ClientStore:
        return self._client

    def make(self) -> Any:
        return self._connect(current_process())


@contextmanager
def simulated_connections(
    app: Celeriac, broker: Broker, results: Broker, connect: Callable[[Process], Store]
) -> Iterator[None]:
    """Within the block the app's connections lead to a simulated broker, and to a backend, which may be the same."""
    before = app.connections
    app.connections = _SimulatedConnections(app, broker, results, connect)
    try:
        yield
    finally:
        app.connections = before
