"""huey on Redis, or on its SQLite storage, as its users write it.

Variant `notify`: results wake their reader (`notify_result`), huey's fast way of waiting; it costs a command a task,
so it is on for round trips only.
"""
# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportFunctionMemberAccess=false

from __future__ import annotations

from datetime import datetime

from huey import RedisHuey, SqliteHuey

from benchmarks import marks
from benchmarks.apps import BROKER, RESULTS, STORE, VARIANT
from benchmarks.apps.sender import ANSWER_LIMIT, Sender

if BROKER:
    huey = RedisHuey("bench", url=BROKER, results=RESULTS, notify_result=VARIANT == "notify")
else:
    huey = SqliteHuey("bench", filename=STORE, results=RESULTS)


@huey.task()
def noop() -> int:
    """Do nothing."""
    marks.done()
    return 1


@huey.task()
def stamp(reference: float) -> None:
    """Record when this started."""
    marks.started(reference)


class HueySender(Sender):
    """Calling a task sends it."""

    def send(self) -> object:
        """Send one."""
        return noop()

    def call(self) -> object:
        """Send one and wait."""
        return noop().get(blocking=True, timeout=ANSWER_LIMIT)

    def send_stamp(self, reference: float) -> object:
        """Send a stamp."""
        return stamp(reference)

    def send_at(self, due: float) -> object:
        """Send a stamp for a local time, as huey's schedule wants it."""
        return stamp.schedule((due,), eta=datetime.fromtimestamp(due))


def sender() -> Sender:
    """The client's side."""
    return HueySender()
