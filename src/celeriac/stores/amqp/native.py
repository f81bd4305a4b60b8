"""Celery's own delayed delivery, for fleets in which Celery sends and Celeriac works (protocol.md, section 7). No I/O.

Celery sends to it when any of its queues is a quorum queue and the target's exchange is not a direct one. It is our
ladder in seconds, with the difference that a message goes back through the exchange of its queue, so that queue and
exchange are bound by the key behind any number of words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from celeriac.routing import Queue
from celeriac.stores.amqp.names import QUEUE_TYPE
from celeriac.stores.amqp.topology import BoundExchange, BoundQueue, Declaration, MadeExchange, MadeQueue, made

__all__ = ["layout", "ways_back"]

LEVELS: Final = 28
_DELIVERY: Final = "celery_delayed_delivery"
_MILLISECONDS: Final = 1000


def _name(level: int) -> str:
    return f"celery_delayed_{level}"


def layout(kind: str) -> Iterator[Declaration]:
    """The exchanges and queues of all levels, declared as Celery does.

    Args:
        kind: of the queues, ``classic`` or ``quorum``.
    """
    yield MadeExchange(_DELIVERY, "topic")
    for level in range(LEVELS):
        below = _name(level - 1) if level else _DELIVERY
        before = "*." * (LEVELS - 1 - level)
        arguments: dict[str, Any] = {
            QUEUE_TYPE: kind,
            "x-overflow": "reject-publish",
            "x-message-ttl": 2**level * _MILLISECONDS,
            "x-dead-letter-exchange": below,
        }
        if kind == "quorum":
            arguments["x-dead-letter-strategy"] = "at-least-once"
        yield MadeExchange(_name(level), "topic")
        yield MadeQueue(_name(level), arguments)
        yield BoundQueue(_name(level), _name(level), f"{before}1.#")
        yield BoundExchange(below, _name(level), f"{before}0.#")


def ways_back(queue: Queue) -> Iterator[Declaration]:
    """How a queue gets what was delayed; nothing for direct exchanges, which Celery does not delay for."""
    exchange = queue.source
    if not exchange.name or exchange.type == "direct":
        return
    key = queue.routing_key if queue.routing_key.startswith("#") else f"#.{queue.routing_key}"
    yield made(exchange)
    yield BoundExchange(exchange.name, _DELIVERY, key)
    yield BoundQueue(queue.name, exchange.name, key)
