"""RabbitMQ as a broker of the fault runs, with the results in a Redis beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import psutil
import redis

from tests.faults.brokers import Server
from tests.rabbitmq import RabbitServer, rabbitmq_cluster, rabbitmq_server
from tests.servers import RedisServer, redis_server

__all__ = ["QUORUM", "Rabbit", "rabbit", "rabbit_cluster"]

QUORUM: Final = "quorum"
DEFAULT_QUEUE: Final = "celery"
HEARTBEAT: Final = 2
"""Seconds, so that a dead connection is found as soon as a lease of these runs ends on other brokers."""
_OWN: Final = ("celeriac.revocations", "celeriac.dead", "celeriac.once.")
"""Queues that hold something when nothing is left to do: what was revoked, and what died (judged by itself)."""


class Rabbit:
    """RabbitMQ, with quorum queues unless classic ones are asked for.

    Args:
        nodes: of the cluster, or the only one.
        backend: of the results.
        queue_type: of the queues that the app declares.
    """

    name = "rabbitmq"
    opened_later = 3

    def __init__(self, nodes: list[RabbitServer], backend: RedisServer, queue_type: str = QUORUM) -> None:
        self.nodes = nodes
        self.server: Server | None = nodes[0]
        self.backend: RedisServer | None = backend
        self._results = backend
        self.settings: dict[str, Any] = {"task_default_queue_type": queue_type}
        self.queue_type = queue_type
        self.environment = {
            "CELERIAC_BROKER_URL": ";".join(f"{node}?heartbeat={HEARTBEAT}" for node in nodes),
            "CELERIAC_RESULT_BACKEND": str(backend),
        }

    def through(self, port: int) -> dict[str, str]:
        return {"CELERIAC_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{port}//?heartbeat={HEARTBEAT}"}

    @property
    def alive(self) -> RabbitServer:
        """A node that runs."""
        return next(node for node in self.nodes if node._process is not None)

    def usable(self) -> bool:
        return True

    def connections(self) -> int | None:
        """As the kernel knows them: rabbitmqctl takes so much time of a processor that tasks end meanwhile."""
        ports = {node.port for node in self.nodes}
        return sum(
            each.status == psutil.CONN_ESTABLISHED and each.laddr.port in ports
            for each in psutil.net_connections("tcp")
            if each.laddr
        )

    def results(self) -> int:
        with redis.Redis(port=self._results.port) as client:
            return sum(1 for _ in client.scan_iter("celery-task-meta-*", count=1000))

    def residue(self) -> list[str]:
        """What is left in it; and that the queue is of another type than was asked for, which would spoil the run."""
        columns = ("name", "type", "messages_ready", "messages_unacknowledged")
        lines = self.alive.ctl("list_queues", *columns).splitlines()
        rows = [line.split("\t") for line in lines if line.count("\t") == len(columns) - 1]
        found = [row for row in rows if row[0] != "name"]
        return [
            f"{name}: {ready} ready, {unacked} unacknowledged"
            for name, _, ready, unacked in found
            if not name.startswith(_OWN) and (ready != "0" or unacked != "0")
        ] + [
            f"{name} is a {kind} queue" for name, kind, *_ in found if name == DEFAULT_QUEUE and kind != self.queue_type
        ]


@contextlib.contextmanager
def rabbit(queue_type: str = QUORUM, **server: Any) -> Iterator[Rabbit]:
    """Run one node for the block."""
    with ExitStack() as stack:
        backend = stack.enter_context(redis_server(appendonly=True))
        yield Rabbit([stack.enter_context(rabbitmq_server(**server))], backend, queue_type)


@contextlib.contextmanager
def rabbit_cluster(**server: Any) -> Iterator[Rabbit]:
    """Run three nodes for the block."""
    with ExitStack() as stack:
        backend = stack.enter_context(redis_server(appendonly=True))
        yield Rabbit(stack.enter_context(rabbitmq_cluster(3, **server)), backend)
