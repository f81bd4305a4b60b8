"""Celeriac as its users write it: on Redis, on RabbitMQ, or with nothing configured on the embedded broker.

Variant `early`: the defaults that Celery programs get under the drop-in (acknowledged before the task runs).
"""

from __future__ import annotations

from datetime import UTC, datetime

from benchmarks import marks
from benchmarks.apps import BACKEND, BROKER, RESULTS, VARIANT
from benchmarks.apps.sender import ANSWER_LIMIT, Sender
from celeriac import Celeriac

# The embedded broker's file is named by CELERIAC_STORE, which the driver sets.
app = Celeriac("bench", broker=BROKER, backend=BACKEND) if BROKER else Celeriac("bench")
app.conf.task_ignore_result = not RESULTS
if VARIANT == "early":
    app.conf.task_acks_late = False
    app.conf.task_reject_on_worker_lost = None


@app.task
def noop() -> int:
    """Do nothing."""
    marks.done()
    return 1


@app.task
def stamp(reference: float) -> None:
    """Record when this started."""
    marks.started(reference)


class CeleriacSender(Sender):
    """`delay`, `apply_async` and `app.batch()`."""

    def send(self) -> object:
        """Send one."""
        return noop.delay()

    def call(self) -> object:
        """Send one and wait."""
        return noop.delay().get(timeout=ANSWER_LIMIT)

    def send_batch(self, count: int) -> object:
        """Send many in one pipeline."""
        with app.batch():
            for _ in range(count):
                noop.delay()
        return None

    def send_stamp(self, reference: float) -> object:
        """Send a stamp."""
        return stamp.delay(reference)

    def send_at(self, due: float) -> object:
        """Send a stamp with an ETA."""
        return stamp.apply_async((due,), eta=datetime.fromtimestamp(due, UTC))


def sender() -> Sender:
    """The client's side."""
    return CeleriacSender()
