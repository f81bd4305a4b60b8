"""The rpc result backend: a result is a message to the queue that its task's message names (protocol.md, section 14).

Each client process has one reply queue. It is named in ``reply_to`` of every task that the process sends, and made
before the first of them. A result carries the task's id as correlation id; where nobody waits any more it is dropped.
No I/O here but through channels that are given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

from celeriac.exceptions import CorruptMessage
from celeriac.exceptions import TimeoutError as ResultTimeout
from celeriac.ids import reply_queue
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.errors import Disconnected
from celeriac.stores.amqp.mailbox import Mailbox, mailbox
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.table import short
from celeriac.stores.amqp.topology import MadeQueue
from celeriac.stores.amqp.wire import Incoming, Publication
from celeriac.stores.store import ResultRecord

__all__ = ["Replies", "address_of_reply", "made_reply_queue", "read_replies", "reply_of", "timed_out"]

_MILLISECONDS: Final = 1000
_DAY: Final = 86400.0
_LOST_AFTER: Final = 1.0
"""Seconds until a reply queue is consumed again when its connection broke."""


def made_reply_queue(expires: float | None) -> MadeQueue:
    """This process's reply queue; it outlives its consumer, so that a broken connection loses no result."""
    lifetime = int((expires or _DAY) * _MILLISECONDS)
    return MadeQueue(reply_queue(), {"x-expires": max(1, lifetime)})


def reply_of(
    record: ResultRecord, reply_to: str, correlation_id: str, content: tuple[str, str], mode: int
) -> Publication:
    """A result as it is published.

    Args:
        record: the result.
        reply_to: the queue that it goes to.
        correlation_id: of the task's message.
        content: content type and encoding of the result.
        mode: 2 is persistent, 1 transient.
    """
    properties = b"\xd4\x00" + short(content[0]) + short(content[1]) + bytes((mode,)) + short(correlation_id)
    return Publication("", reply_to, properties, record.payload, mandatory=False)


def address_of_reply(raw: bytes) -> tuple[str, str]:
    """``reply_to`` and ``correlation_id`` of a message with these properties, empty where it has none.

    What stands before them is skipped without being read: content type and encoding, headers, two numbers.
    """
    flags = raw[0] << 8 | raw[1]
    position = 2
    for flag in (0x8000, 0x4000):
        if flags & flag:
            position += 1 + raw[position]
    if flags & 0x2000:
        position += 4 + int.from_bytes(raw[position : position + 4])
    position += bool(flags & 0x1000) + bool(flags & 0x0800)
    correlation = reply_to = b""
    if flags & 0x0400:
        correlation = raw[position + 1 : position + 1 + raw[position]]
        position += 1 + raw[position]
    if flags & 0x0200:
        reply_to = raw[position + 1 : position + 1 + raw[position]]
    return reply_to.decode(errors="replace"), correlation.decode(errors="replace")


def read_replies(incomings: Iterable[Incoming]) -> list[tuple[str, bytes]]:
    """The task ids and documents of what came; what names no task is left out."""
    found = []
    for incoming in incomings:
        try:
            task_id = Properties.decode(incoming.properties).correlation_id
        except CorruptMessage:
            continue
        if task_id:
            found.append((task_id, incoming.body))
    return found


def timed_out(left: Sequence[str], timeout: float | None) -> ResultTimeout:
    """The error of a wait whose time is over."""
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    return ResultTimeout(f"no result of task {left[0]}{more} after {timeout} seconds")


class Replies:
    """The asynchronous side: a consumer of this process's reply queue.

    Args:
        open_channel: makes a channel.
        declare: declares a queue.
        expires: seconds that the queue lives unused.
    """

    def __init__(
        self,
        open_channel: Callable[[], Awaitable[Channel]],
        declare: Callable[[Iterable[MadeQueue]], Awaitable[None]],
        expires: float | None,
    ) -> None:
        self._open_channel = open_channel
        self._declare = declare
        self._expires = expires
        self._channel: Channel | None = None
        self._beginning: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Be consuming; callers at the same time share the beginning."""
        if self._channel is not None and self._channel.closed is None:
            return
        if self._beginning is None or self._beginning.done():
            self._beginning = asyncio.create_task(self._begin())
        await asyncio.shield(self._beginning)

    async def _begin(self) -> None:
        queue = made_reply_queue(self._expires)
        await self._declare([queue])
        channel = await self._open_channel()
        channel.on_closed = self._closed
        box = mailbox()
        await channel.consume(queue.name, partial(self._arrived, channel, box), prefetch=0)
        self._channel = channel

    def _closed(self, _: Disconnected) -> None:
        self._channel = None

    @staticmethod
    def _arrived(channel: Channel, box: Mailbox, incomings: list[Incoming]) -> None:
        box.put(read_replies(incomings))
        channel.acknowledge([each.tag for each in incomings])

    async def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The results that came."""
        await self.ready()
        return mailbox().read(task_ids)

    async def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.Store.wait`."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        box, came, left = mailbox(), asyncio.Event(), list(dict.fromkeys(task_ids))
        tell = partial(_tell, loop, came)
        box.listen(tell)
        try:
            while left:
                await self.ready()
                came.clear()
                for task_id, document in zip(list(left), box.read(left), strict=True):
                    if document is not None and ready(document):
                        left.remove(task_id)
                        yield task_id, document
                if not left:
                    return
                seconds = _LOST_AFTER if deadline is None else min(_LOST_AFTER, deadline - loop.time())
                if seconds <= 0:
                    raise timed_out(left, timeout)
                await _happens(came, seconds)
        finally:
            box.leave(tell)

    async def close(self) -> None:
        """End what is under way."""
        if self._beginning is not None and not self._beginning.done():
            self._beginning.cancel()
            await asyncio.gather(self._beginning, return_exceptions=True)


def _tell(loop: asyncio.AbstractEventLoop, came: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(came.set)


async def _happens(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
