"""py-amqp, the client library under Celery, by itself: how fast one publish after the other can be confirmed."""

from __future__ import annotations

from benchmarks.redis_server import RedisServer
from benchmarks.systems.system import RABBITMQ, Subject, System


class PyAmqp(System):
    """Publishing only, with publisher confirms; no task queue."""

    name = "py-amqp"
    application = "benchmarks.apps.pyamqp_app"
    import_statement = "import amqp"

    def subjects(self) -> tuple[Subject, ...]:
        """One: the bare library."""
        return (Subject(self, "", (), families=frozenset({"enqueue"}), stores=frozenset({RABBITMQ})),)

    def settled_on_redis(self, server: RedisServer, results: int) -> bool:
        """It has nothing there."""
        return True
