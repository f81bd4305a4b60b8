"""Delays that the server keeps: a ladder of queues whose messages expire. No I/O.

RabbitMQ can keep a message for a time that its queue says, and only that. So there is a queue for each power of two of
milliseconds, and a delay is a way through those whose bits are set, from the highest down:

- Exchange and queue ``celeriac.delay.<type>.<k>``, for k from 37 to 0. The exchange sends a message whose bit k is set
  to the queue, where it stays for 2^k milliseconds and then goes to the exchange of k-1; others go there at once.
- After the last bit comes the topic exchange ``celeriac.delayed``, to which every target queue is bound by its name.
- A routing key is the bits, highest first, one word each, then the name of the target queue. The number of words
  before the name is fixed, so that names with dots are told apart.

A publication enters at its highest bit. A message that is in the ladder survives whatever its queues survive. When its
target was deleted meanwhile it goes from ``celeriac.delayed`` to the dead letters, by way of the alternate exchange.

Celery's own layout (protocol.md, section 7) is the same idea in seconds; it needs topic exchanges for the tasks
themselves, and is kept apart: :mod:`~celeriac.stores.amqp.native`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import msgspec

from celeriac.stores.amqp.names import BITS, DELAY, DELAYED, QUEUE_TYPE, UNDELIVERED
from celeriac.stores.amqp.topology import BoundExchange, BoundQueue, Declaration, MadeExchange, MadeQueue

__all__ = ["DELAYED", "PREFIX", "Rung", "declarations", "milliseconds", "pattern_of", "rung_of", "target_of"]

PREFIX: Final = f"{DELAY}."
"""Before the names of the ladder's exchanges."""

LONGEST: Final[int] = 2**BITS - 1
"""Milliseconds; a later message is held this long, and then again by the worker that gets it."""
_MILLISECONDS: Final = 1000.0


class Rung(msgspec.Struct, frozen=True):
    """Where a held message is published to."""

    exchange: str
    routing_key: str


def milliseconds(seconds: float) -> int:
    """A delay in whole milliseconds, never shorter than it is; 0 for one that is over.

    One more than the delay: the server's clock counts whole milliseconds, so a message may be up to one too early.
    """
    if seconds <= 0:
        return 0
    return int(min(LONGEST, math.ceil(seconds * _MILLISECONDS) + 1))


def rung_of(delay: int, queue: str, kind: str) -> Rung:
    """Where a message for ``queue`` is published to so that it arrives after ``delay`` milliseconds.

    Args:
        delay: from 1 to :data:`LONGEST`.
        queue: the target's name.
        kind: of the ladder's queues, ``classic`` or ``quorum``.
    """
    bits = ".".join(f"{delay:0{BITS}b}")
    return Rung(f"{DELAY}.{kind}.{delay.bit_length() - 1}", f"{bits}.{queue}")


def target_of(routing_key: str) -> str:
    """The queue that a held message is for."""
    return routing_key[2 * BITS :]


def pattern_of(queue: str) -> str:
    """The key by which a queue is bound to ``celeriac.delayed``."""
    return "*." * BITS + queue


def declarations(kind: str, dead_letter_queue: str) -> Iterator[Declaration]:
    """Everything that makes the ladder, in an order in which each part's parts exist.

    Args:
        kind: of the ladder's queues.
        dead_letter_queue: gets what cannot be delivered in the end.
    """
    yield MadeExchange(UNDELIVERED, "fanout")
    yield BoundQueue(dead_letter_queue, UNDELIVERED, "")
    yield MadeExchange(DELAYED, "topic", arguments={"alternate-exchange": UNDELIVERED})
    for bit in range(BITS):
        name = f"{DELAY}.{kind}.{bit}"
        below = f"{DELAY}.{kind}.{bit - 1}" if bit else DELAYED
        before = "*." * (BITS - 1 - bit)
        yield MadeExchange(name, "topic")
        yield MadeQueue(name, _arguments(bit, below, kind))
        yield BoundQueue(name, name, f"{before}1.#")
        yield BoundExchange(below, name, f"{before}0.#")


def _arguments(bit: int, below: str, kind: str) -> dict[str, object]:
    arguments: dict[str, object] = {
        QUEUE_TYPE: kind,
        "x-message-ttl": 2**bit,
        "x-dead-letter-exchange": below,
    }
    if kind == "quorum":
        # Quorum queues keep a message until its next queue has confirmed it; that needs this way of being full.
        arguments |= {"x-overflow": "reject-publish", "x-dead-letter-strategy": "at-least-once"}
    return arguments
