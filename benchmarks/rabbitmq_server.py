"""A private, throw-away RabbitMQ: own port, own folder, loopback only; each run has a virtual host of its own there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import pytest

from benchmarks.errors import BenchmarkError
from celeriac.stores.amqp.sync_pool import SyncPool
from celeriac.stores.options import StoreOptions
from tests.rabbitmq import RabbitServer, need_rabbitmq, rabbitmq_server


class RabbitMQ:
    """A running node; ended on leaving the `with` block."""

    def __enter__(self) -> Self:
        try:
            need_rabbitmq()
        except pytest.skip.Exception as error:
            raise BenchmarkError(str(error)) from None
        self._stack = ExitStack()
        self.server: RabbitServer = self._stack.enter_context(rabbitmq_server())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def place(self) -> str:
        """The URL of an empty virtual host."""
        return self.server.virtual_host()

    def ready(self, place: str) -> Callable[[str], int]:
        """How many messages wait in a queue of the virtual host; it must exist."""
        pool = SyncPool(StoreOptions(url=place))
        self._stack.callback(pool.close)
        return lambda queue: pool.call(lambda channel: channel.declare_queue(queue, passive=True)).messages
