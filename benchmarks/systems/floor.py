"""The hand-written floor (`benchmarks.floor`) as a system beside the others."""

from __future__ import annotations

from benchmarks.redis_server import RedisServer
from benchmarks.systems.system import REDIS, Subject, System


class Floor(System):
    """What a worker without any duty reaches."""

    name = "floor"
    application = "benchmarks.floor"
    import_statement = "import msgspec, redis"
    has_batch = True

    def subjects(self) -> tuple[Subject, ...]:
        """One child and two."""
        stores = frozenset({REDIS})
        worker = (str(self.interpreter), "-m", "benchmarks.floor")
        enqueue_drain = frozenset({"enqueue", "drain"})
        return (
            Subject(self, "2 children", (*worker, "2"), (), "", enqueue_drain, stores),
            Subject(self, "1 child", (*worker, "1"), (), "", frozenset({"drain", "round-trip"}), stores),
        )

    def settled_on_redis(self, server: RedisServer, results: int) -> bool:
        """As Celery's."""
        waiting = server.command("LLEN", "celery") + server.command("HLEN", "unacked")
        return waiting == 0 and server.keys() >= results
