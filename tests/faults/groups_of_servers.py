"""Redis with Sentinel and Redis Cluster as brokers of the fault runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

from tests.deployments import Cluster, Sentinels, client_of, redis_cluster, redis_sentinels
from tests.faults.brokers import STANDING, Server
from tests.servers import RedisServer

__all__ = ["Group", "cluster", "sentinels"]


class Group:
    """A deployment of several servers.

    Attributes:
        deployment: it.
    """

    server: Server | None = None
    backend: RedisServer | None = None
    settings: ClassVar[dict[str, Any]] = {}
    opened_later = 6

    def __init__(self, name: str, deployment: Sentinels | Cluster, options: str) -> None:
        self.name = name
        self.deployment = deployment
        url = deployment.url + options
        self.environment = {"CELERIAC_BROKER_URL": url, "CELERIAC_RESULT_BACKEND": url}

    def through(self, port: int) -> dict[str, str]:
        raise NotImplementedError(f"a deployment has many addresses, port {port} would be one")

    def usable(self) -> bool:
        return True

    def connections(self) -> int | None:
        return None

    def _masters(self) -> list[RedisServer]:
        deployment = self.deployment
        return [deployment.master()] if isinstance(deployment, Sentinels) else deployment.masters()

    def results(self) -> int:
        total = 0
        for server in self._masters():
            with client_of(server) as client:
                total += sum(b"celery-task-meta-" in key for key in client.scan_iter("*", count=1000))
        return total

    def residue(self) -> list[str]:
        left = []
        for server in self._masters():
            with client_of(server) as client:
                for key in client.scan_iter("*", count=1000):
                    standing = any(name in key for name in STANDING)
                    if not standing and client.ttl(key) == -1:
                        left.append(key.decode(errors="replace"))
        return left


@contextlib.contextmanager
def sentinels(options: str = "", **server: Any) -> Iterator[Group]:
    """Run one master, two replicas and three sentinels for the block."""
    with redis_sentinels(**server) as made:
        yield Group("sentinel", made, options)


@contextlib.contextmanager
def cluster(options: str = "", **server: Any) -> Iterator[Group]:
    """Run three masters with a replica each for the block."""
    with redis_cluster(**server) as made:
        yield Group("cluster", made, options)
