"""What is declared on the server: values, and the rules by which Celery makes queues (protocol.md, section 6). No I/O.

Both sides declare the same queues, so nothing of ours may be among a task queue's arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from celeriac.routing import Exchange, Queue
from celeriac.stores.amqp.names import (
    CONTROL_EXCHANGE,
    EVENT_EXCHANGE,
    MAX_PRIORITY,
    OWN_EXCHANGES,
    QUEUE_TYPE,
    REVOCATION_STREAM,
)
from celeriac.stores.options import StoreOptions

__all__ = ["STREAM", "BoundExchange", "BoundQueue", "Declaration", "MadeExchange", "MadeQueue", "Topology"]

QUORUM: Final = "quorum"
_ATTEMPTS: Final = 5
"""With the pauses between them almost a second: a new quorum queue has found its leader by then."""
_OWN_TYPES: Final = {CONTROL_EXCHANGE: ("fanout", False), EVENT_EXCHANGE: ("topic", True)}
"""Type and durability of the exchanges that Celery makes for itself."""


class MadeExchange(msgspec.Struct, frozen=True):
    """An exchange that is declared."""

    name: str
    kind: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    arguments: dict[str, Any] = {}


class MadeQueue(msgspec.Struct, frozen=True):
    """A queue that is declared."""

    name: str
    arguments: dict[str, Any] = {}
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False


STREAM: Final = MadeQueue(
    REVOCATION_STREAM,
    {
        QUEUE_TYPE: "stream",
        "x-max-age": "7D",
        "x-max-length-bytes": 64 * 1024 * 1024,
        "x-stream-max-segment-size-bytes": 1024 * 1024,
    },
)
"""Segments are dropped whole, so small ones let a worker that starts read little."""


class BoundQueue(msgspec.Struct, frozen=True):
    """A binding of a queue to an exchange."""

    queue: str
    exchange: str
    routing_key: str
    arguments: dict[str, Any] = {}


class BoundExchange(msgspec.Struct, frozen=True):
    """A binding by which messages of ``source`` go on to ``destination``."""

    destination: str
    source: str
    routing_key: str


Declaration = MadeExchange | MadeQueue | BoundQueue | BoundExchange


class Topology:
    """The queues and exchanges of an application, those it declares and those that are made at first use.

    Args:
        options: ``queues``, ``missing_queue_type`` and ``missing_exchange_type`` count.
    """

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        self._queues = {queue.name: queue for queue in options.queues}
        self._exchanges: dict[str, Exchange] = {}
        for queue in self._queues.values():
            for binding in queue.bound:
                if binding.exchange.name:
                    self._exchanges[binding.exchange.name] = binding.exchange

    @property
    def names(self) -> Iterable[str]:
        """The declared queues."""
        return self._queues

    @property
    def has_quorum(self) -> bool:
        """Any declared queue is a quorum queue."""
        return any(is_quorum(queue) for queue in self._queues.values())

    def queue(self, name: str) -> Queue:
        """The queue of that name: as it was declared, else as missing ones are made."""
        known = self._queues.get(name)
        if known is not None:
            return known
        kind = self._options.missing_queue_type
        exchange = Exchange(name, self._options.missing_exchange_type or "direct")
        return Queue(name, exchange, name, type=None if kind == "classic" else kind)

    def is_quorum(self, name: str) -> bool:
        """Whether it is a quorum queue.

        These take what is returned at some later moment, at no certain place, and count it against the message; so a
        message is given back to them as a copy.
        """
        return is_quorum(self.queue(name))

    def may_take_later(self, name: str, attempt: int) -> bool:
        """Whether a message that a queue refused is worth another attempt, after its declaration and a pause.

        A quorum queue that several clients make at the same time refuses what comes in that moment, with the same words
        as one that is full.
        """
        return attempt <= _ATTEMPTS and not name.startswith(OWN_EXCHANGES) and self.is_quorum(name)

    def exchange(self, name: str) -> Exchange | None:
        """What is known of an exchange."""
        known = self._exchanges.get(name)
        if known is None and name in _OWN_TYPES:
            kind, durable = _OWN_TYPES[name]
            return Exchange(name, kind, durable=durable)
        return known

    def bound_to(self, exchange: str) -> list[str]:
        """The declared queues that are bound to an exchange."""
        return [
            queue.name
            for queue in self._queues.values()
            if any(binding.exchange.name == exchange for binding in queue.bound)
        ]

    def of_queue(self, name: str) -> Iterator[Declaration]:
        """What makes a queue: its exchanges, itself, its bindings."""
        if name == STREAM.name:
            yield STREAM
            return
        queue = self.queue(name)
        for binding in queue.bound:
            if binding.exchange.name:
                yield made(binding.exchange)
        yield MadeQueue(queue.name, declared_arguments(queue), queue.durable, queue.exclusive, queue.auto_delete)
        for binding in queue.bound:
            if binding.exchange.name:
                yield BoundQueue(queue.name, binding.exchange.name, binding.routing_key, binding.arguments)


def is_quorum(queue: Queue) -> bool:
    """Whether it is a quorum queue."""
    return declared_arguments(queue).get(QUEUE_TYPE) == QUORUM


def declared_arguments(queue: Queue) -> dict[str, Any]:
    """The arguments of a declaration; quorum queues do not take Celery's ``x-max-priority``."""
    arguments = queue.declaration_arguments()
    if arguments.get(QUEUE_TYPE) == QUORUM:
        arguments.pop(MAX_PRIORITY, None)
    return arguments


def made(exchange: Exchange) -> MadeExchange:
    """The declaration of an exchange."""
    return MadeExchange(exchange.name, exchange.type, exchange.durable, exchange.auto_delete, exchange.arguments)
