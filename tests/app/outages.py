"""A broker in memory that goes away when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celeriac import Celeriac
from celeriac.exceptions import BrokerUnreachable, CeleriacError, MessageRefused
from celeriac.stores.store import Outgoing
from tests.app.harness import make_app

__all__ = ["Broker", "outage"]


class Broker:
    """The store of an app, which fails as it is told; it counts attempts.

    Attributes:
        failure: raised by each attempt while it is set.
        refused: whatever comes with a message for which this is true is refused, while it is set.
        keeping: what is published reaches the real store too.
        attempts: how many publications were tried.
        got: what was published, in its order.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.failure: CeleriacError | None = None
        self.refused: Callable[[Outgoing], bool] | None = None
        self.keeping = True
        self.attempts = 0
        self.got: list[Outgoing] = []

    def fail(self, error: CeleriacError | None = None) -> None:
        """Go away."""
        self.failure = error or BrokerUnreachable("cannot reach it")

    def recover(self) -> None:
        """Come back."""
        self.failure = None

    def publish(self, messages: Sequence[Outgoing]) -> None:
        self.attempts += 1
        if self.failure is not None:
            raise self.failure
        if self.refused is not None and any(map(self.refused, messages)):
            raise MessageRefused("no queue takes it")
        if self.keeping:
            self._store.publish(messages)
        self.got.extend(messages)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class AsyncBroker:
    """The same broker for coroutines."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        self._broker.publish(messages)


@contextmanager
def outage(**settings: Any) -> Iterator[tuple[Celeriac, Broker]]:
    """An app, and its broker, which works until it is told otherwise."""
    app = make_app(**settings)

    @app.task(name="add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    broker = Broker(app.store)

    async def of_running_loop() -> Any:
        return AsyncBroker(broker)

    app.connections._sync = broker  # type: ignore[assignment]
    app.connections.of_running_loop = of_running_loop  # type: ignore[method-assign]
    try:
        yield app, broker
    finally:
        broker.recover()
        app.close()
