"""An app on a memory broker of its own, and its messages run by hand: what a worker would do, one step at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from celeriac import Celeriac
from celeriac.app.runner import TaskRunner
from celeriac.envelope import decode
from celeriac.message import Message, body_of
from celeriac.pools.pool import Outcome, Work
from celeriac.stores.store import Outgoing, ResultRecord

__all__ = ["Caught", "caught", "make_app", "run", "run_all", "store_result"]

_numbers = count(1)
ALL_CONTENT = frozenset({"application/json", "application/x-python-serialize", "application/x-yaml"})


def make_app(**settings: Any) -> Celeriac:
    """An app whose broker and results are in memory, its own."""
    main = settings.pop("main", "proj")
    return Celeriac(main, broker=f"memory://app-{next(_numbers)}", set_as_current=False, **settings)


class Caught(list[Outgoing]):
    """The messages that were published in a block."""

    @property
    def messages(self) -> list[Message]:
        return [decode(outgoing.payload) for outgoing in self]

    @property
    def message(self) -> Message:
        (only,) = self.messages
        return only

    @property
    def headers(self) -> dict[str, Any]:
        return self.message.headers

    @property
    def body(self) -> Any:
        return body_of(self.message, ALL_CONTENT, 1 << 30)


@contextmanager
def caught(app: Celeriac) -> Iterator[Caught]:
    """Catch what the app publishes instead of publishing it."""
    published = Caught()

    class Store:
        def publish(self, messages: Any) -> None:
            published.extend(messages)

        def close(self) -> None: ...

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    real = app.store
    app.connections._sync = Store()  # type: ignore[assignment]
    try:
        yield published
    finally:
        app.connections._sync = real


def run(app: Celeriac, outgoing: Outgoing | bytes, **work: Any) -> Outcome:
    """Run one message as a child would."""
    payload, queue = (outgoing.payload, outgoing.queue) if isinstance(outgoing, Outgoing) else (outgoing, "celery")
    runner = TaskRunner(app, "test@here", True)
    return runner.load(Work(1, payload, queue, **work)).run()


def run_all(app: Celeriac, outgoing: list[Outgoing], limit: int = 50) -> list[Outcome]:
    """Run messages, their follow-ups, and theirs; results are stored as a worker would."""
    outcomes = []
    queue = list(outgoing)
    while queue and len(outcomes) < limit:
        message = queue.pop(0)
        outcome = run(app, message)
        outcomes.append(outcome)
        if outcome.result is not None:
            task_id = decode(message.payload).headers["id"]
            app.store.store_results([ResultRecord(task_id, outcome.result, outcome.state)])
        queue += outcome.follow_ups
    return outcomes


def store_result(app: Celeriac, task_id: str, value: Any = None, state: str = "SUCCESS", **document: Any) -> None:
    """Store a result as a worker would."""
    from celeriac import documents
    from celeriac.serialization.failures import encode_exception

    serializer = app.settings.result_serializer
    result = encode_exception(value, serializer) if isinstance(value, BaseException) else value
    full = {"status": state, "result": result, "traceback": None, "children": [], "task_id": task_id, **document}
    app.store.store_results([ResultRecord(task_id, documents.encode(full, serializer), state)])
