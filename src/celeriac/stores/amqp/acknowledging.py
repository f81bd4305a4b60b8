"""Acknowledgements, together where that saves the server work.

RabbitMQ takes one frame for any number of deliveries, if that is all up to a certain one. Several children finish their
shares side by side, so what a busy worker acknowledges has gaps, and the server would have to work for each message.
So an acknowledgement may wait for those before it, for some milliseconds; a worker that is not busy never waits. When
the process dies meanwhile those tasks run again, as if it had died a moment earlier.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.claims import Claims

__all__ = ["Acknowledging"]

_MANY: Final = 16
"""Acknowledgements at once from which on they may wait."""
_LONGEST: Final = 0.03
"""Seconds that one may wait: several times what a child holds of short work."""


class Acknowledging:
    """Acknowledges for one store.

    Args:
        claims: what is not settled yet.
    """

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._waiting: dict[Channel, list[int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def acknowledge(self, channel: Channel, tags: Sequence[int]) -> None:
        """Acknowledge deliveries now or in a moment; their claims have ended."""
        waiting = self._waiting.get(channel)
        if waiting is None and len(tags) < _MANY:
            channel.acknowledge(tags)
            return
        if waiting is None:
            waiting = self._waiting[channel] = []
        waiting += tags
        oldest = self._claims.oldest(channel)
        if oldest is None:
            del self._waiting[channel]
            channel.acknowledge(waiting)
            return
        complete = [tag for tag in waiting if tag < oldest]
        if complete:
            channel.acknowledge(complete)
            left = [tag for tag in waiting if tag >= oldest]
            if not left:
                del self._waiting[channel]
                return
            self._waiting[channel] = left
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LONGEST, self.flush)

    def flush(self) -> None:
        """Acknowledge everything that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, {}
        for channel, tags in waiting.items():
            channel.acknowledge(tags)
