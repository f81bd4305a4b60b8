"""huey on Redis and on its SQLite storage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.redis_server import RedisServer
from benchmarks.systems.system import EMBEDDED, FAMILIES, REDIS, Subject, System

ROUND_TRIP = frozenset({"round-trip"})


class Huey(System):
    """`huey_consumer`, quiet."""

    name = "huey"
    application = "benchmarks.apps.huey_app"
    import_statement = "from huey import RedisHuey"
    is_peer = True

    def subjects(self) -> tuple[Subject, ...]:
        """Processes; with notified results for round trips on Redis; threads."""
        process, redis = self._worker("process"), frozenset({REDIS})
        return (
            Subject(self, "process -w 2", process, families=FAMILIES - ROUND_TRIP),
            Subject(self, "process -w 2, notify_result", process, (), "notify", ROUND_TRIP, redis),
            Subject(self, "process -w 2", process, families=ROUND_TRIP, stores=frozenset({EMBEDDED})),
            Subject(self, "thread -w 2", self._worker("thread"), (), "", frozenset({"drain"})),
        )

    def _worker(self, kind: str) -> tuple[str, ...]:
        return (self.script("huey_consumer"), f"{self.application}.huey", "-k", kind, "-w", "2", "-q")

    def settled_on_redis(self, server: RedisServer, results: int) -> bool:
        """A task leaves the list when it is taken; results are fields of one hash."""
        waiting = server.command("LLEN", "huey.redis.bench")
        return bool(waiting == 0 and server.command("HLEN", "huey.results.bench") >= results)

    def settled_on_sqlite(self, path: Path, results: int) -> bool:
        """Rows of the tables `task` and `kv`."""
        with closing(sqlite3.connect(path)) as connection:
            (waiting,) = connection.execute("select count(*) from task").fetchone()
            (stored,) = connection.execute("select count(*) from kv").fetchone()
        return bool(waiting == 0 and stored >= results)
