"""Celeriac itself: each pool, the drop-in's defaults, and the embedded broker."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.redis_server import RedisServer
from benchmarks.systems.system import RABBITMQ, RPC, STORES, Ready, Subject, System

POOLS = {"threads": ("-c", "8"), "asyncio": ("-c", "100"), "solo": ()}
"""The pools beside prefork, with a usual capacity of one process."""


class Celeriac(System):
    """`celeriac worker`."""

    name = "celeriac"
    application = "benchmarks.apps.celeriac_app"
    import_statement = "from celeriac import Celeriac"
    has_batch = True

    def subjects(self) -> tuple[Subject, ...]:
        """Prefork with our defaults and with the drop-in's, then the other pools."""
        prefork = self._worker("prefork", "-c", "2")
        early = frozenset({"enqueue", "drain", "round-trip", "start-latency"})
        rabbitmq = frozenset({RABBITMQ})
        pools = tuple(
            Subject(self, " ".join((pool, *options)), self._worker(pool, *options), families=frozenset({"drain"}))
            for pool, options in POOLS.items()
        )
        return (
            Subject(self, "prefork -c 2", prefork, stores=STORES | {RABBITMQ}),
            Subject(self, "prefork -c 2, drop-in's defaults", prefork, variant="early", families=early),
            Subject(self, "prefork -c 2, rpc", prefork, (), RPC, frozenset({"drain", "round-trip"}), rabbitmq),
            *pools,
        )

    def _worker(self, pool: str, *options: str) -> tuple[str, ...]:
        return (self.script("celeriac"), "-A", self.application, "worker", "-P", pool, *options, "-l", "WARNING")

    def environment(self, store: Path) -> dict[str, str]:
        """The embedded broker's file."""
        return {"CELERIAC_STORE": str(store)}

    def pending_on_redis(self, server: RedisServer) -> int:
        """Messages that are ready, held or in flight."""
        ready = server.command("LLEN", "celery") + server.command("HLEN", "unacked")
        return int(ready + server.command("ZCARD", "celeriac.held.celery"))

    def pending_on_sqlite(self, path: Path) -> int:
        """Messages that are ready, held or in flight."""
        return _count(path, "message")

    def settled_on_redis(self, server: RedisServer, results: int) -> bool:
        """Nothing is pending; one key a result."""
        return self.pending_on_redis(server) == 0 and server.keys() >= results

    def settled_on_rabbitmq(self, ready: Ready, server: RedisServer, results: int) -> bool:
        """The queue is empty, one key a result."""
        return ready("celery") == 0 and server.keys() >= results

    def settled_on_sqlite(self, path: Path, results: int) -> bool:
        """Nothing is pending and the results are there."""
        return self.pending_on_sqlite(path) == 0 and _count(path, "result") >= results


def _count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute(f"select count(*) from {table}").fetchone()
    return int(count)
