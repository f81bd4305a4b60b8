"""Celery 5.7, the system that Celeriac replaces: the reference of every table."""

from __future__ import annotations

from benchmarks.redis_server import RedisServer
from benchmarks.systems.system import RABBITMQ, REDIS, RPC, Ready, Subject, System


class Celery(System):
    """`celery worker` on Redis or RabbitMQ, with Celery's defaults."""

    name = "celery"
    application = "benchmarks.apps.celery_app"
    import_statement = "from celery import Celery"

    def subjects(self) -> tuple[Subject, ...]:
        """Prefork, and the pools that need no further package."""
        only_drain = frozenset({"drain"})
        stores, rabbitmq = frozenset({REDIS}), frozenset({RABBITMQ})
        prefork, solo = self._worker("-P", "prefork", "-c", "2"), self._worker("-P", "solo")
        second = (*solo, "-n", "second@%h")
        return (
            Subject(self, "prefork -c 2", prefork, stores=stores | rabbitmq),
            Subject(self, "threads -c 2", self._worker("-P", "threads", "-c", "2"), (), "", only_drain, stores),
            Subject(self, "solo", solo, (), "", only_drain, stores),
            Subject(self, "solo, two workers", (*solo, "-n", "first@%h"), (second,), "", only_drain, rabbitmq),
            Subject(self, "prefork -c 2, rpc", prefork, (), RPC, frozenset({"round-trip"}), rabbitmq),
        )

    def _worker(self, *pool: str) -> tuple[str, ...]:
        return (self.script("celery"), "-A", self.application, "worker", "-l", "WARNING", *pool)

    def settled_on_redis(self, server: RedisServer, results: int) -> bool:
        """Queue and in-flight table are empty, one key a result."""
        waiting = server.command("LLEN", "celery") + server.command("HLEN", "unacked")
        return waiting == 0 and server.keys() >= results

    def settled_on_rabbitmq(self, ready: Ready, server: RedisServer, results: int) -> bool:
        """The queue is empty, one key a result."""
        return ready("celery") == 0 and server.keys() >= results
