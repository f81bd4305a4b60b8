"""What people ask about queues, as far as RabbitMQ can say it over AMQP.

It says how many messages of a queue are ready. How many are held is not known: they lie in the ladder, all queues'
together. Nor is how many other workers have in hand. A look at messages takes them and gives them back, which the
server marks on each.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import msgspec

from celeriac.exceptions import OperationalError
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.dead import DeadLetters
from celeriac.stores.amqp.declaring import Declarer
from celeriac.stores.amqp.errors import ChannelClosed
from celeriac.stores.amqp.translation import read
from celeriac.stores.amqp.wire import Incoming
from celeriac.stores.store import QueueCounts

__all__ = ["Inspection"]

_AT_ONCE: Final = 64


class Inspection:
    """Looks at the queues of one store.

    Args:
        open_channel: makes a channel.
        declarer: asks about queues.
        dead: the dead letters.
    """

    def __init__(self, open_channel: Callable[[], Awaitable[Channel]], declarer: Declarer, dead: DeadLetters) -> None:
        self._open_channel = open_channel
        self._declarer = declarer
        self._dead = dead

    async def counts(self, queues: Sequence[str]) -> dict[str, QueueCounts]:
        """See :meth:`celeriac.stores.store.Store.counts`; what the server does not say is None."""
        found, dead = await asyncio.gather(self._declarer.look(queues), self._dead.counts(queues))
        return {
            queue: QueueCounts(each.messages if each is not None else 0, None, None, dead[queue])
            for queue, each in zip(queues, found, strict=True)
        }

    async def holding(self, queues: Iterable[str]) -> list[str]:
        """Those of the queues that have ready messages."""
        names = list(queues)
        found = await self._declarer.look(names)
        return [queue for queue, each in zip(names, found, strict=True) if each is not None and each.messages]

    async def peek(self, queue: str, limit: int) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.peek`."""
        (declared,) = await self._declarer.look([queue])
        if declared is None or limit <= 0:
            return []
        channel = await self._open_channel()
        try:
            taken: list[Incoming] = []
            while len(taken) < limit:
                asked = [channel.get(queue) for _ in range(min(limit - len(taken), _AT_ONCE))]
                got = [each for each in await asyncio.gather(*asked) if each is not None]
                taken += got
                if len(got) < len(asked):
                    break
            if taken:
                channel.reject([each.tag for each in taken], requeue=True)
                await channel.declare_queue(queue, passive=True)  # its answer comes when they are back
            # Looking at a message is no delivery of it.
            return [read(msgspec.structs.replace(each, redelivered=False))[0] for each in taken]
        finally:
            with contextlib.suppress(OperationalError):
                await channel.close()

    async def purge(self, queue: str) -> int:
        """Drop what is ready; held messages cannot be dropped."""
        channel = await self._open_channel()
        try:
            return await channel.purge(queue)
        except ChannelClosed as error:
            if error.is_missing:
                return 0
            raise
        finally:
            with contextlib.suppress(OperationalError):
                await channel.close()
