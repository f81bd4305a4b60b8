"""taskiq on Redis."""

from __future__ import annotations

from benchmarks.redis_server import RedisServer
from benchmarks.systems.system import FAMILIES, REDIS, Subject, System

SCHEDULED = frozenset({"scheduled"})


class Taskiq(System):
    """`taskiq worker` with two processes, and `taskiq scheduler` where tasks are due later."""

    name = "taskiq"
    application = "benchmarks.apps.taskiq_app"
    import_statement = "from taskiq_redis import ListQueueBroker"
    is_peer = True
    has_batch = True

    def subjects(self) -> tuple[Subject, ...]:
        """Its defaults, with a scheduler, and with a client that polls for results every millisecond."""
        redis = frozenset({REDIS})
        worker = self._command("worker", "broker", "--workers", "2")
        scheduler = self._command("scheduler", "scheduler", "--update-interval", "1")
        round_trip = frozenset({"round-trip"})
        return (
            Subject(self, "--workers 2", worker, families=FAMILIES - SCHEDULED, stores=redis),
            Subject(self, "--workers 2, check_interval=1 ms", worker, (), "poll", round_trip, redis),
            Subject(self, "--workers 2 and scheduler", worker, (scheduler,), "", SCHEDULED, redis),
        )

    def _command(self, command: str, name: str, *options: str) -> tuple[str, ...]:
        return (self.script("taskiq"), command, f"{self.application}:{name}", "--log-level", "WARNING", *options)

    def settled_on_redis(self, server: RedisServer, results: int) -> bool:
        """A task leaves the list when it is taken; one key a result."""
        return server.command("LLEN", "taskiq") == 0 and server.keys() >= results
