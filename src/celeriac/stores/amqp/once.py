"""Slots that exactly one caller claims: a queue with room for one message."""

from __future__ import annotations

import math
from typing import Final

from celeriac.stores.amqp.names import ONCE
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.topology import MadeQueue
from celeriac.stores.amqp.wire import Publication

__all__ = ["slot_message", "slot_queue"]

_MILLISECONDS: Final = 1000
_UNUSED: Final = 2
"""Lifetimes after which the queue itself goes when nobody asks for the slot any more."""


def slot_queue(name: str, slot: str, lifetime: float) -> MadeQueue:
    """The queue of a slot. Its one message is the claim: while it is there the server takes no other."""
    milliseconds = max(1, math.ceil(lifetime * _MILLISECONDS))
    return MadeQueue(
        f"{ONCE}.{name}.{slot}",
        {
            "x-max-length": 1,
            "x-overflow": "reject-publish",
            "x-message-ttl": milliseconds,
            "x-expires": _UNUSED * milliseconds,
        },
    )


def slot_message(queue: str) -> Publication:
    """The claim."""
    return Publication("", queue, Properties(delivery_mode=2).encode(), b"")
