"""dramatiq on Redis or RabbitMQ as its users write it."""
# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator,misc"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportFunctionMemberAccess=false

from __future__ import annotations

import time

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks import marks
from benchmarks.apps import BACKEND, BROKER, RESULTS
from benchmarks.apps.sender import ANSWER_LIMIT, Sender

MILLISECONDS = 1_000

broker = RabbitmqBroker(url=BROKER) if BROKER.startswith("amqp") else RedisBroker(url=BROKER)
if RESULTS:
    broker.add_middleware(Results(backend=RedisBackend(url=BACKEND)))
dramatiq.set_broker(broker)

options = {"store_results": True} if RESULTS else {}


@dramatiq.actor(**options)
def noop() -> int:
    """Do nothing."""
    marks.done()
    return 1


@dramatiq.actor
def stamp(reference: float) -> None:
    """Record when this started."""
    marks.started(reference)


class DramatiqSender(Sender):
    """`send` and `send_with_options`."""

    def send(self) -> object:
        """Send one."""
        return noop.send()

    def call(self) -> object:
        """Send one and wait."""
        return noop.send().get_result(block=True, timeout=int(ANSWER_LIMIT * MILLISECONDS))

    def send_stamp(self, reference: float) -> object:
        """Send a stamp."""
        return stamp.send(reference)

    def send_at(self, due: float) -> object:
        """Send a stamp with a delay, the only form that dramatiq has."""
        return stamp.send_with_options(args=(due,), delay=max(0, int((due - time.time()) * MILLISECONDS)))


def sender() -> Sender:
    """The client's side."""
    return DramatiqSender()
