"""Consumers that bring nothing: is there nothing, or does the server not send it?

RabbitMQ tells a consumer when its queue is deleted. But when a quorum queue is made again within some milliseconds (a
publisher finds it missing and makes it), the server's channel begins a consumer at the new queue by itself, then
forgets it: nobody is told, the new queue sends what its prefetch allows to that channel, and the channel drops it.
(Seen on 3.10.8.) What was sent so is lost from sight until the channel is closed; then it is ready again.

So who consumes a quorum queue and gets nothing though it has room looks now and then: whether the queue is there, and
whether it holds messages, which none would with a consumer that is well. And because a few messages may be with the
consumer that the server forgot, even a queue that looks well is consumed on a new channel from time to time. The less
there is to do the rarer are these looks, and while messages come there are none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.errors import ChannelClosed
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.topology import Topology

__all__ = ["LOOK_EACH", "Findings", "Quiet"]

LOOK_EACH: Final = 0.5
"""Seconds between two looks at the consumers; the server is asked after 1, 2, 4, 8... of these without a message."""
_RENEW_AFTER: Final = 8
"""Looks without a message from which on the consumer is also begun anew."""
_LONGEST: Final = 120
"""Looks between two questions at most: a minute."""
_SURE_AFTER: Final = 0.2
"""Seconds that a message may be ready and on its way to us."""
_ONE_ACTIVE: Final = "x-single-active-consumer"


class Findings(msgspec.Struct, eq=False):
    """What a look at the server found.

    Attributes:
        channel: a new one that may be used; it is closed when a queue is missing.
        missing: the queue that does not exist.
        withheld: queues with messages that are not sent, and how many.
        renew: whether to consume on the new channel in any case.
    """

    channel: Channel
    missing: str | None
    withheld: dict[str, int]
    renew: bool

    @property
    def is_ill(self) -> bool:
        """Something is wrong for certain."""
        return self.missing is not None or bool(self.withheld)


class Quiet:
    """Knows which consumers of one store have been quiet, and asks the server about them.

    Args:
        link: to ask over.
        topology: what the queues are.

    Attributes:
        heard: queues whose consumers brought something since the last look.
    """

    def __init__(self, link: Link, topology: Topology) -> None:
        self._link = link
        self._topology = topology
        self._looks: dict[str, int] = {}
        self.heard: set[str] = set()

    def concerns(self, queue: str) -> bool:
        """Whether its consumers have to be watched.

        Not where one consumer at a time is active: the others get nothing and should not, and a new one would be the
        last in their line.
        """
        arguments = self._topology.queue(queue).declaration_arguments()
        return self._topology.is_quorum(queue) and not arguments.get(_ONE_ACTIVE)

    def due(self, queues: Iterable[str]) -> list[str]:
        """Those about which the server should be asked; to be called every :data:`LOOK_EACH` seconds.

        Args:
            queues: those of the consumers that have room and are watched.
        """
        self._looks = {queue: 0 if queue in self.heard else self._looks.get(queue, -1) + 1 for queue in queues}
        self.heard.clear()
        return [queue for queue, looks in self._looks.items() if _is_due(looks)]

    async def look(self, queues: Iterable[str]) -> Findings:
        """Ask the server.

        Raises:
            OperationalError: it does not say.
        """
        names = list(queues)
        channel = await self._link.channel()
        renew = any(self._looks.get(queue, 0) >= _RENEW_AFTER for queue in names)
        findings = Findings(channel, None, {}, renew)
        try:
            for queue in names:
                ready = await _ready(channel, queue)
                if ready is None:
                    findings.missing = queue
                    break
                if ready:
                    await asyncio.sleep(_SURE_AFTER)
                    ready = await _ready(channel, queue)
                if ready and queue not in self.heard:
                    findings.withheld[queue] = ready
        except BaseException:
            channel.close()
            raise
        return findings


async def _ready(channel: Channel, queue: str) -> int | None:
    """How many messages are ready; None without the queue."""
    try:
        return (await channel.declare_queue(queue, passive=True)).messages
    except ChannelClosed as error:
        if error.is_missing:
            return None
        raise


def _is_due(looks: int) -> bool:
    return looks > 0 and (looks % _LONGEST == 0 or (looks < _LONGEST and looks & (looks - 1) == 0))
