"""The names of what we make on the server beside task queues, and of our own headers."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BITS",
    "CONTROL_EXCHANGE",
    "DEAD_EXPIRATION",
    "DEAD_ID",
    "DEAD_LOSSES",
    "DEAD_QUEUE",
    "DEAD_REASON",
    "DEAD_TIME",
    "DELAY",
    "DELAYED",
    "DELIVERY_COUNT",
    "EVENT_EXCHANGE",
    "GRANTED",
    "HOLDS",
    "LOSSES",
    "MAX_PRIORITY",
    "ONCE",
    "OWN_EXCHANGES",
    "OWN_HEADERS",
    "PARKED",
    "PARKED_CLAIM",
    "QUEUE_TYPE",
    "REVOCATION_STREAM",
    "UNDELIVERED",
]

LOSSES: Final = "celeriac-losses"
"""Header: how often the message's holder was lost."""
HOLDS: Final = "celeriac-holds"
"""Header: how often no worker knew its task."""
GRANTED: Final = "celeriac-granted"
"""Header: it was held for a rate limit and its token is reserved."""
DEAD_ID: Final = "celeriac-dead-id"
DEAD_QUEUE: Final = "celeriac-dead-queue"
DEAD_REASON: Final = "celeriac-dead-reason"
DEAD_TIME: Final = "celeriac-dead-time"
DEAD_LOSSES: Final = "celeriac-dead-losses"
DEAD_EXPIRATION: Final = "celeriac-dead-expiration"
"""Headers of a dead letter."""
DELIVERY_COUNT: Final = "x-delivery-count"
"""Header that quorum queues set: how often the message was returned to its queue, for whatever reason."""
PARKED_CLAIM: Final = "celeriac-claim"
"""Header of a parked message: the claim that it is for."""

OWN_HEADERS: Final = frozenset(
    {
        LOSSES,
        HOLDS,
        GRANTED,
        DEAD_ID,
        DEAD_QUEUE,
        DEAD_REASON,
        DEAD_TIME,
        DEAD_LOSSES,
        DEAD_EXPIRATION,
        PARKED_CLAIM,
        DELIVERY_COUNT,
        "x-death",
        "x-first-death-exchange",
        "x-first-death-queue",
        "x-first-death-reason",
        "x-last-death-exchange",
        "x-last-death-queue",
        "x-last-death-reason",
    }
)
"""Headers that the worker does not see: ours, and those that the server adds."""

QUEUE_TYPE: Final = "x-queue-type"
MAX_PRIORITY: Final = "x-max-priority"

DELAY: Final = "celeriac.delay"
"""Before the names of the ladder's exchanges and queues, see :mod:`~celeriac.stores.amqp.ladder`."""
DELAYED: Final = "celeriac.delayed"
"""The exchange that gives messages whose delay is over to their queues."""
UNDELIVERED: Final = "celeriac.undelivered"
"""The exchange that gets messages whose queue was gone when their delay was over; they become dead letters."""
BITS: Final = 38
"""Bits of a delay in milliseconds: almost nine years."""
PARKED: Final = "celeriac.parked"
"""The exchange of messages that a worker works on for long, and before the names of their queues."""
OWN_EXCHANGES: Final = "celeriac."
"""Before the names of all exchanges of ours."""
ONCE: Final = "celeriac.once"
"""Before the names of slots that one caller claims."""
REVOCATION_STREAM: Final = "celeriac.revocations"
"""The stream of revocations."""
CONTROL_EXCHANGE: Final = "celery.pidbox"
EVENT_EXCHANGE: Final = "celeryev"
"""Exchanges of Celery's that we declare as Celery does (protocol.md, sections 9 and 10)."""
