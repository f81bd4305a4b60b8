"""A consumer as its connection knows it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from celeriac.stores.amqp.wire import Incoming

__all__ = ["Consumer"]


class Consumer(msgspec.Struct, frozen=True):
    """Who gets the deliveries of one consumer tag, see :meth:`Channel.consume`."""

    tag: str
    on_deliveries: Callable[[list[Incoming]], None]
    on_cancelled: Callable[[str], None] | None
    no_ack: bool
