"""The brokers that a scenario runs on: each is private, and can be stopped, killed, frozen and looked into."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import redis

from tests.servers import RedisServer, redis_server

__all__ = ["BROKERS", "STANDING", "Broker", "Embedded", "Redis", "Server", "broker"]

_TOLD: Final = "redis://127.0.0.1:{port}/0"
STANDING: Final = (
    b"_kombu.binding",  # Celery's: which queues there are
    b"celeriac.waiters",  # which workers wait now
    b"celeriac.revocations",  # a counter
    b"celeriac.dead",  # judged by itself
)
"""Keys without a lifetime that stay when nothing is left to do."""


_PERMITTED: Final = {"enable_debug_command": "yes", "enable_protected_configs": "yes"}
"""What scenarios do to a server."""


class Server(Protocol):
    """The process behind a broker: what a fault can be done to."""

    @property
    def pid(self) -> int: ...
    @property
    def address(self) -> tuple[str, int]: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


class Broker(Protocol):
    """A broker with its result backend.

    Attributes:
        name: as the table shows it.
        environment: of every process that uses it.
        server: its process; None where there is none.
        backend: the server of the results, where it is another one.
        opened_later: descriptors that a worker opens once, when there is reason to.
        settings: of the app.
    """

    name: str

    @property
    def settings(self) -> dict[str, Any]: ...

    opened_later: int
    environment: dict[str, str]
    server: Server | None
    backend: RedisServer | None

    def through(self, port: int) -> dict[str, str]:
        """The environment of a process that reaches it through a proxy on that port."""
        ...

    def usable(self) -> bool:
        """Nobody who has been stopped holds it up. The embedded file can be written by one process at a time."""
        ...

    def connections(self) -> int | None:
        """How many connections there are now; None where it cannot say."""
        ...

    def results(self) -> int:
        """How many results are stored."""
        ...

    def residue(self) -> list[str]:
        """What is left in it without a lifetime, though it should be empty: one line each."""
        ...


class Embedded:
    """The file on this machine."""

    name = "embedded"
    settings: ClassVar[dict[str, Any]] = {}
    opened_later = 3  # the connection that copies the log back into the file, and a wake-up
    server: Server | None = None
    backend: RedisServer | None = None

    def __init__(self, folder: Path) -> None:
        self._file = folder / "store.sqlite3"
        self.environment = {"CELERIAC_STORE": str(self._file)}

    def through(self, port: int) -> dict[str, str]:
        raise NotImplementedError(f"the embedded broker has no network for {port}")

    def usable(self) -> bool:
        with contextlib.closing(sqlite3.connect(self._file, timeout=0.5, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            connection.execute("ROLLBACK")
            return True

    def connections(self) -> int | None:
        return None

    def results(self) -> int:
        with contextlib.closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM result").fetchone()[0])

    def residue(self) -> list[str]:
        with contextlib.closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as connection:
            counts = {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("message", "ready", "held", "lease")
            }
        return [f"{count} rows of {table}" for table, count in counts.items() if count]


class Redis:
    """One server, for messages and results.

    Args:
        server: of the messages.
        backend: of the results, when it is another one.
    """

    name = "redis"
    settings: ClassVar[dict[str, Any]] = {}
    opened_later = 3  # the connections for what is rarely asked, for a second settlement, and for cancelled waits

    def __init__(self, server: RedisServer, backend: RedisServer | None = None) -> None:
        self.server: Server | None = server
        self.backend = backend
        self._server = server
        self.environment = {"CELERIAC_BROKER_URL": str(server), "CELERIAC_RESULT_BACKEND": str(backend or server)}

    def through(self, port: int) -> dict[str, str]:
        url = _TOLD.format(port=port)
        return {"CELERIAC_BROKER_URL": url, "CELERIAC_RESULT_BACKEND": str(self.backend or url)}

    def usable(self) -> bool:
        return True

    @contextlib.contextmanager
    def client(self, server: RedisServer | None = None) -> Iterator[Any]:
        """A client that is none of ours."""
        with redis.Redis(port=(server or self._server).port, socket_timeout=10) as client:
            yield client

    def connections(self) -> int | None:
        with self.client() as client:
            return len(client.client_list()) - 1

    def results(self) -> int:
        with self.client(self.backend) as client:
            return sum(1 for _ in client.scan_iter("celery-task-meta-*", count=1000))

    def residue(self) -> list[str]:
        with self.client() as client:
            keys = [key for key in client.scan_iter("*", count=1000) if not key.startswith(STANDING)]
            with client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.ttl(key)
                lifetimes = pipe.execute()
        return [key.decode(errors="replace") for key, left in zip(keys, lifetimes, strict=True) if left == -1]


@contextlib.contextmanager
def broker(name: str, folder: Path, **server: Any) -> Iterator[Broker]:
    """Start a broker for the block.

    Args:
        name: one of ``BROKERS``, or ``sentinel``, ``cluster``, ``rabbitmq-cluster``.
        folder: an empty one.
        server: lines of the server's configuration; ``apart=True`` puts the results into another server,
            ``queue_type`` is that of RabbitMQ's queues.
    """
    with ExitStack() as stack:
        queue_type = server.pop("queue_type", "quorum")
        apart = server.pop("apart", False)
        if name == "embedded":
            yield Embedded(folder)
        elif name == "redis":
            settings = {"appendonly": True, **_PERMITTED} | server
            main = stack.enter_context(redis_server(**settings))
            yield Redis(main, stack.enter_context(redis_server(**settings)) if apart else None)
        else:
            yield stack.enter_context(_elsewhere(name, folder, queue_type, server))


def _elsewhere(name: str, folder: Path, queue_type: str, server: dict[str, Any]) -> AbstractContextManager[Broker]:
    """Those that not every run needs, and not every machine has the servers of."""
    from tests.faults import groups_of_servers, rabbit

    if name == "sentinel":
        return groups_of_servers.sentinels(**server)
    if name == "cluster":
        return groups_of_servers.cluster(**server)
    if name == "rabbitmq-cluster":
        return rabbit.rabbit_cluster(**server)
    return rabbit.rabbit(queue_type, **server)


BROKERS: Final = ("embedded", "redis", "rabbitmq")
