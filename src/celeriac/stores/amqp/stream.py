"""The stream that every worker reads from its beginning: revocations.

A stream queue (RabbitMQ 3.9) keeps its messages after they were read, so that a worker that starts later reads them
too. Entries are JSON and say themselves until when they count:

- ``{"id": ..., "terminate": ..., "signal": ..., "until": ...}``: a revocation.
- ``{"payload": ...}``: a broadcast to all who watch for revocations.
- ``{"mark": ...}``: written by a reader who wants to know that it has read everything that was there.

The count of revocations is 0 before the stream was read, then grows with the offset of the last one. Who asks for what
is new, and does not know yet what has come by itself, is told that at once; only who knows all of it waits for the
stream to be read to its end. So what a worker receives never waits for a stream that cannot be read.

A stream is read from a replica on the very node that we are connected to, and not every node has one: one that joined
later, or one that was down when the stream was made. RabbitMQ 3.10 then says so, or is silent for 15 seconds and closes
the whole connection; it does the same to who writes there. So the stream has a connection of its own, which goes from
node to node until it can be read and written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final

import msgspec

from celeriac.exceptions import CorruptMessage, OperationalError
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.declaring import Declarer
from celeriac.stores.amqp.errors import ChannelClosed, Disconnected
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.names import REVOCATION_STREAM
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.publishing import Publisher
from celeriac.stores.amqp.tasks import take_note
from celeriac.stores.amqp.topology import STREAM
from celeriac.stores.amqp.wire import Incoming, Publication
from celeriac.stores.store import Revocation

__all__ = ["WRITE_TIMEOUT", "Stream", "broadcast_entry", "revocation_entries"]

logger = logging.getLogger("celeriac.stores.amqp")

_OFFSET: Final = "x-stream-offset"
_PREFETCH: Final = 500
_ATTACH_AGAIN: Final = 0.1
"""Seconds before a stream that could not be read is tried again, the first time."""
_LONGEST_PAUSE: Final = 2.0
"""Seconds at most between two attempts."""
_ATTACH_TIMEOUT: Final = 3.0
"""Seconds for a node to begin; one whose replica does not run is silent."""
WRITE_TIMEOUT: Final = 3.0
"""Seconds for a node to take entries, before another one is asked; entries that are there twice do no harm."""
_READ_TIMEOUT: Final = 5.0
"""Seconds for reading to the end; the caller tries again later."""
_PERSISTENT: Final = 2
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def entry(content: dict[str, Any]) -> Publication:
    """An entry as it is published."""
    properties = Properties(content_type="application/json", delivery_mode=_PERSISTENT)
    return Publication("", REVOCATION_STREAM, properties.encode(), _encode(content))


def broadcast_entry(payload: bytes) -> Publication:
    """An entry that only those hear of who watch now."""
    return entry({"payload": payload.decode()})


def revocation_entries(revocations: Iterable[Revocation], lifetime: float) -> list[Publication]:
    """Entries for revocations that count for ``lifetime`` seconds."""
    until = time.time() + lifetime
    return [
        entry({"id": each.task_id, "terminate": each.terminate, "signal": each.signal, "until": until})
        for each in revocations
    ]


class _Silent(Disconnected):
    """The node does not say whether it lets us read."""


class Stream:
    """Reads and writes the stream for one store.

    Args:
        link: of nobody else's: it is led to another node when this one cannot read or write the stream.
        publisher: writes, over the same link, and is closed with the stream.
        declarer: makes the stream, over the same link.
    """

    def __init__(self, link: Link, publisher: Publisher, declarer: Declarer) -> None:
        self._link = link
        self._publisher = publisher
        self._declarer = declarer
        self._channel: Channel | None = None
        self._attaching: asyncio.Task[None] | None = None
        self._made = False
        self._pause = 0.0
        self._said = False
        self._reason: OperationalError | None = None
        self._next = 0
        self._before = 1
        self._revocations: dict[str, tuple[int, float, Revocation]] = {}
        self._marks: dict[str, asyncio.Future[bool]] = {}
        self._inboxes: list[asyncio.Queue[bytes | None]] = []
        self._closed = False
        self.count = 0
        """See above."""

    # -------------------------------------------------------------------------------------------------------- writing

    async def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """Write revocations that count for ``lifetime`` seconds."""
        await self._make()
        await self._write(revocation_entries(revocations, lifetime))

    async def broadcast(self, payload: bytes) -> None:
        """Tell all who watch."""
        await self._make()
        await self._write([broadcast_entry(payload)])

    async def _write(self, entries: list[Publication]) -> None:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT):
                failures = await self._publisher.deliver(entries)
        except TimeoutError:
            if self._link.blocked is None:
                self._link.leave()
            failures = await self._publisher.deliver(entries)
        if failures:
            self._made = False
            raise failures[0][1]

    async def _make(self) -> None:
        if not self._made:
            await self._declarer.run([STREAM])
            self._made = True

    # -------------------------------------------------------------------------------------------------------- reading

    async def revocations(self, after: int) -> tuple[int, list[Revocation]]:
        """The revocations after that count, and the count now; see :class:`celeriac.stores.store.Store`."""
        if not 0 < after < self.count:
            await self.refresh()
            self.count = max(self.count, self._before)
        now = time.time()
        for task_id, (_, until, _) in list(self._revocations.items()):
            if until <= now:
                del self._revocations[task_id]
        return self.count, [found for offset, _, found in self._revocations.values() if offset >= after]

    async def refresh(self) -> None:
        """Read everything that was written before this call.

        Raises:
            OperationalError: not within a few seconds.
        """
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                while not await self._read_to_end():
                    pass
        except TimeoutError:
            reason = f": {self._reason}" if self._pause else ""
            raise OperationalError(
                f"{self._link.place}: the stream {REVOCATION_STREAM!r} could not be read within "
                f"{_READ_TIMEOUT:g} seconds{reason}"
            ) from None

    async def _read_to_end(self) -> bool:
        mark = uuid.uuid4().hex
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._marks[mark] = future
        try:
            await self._attach()
            await self._write([entry({"mark": mark})])
            return await future
        except Disconnected:
            await asyncio.sleep(_ATTACH_AGAIN)
            return False
        finally:
            del self._marks[mark]

    async def _attach(self) -> None:
        """Be reading; callers at the same time share the beginning."""
        if self._channel is not None and self._channel.closed is None:
            return
        if self._attaching is None or self._attaching.done():
            self._attaching = asyncio.create_task(self._begin())
            self._attaching.add_done_callback(take_note)
        await asyncio.shield(self._attaching)

    async def _begin(self) -> None:
        """Begin to read, not too soon after it failed."""
        if self._pause:
            await asyncio.sleep(self._pause)
        channel = await self._link.channel()
        try:
            async with asyncio.timeout(_ATTACH_TIMEOUT):
                await self._make()
                await self._consume(channel)
        except TimeoutError:
            error = _Silent(f"the server did not answer within {_ATTACH_TIMEOUT:g} seconds")
            self._failed(error)
            raise error from None
        except OperationalError as problem:
            self._failed(problem)
            channel.close()
            raise
        if self._said:
            logger.info("%s: the stream %r is read again", self._link.place, REVOCATION_STREAM)
        self._pause, self._said = 0.0, False

    async def _consume(self, channel: Channel) -> None:
        channel.on_closed = self._broke
        offset: Any = self._next if self._next else "first"
        self._channel = channel
        await channel.consume(
            REVOCATION_STREAM,
            self._arrived,
            prefetch=_PREFETCH,
            arguments={_OFFSET: offset},
            on_cancelled=lambda _: self._ended(),
        )

    def _failed(self, error: OperationalError) -> None:
        """Another node may have the replica that this one has not; a stream that was deleted is just made again."""
        self._made, self._reason = False, error
        if self._pause or not (isinstance(error, ChannelClosed) and error.is_missing):
            self._link.leave()
        # That connections break is said by the link.
        if self._pause and not self._said and isinstance(error, (ChannelClosed, _Silent)):
            self._said = True
            logger.warning("revocations cannot be read, trying other nodes of %s: %s", self._link.place, error)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) or _ATTACH_AGAIN

    def _ended(self) -> None:
        """The stream was deleted: it begins anew, and the count goes on."""
        self._made = False
        self._next, self._before = 0, self.count
        channel = self._channel
        if channel is not None:
            channel.close()
        self._broke()

    def _broke(self, _: Disconnected | None = None) -> None:
        self._channel = None
        for future in self._marks.values():
            if not future.done():
                future.set_result(False)
        for inbox in self._inboxes:
            inbox.put_nowait(b"")  # what was missed is read by whoever is woken so

    def _arrived(self, incomings: list[Incoming]) -> None:
        channel = self._channel
        if channel is not None:
            channel.acknowledge([each.tag for each in incomings])
        for news in dict.fromkeys(each for each in map(self._read, incomings) if each is not None):
            for inbox in self._inboxes:
                inbox.put_nowait(news)

    def _read(self, incoming: Incoming) -> bytes | None:
        """Take in one entry; what those who watch hear of it, None when it is nothing."""
        try:
            offset = int((Properties.decode(incoming.properties).headers or {}).get(_OFFSET, -1))
            content = _decode(incoming.body)
        except (CorruptMessage, msgspec.DecodeError, TypeError, ValueError):
            logger.warning("an entry of the stream %r makes no sense", REVOCATION_STREAM)
            return None
        if offset < self._next or not isinstance(content, dict):
            return None
        self._next = offset + 1
        if "mark" in content:
            future = self._marks.get(content["mark"])
            if future is not None and not future.done():
                future.set_result(True)
            return None
        if "payload" in content:
            return str(content["payload"]).encode()
        until = float(content.get("until", 0.0))
        task_id = str(content.get("id", ""))
        revocation = Revocation(task_id, bool(content.get("terminate")), str(content.get("signal", "SIGTERM")))
        self._revocations[task_id] = (self._before + offset, until, revocation)
        self.count = self._before + offset + 1
        return b""

    async def inbox(self) -> AsyncIterator[bytes]:
        """Something for each time that there are new revocations."""
        inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._inboxes.append(inbox)
        try:
            while not self._closed:
                try:
                    await self._attach()
                except Disconnected:  # also of a stream that is just being made, or deleted
                    await asyncio.sleep(_ATTACH_AGAIN)
                    continue
                payload = await inbox.get()
                if payload is None:
                    return
                yield payload
        finally:
            self._inboxes.remove(inbox)

    async def close(self) -> None:
        """End what waits."""
        self._closed = True
        await self._publisher.close()
        for inbox in self._inboxes:
            inbox.put_nowait(None)
        if self._attaching is not None and not self._attaching.done():
            self._attaching.cancel()
            with contextlib.suppress(asyncio.CancelledError, OperationalError):
                await self._attaching
