"""The interface of a driver: how a system is started, fed, and asked whether it is finished.

A driver knows command lines and key names. What a user of the system would write is in `benchmarks.apps`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.redis_server import RedisServer

REDIS = "redis"
EMBEDDED = "sqlite"
RABBITMQ = "rabbitmq"
"""Messages on RabbitMQ; results on Redis or where the subject's variant says."""
RPC = "rpc"
"""The variant whose results travel as messages, to the client's own queue."""
STORES = frozenset({REDIS, EMBEDDED})
"""Those that a way of running a system takes part in unless it says otherwise."""
Ready = Callable[[str], int]
FAMILIES = frozenset({"enqueue", "drain", "round-trip", "start-latency", "scheduled", "idle", "cold-start", "import"})
"""Kinds of measurements; a way of running a system takes part in some of them."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One way of running one system: a row of the tables.

    `command` is the worker's command line, `companions` those of further processes that the system needs, `settings`
    environment variables that tune it, `variant` the word that the application module reads; `families` and `stores`
    say in which measurements it takes part.
    """

    system: System
    label: str
    command: tuple[str, ...]
    companions: tuple[tuple[str, ...], ...] = ()
    variant: str = ""
    families: frozenset[str] = FAMILIES
    stores: frozenset[str] = STORES
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """System and way of running it, as the tables show it."""
        return f"{self.system.name} {self.label}".strip()

    @property
    def sending_name(self) -> str:
        """System and variant, without the worker's options: the name where no worker runs."""
        _worker, comma, variant = self.label.partition(",")
        return f"{self.system.name}{comma}{variant}"


class System(ABC):
    """A task queue under measurement."""

    name: ClassVar[str]
    application: ClassVar[str]
    """The module in `benchmarks.apps` that holds its application."""
    import_statement: ClassVar[str]
    """What a program that only sends has to import."""
    is_peer: ClassVar[bool] = False
    """Whether it counts when a table names the fastest peer."""
    has_batch: ClassVar[bool] = False
    """Whether it, or its users' habit, has a way of sending many tasks at once."""

    def __init__(self, interpreter: Path) -> None:
        """Use the system that is installed for `interpreter`."""
        self.interpreter = interpreter

    @abstractmethod
    def subjects(self) -> tuple[Subject, ...]:
        """The ways of running it, the usual one first."""

    @abstractmethod
    def settled_on_redis(self, server: RedisServer, results: int) -> bool:
        """Whether no task waits or is in flight any more and `results` results are stored."""

    def settled_on_rabbitmq(self, ready: Ready, server: RedisServer, results: int) -> bool:
        """The same for RabbitMQ, where `ready(queue)` is how many messages wait, and results on Redis."""
        raise NotImplementedError(f"{self.name} is not measured on RabbitMQ")

    def settled_on_sqlite(self, path: Path, results: int) -> bool:
        """The same for the embedded broker's file at `path`."""
        raise NotImplementedError(f"{self.name} has no embedded broker")

    def environment(self, store: Path) -> dict[str, str]:
        """Environment variables of its own, when its file, if it has one, is `store`."""
        return {}

    def script(self, name: str) -> str:
        """Path of the system's command `name`, beside its interpreter."""
        return str(self.interpreter.parent / name)
