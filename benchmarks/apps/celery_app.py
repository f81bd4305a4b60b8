"""Celery 5.7 as its users write it."""
# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportFunctionMemberAccess=false

from __future__ import annotations

from datetime import UTC, datetime

from celery import Celery

from benchmarks import marks
from benchmarks.apps import BACKEND, BROKER, RESULTS
from benchmarks.apps.sender import ANSWER_LIMIT, Sender

# Without results there is no backend, as when a Celery user configures none.
app = Celery("bench", broker=BROKER, backend=BACKEND if RESULTS else None)
app.conf.broker_connection_retry_on_startup = True


@app.task
def noop() -> int:
    """Do nothing."""
    marks.done()
    return 1


@app.task
def stamp(reference: float) -> None:
    """Record when this started."""
    marks.started(reference)


class CelerySender(Sender):
    """`delay` and `apply_async`."""

    def send(self) -> object:
        """Send one."""
        return noop.delay()

    def call(self) -> object:
        """Send one and wait."""
        return noop.delay().get(timeout=ANSWER_LIMIT)

    def send_stamp(self, reference: float) -> object:
        """Send a stamp."""
        return stamp.delay(reference)

    def send_at(self, due: float) -> object:
        """Send a stamp with an ETA."""
        return stamp.apply_async((due,), eta=datetime.fromtimestamp(due, UTC))


def sender() -> Sender:
    """The client's side."""
    return CelerySender()
