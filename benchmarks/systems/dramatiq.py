"""dramatiq on Redis and RabbitMQ."""

from __future__ import annotations

from benchmarks.redis_server import RedisServer
from benchmarks.systems.system import RABBITMQ, REDIS, Ready, Subject, System

PREFETCH = (("dramatiq_queue_prefetch", "1000"),)
"""Messages fetched ahead: 16 by default with eight threads. Its fastest setting for short tasks of those tried here
(1 to 16 threads, 500 and 1,000 ahead)."""


class Dramatiq(System):
    """The `dramatiq` command: processes of threads."""

    name = "dramatiq"
    application = "benchmarks.apps.dramatiq_app"
    import_statement = "import dramatiq; from dramatiq.brokers.redis import RedisBroker"
    is_peer = True

    def subjects(self) -> tuple[Subject, ...]:
        """Its defaults on two processes, its fastest setting, and one thread a process as a prefork pool has."""
        drain, also_calls = frozenset({"drain"}), frozenset({"drain", "round-trip"})
        threads, stores = self._worker("2", "8"), frozenset({REDIS, RABBITMQ})
        return (
            Subject(self, "-p 2 -t 8", threads, stores=stores),
            Subject(self, "-p 2 -t 8, prefetch 1000", threads, (), "", drain, stores, PREFETCH),
            Subject(self, "-p 2 -t 1", self._worker("2", "1"), (), "", also_calls, stores),
        )

    def _worker(self, processes: str, threads: str) -> tuple[str, ...]:
        return (self.script("dramatiq"), self.application, "-p", processes, "-t", threads)

    def settled_on_redis(self, server: RedisServer, results: int) -> bool:
        """A message stays in its queue's table until it is acknowledged; one key a result."""
        return server.command("HLEN", "dramatiq:default.msgs") == 0 and server.keys() >= results

    def settled_on_rabbitmq(self, ready: Ready, server: RedisServer, results: int) -> bool:
        """The queue is empty, one key a result."""
        return ready("default") == 0 and server.keys() >= results
