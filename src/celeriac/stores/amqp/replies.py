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
from celeriac.stores.amqp.tasks import take_note
from celeriac.stores.amqp.topology import MadeQueue
from celeriac.stores.amqp.wire import Incoming, Publication
from celeriac.stores.store import ResultRecord

__all__ = ["Replies", "ReplyWriter", "made_reply_queue", "read_replies", "timed_out"]

_MILLISECONDS: Final = 1000
_DAY: Final = 86400.0
_KNOWN_QUEUES: Final = 1024
"""Names of reply queues that are remembered: one for each client process."""
_FLAGS: Final = b"\xd4\x00"
"""Content type, content encoding, delivery mode and correlation id are there."""
_TRANSIENT, _PERSISTENT = 1, 2
_NUMBERS: Final = {0x00: 0, 0x08: 1, 0x10: 1, 0x18: 2}
"""Bytes of delivery mode and priority, by their flags."""
_to_number: Final = int.from_bytes
_LOST_AFTER: Final = 1.0
"""Seconds until a reply queue is consumed again when its connection broke."""


def made_reply_queue(expires: float | None) -> MadeQueue:
    """This process's reply queue; it outlives its consumer, so that a broken connection loses no result."""
    lifetime = int((expires or _DAY) * _MILLISECONDS)
    return MadeQueue(reply_queue(), {"x-expires": max(1, lifetime)})


class ReplyWriter:
    """Writes results as they are published: to a queue by its name, which may be gone.

    Args:
        content: content type and encoding of the results.
        persistent: whether they survive a restart of the server.

    Attributes:
        persistent: as given.
    """

    def __init__(self, content: tuple[str, str], persistent: bool) -> None:
        self.persistent: Final = persistent
        mode = _PERSISTENT if persistent else _TRANSIENT
        self._head: Final = _FLAGS + short(content[0]) + short(content[1]) + bytes((mode,))
        self._queues: dict[bytes, str] = {}

    def write(self, record: ResultRecord) -> Publication:
        """A result to the queue that it names itself.

        Raises:
            EncodeError: the task's id is too long.
        """
        return Publication("", record.reply_to, self._head + short(record.task_id), record.payload, mandatory=False)

    def answer(self, record: ResultRecord, asked: bytes) -> Publication | None:
        """A result to whoever sent the task's message, None when nobody waits for it.

        Args:
            record: the result; the queue that it names, if any, is the one.
            asked: the message's properties. What stands in them before what counts here is skipped without being
                read: content type and encoding, headers, two numbers.
        """
        if record.reply_to:
            return self.write(record)
        flags = asked[0]
        if not flags & 0x02:
            return None
        position = 2
        if flags & 0x80:
            position += 1 + asked[position]
        if flags & 0x40:
            position += 1 + asked[position]
        if flags & 0x20:
            position += 4 + _to_number(asked[position : position + 4])
        position += _NUMBERS[flags & 0x18]
        start = position
        if flags & 0x04:
            position += 1 + asked[position]
        queue = self._queue(asked[position + 1 : position + 1 + asked[position]])
        if not queue:
            return None
        correlation = asked[start:position] if position > start + 1 else short(record.task_id)
        return Publication("", queue, self._head + correlation, record.payload, mandatory=False)

    def queue_of(self, asked: bytes) -> str:
        """The queue that a message with these properties names for its result, empty when it names none."""
        written = self.answer(ResultRecord("", b""), asked)
        return "" if written is None else written.routing_key

    def _queue(self, raw: bytes) -> str:
        found = self._queues.get(raw)
        if found is None:
            found = raw.decode(errors="surrogateescape")
            if len(self._queues) < _KNOWN_QUEUES:
                self._queues[raw] = found
        return found


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
            self._beginning.add_done_callback(take_note)
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
