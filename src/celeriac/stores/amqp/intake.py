"""Receiving: deliveries that the server pushes or that are fetched one by one, and what waits here for the caller.

Two ways to get messages, each for what it does well:

- *Consumers* wait at the server, which pushes as many messages as the prefetch of each allows: no round trip for each
  message, and an idle worker has it at once. But what was pushed and is not wanted yet waits here while another worker
  could have it. So consumers are for idle queues, and for tasks so short that the caller asks for many.
- *Fetching* (``basic.get``) brings exactly what was asked for, at the price of a round trip. It is for a backlog of
  long tasks.

The store consumes as soon as a fetch found nothing. What lies in the buffer though nobody came for it within a moment
is given back, and the consumers end; the next caller fetches again.

The prefetch of a consumer follows what the caller asks for plus what it has already: exactly as long as that is little,
else in powers of two. To change it the consumer is ended and another one begun.

The channel is left for another one when the server does not answer on it, or forgot a consumer of it (see
:mod:`~celeriac.stores.amqp.quiet`). What it has brought stays ours; when all that is settled it is closed.

What was returned too often is replaced by a copy first, see :mod:`~celeriac.stores.amqp.redelivery`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from celeriac.exceptions import CeleriacError, OperationalError
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.claims import Claims, Held
from celeriac.stores.amqp.declaring import Declarer
from celeriac.stores.amqp.errors import ChannelClosed, Disconnected, Unanswered
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.names import DELAY
from celeriac.stores.amqp.publishing import Publisher
from celeriac.stores.amqp.quiet import LOOK_EACH, Quiet
from celeriac.stores.amqp.redelivery import Arrived, Redelivery, is_worn
from celeriac.stores.amqp.tasks import take_note
from celeriac.stores.amqp.translation import read
from celeriac.stores.amqp.wire import Incoming
from celeriac.stores.store import Delivery

__all__ = ["Intake"]

logger = logging.getLogger("celeriac.stores.amqp")

FEW: Final = 16
"""Messages up to which the prefetch is exact, and which are fetched from a backlog."""
_LARGEST: Final = 4096
"""Messages of one consumer that may be unacknowledged."""
_FETCHED_AT_ONCE: Final = 128
_UNWANTED_AFTER: Final = 0.1
"""Seconds after which what lies in the buffer is given back."""
_SHRINK: Final = 8
"""A prefetch that is so many times too large is reduced."""
_SEE_OFF_EACH: Final = 0.5
"""Seconds between two looks whether a channel that was left is still needed."""
_STUCK_AT_MOST: Final = 2
"""Times in a row that the server may not answer, each for :data:`~celeriac.stores.amqp.channel.ANSWER_TIMEOUT`: then we
go to another node."""
_SILENCE: Final = 60.0
"""Seconds without a request that was not answered, after which the next one is worth a warning again."""


class Consumer(msgspec.Struct, eq=False):
    """One consumer of ours.

    Attributes:
        queue: what it consumes.
        prefetch: how many of its deliveries may be unacknowledged.
        tag: as the server knows it, once it does.
    """

    queue: str
    prefetch: int
    tag: asyncio.Future[str]


@contextlib.contextmanager
def _broken_is_empty() -> Iterator[None]:
    """A connection that breaks meanwhile brought nothing, which is no error: the next call connects again."""
    try:
        yield
    except ChannelClosed:
        raise
    except Disconnected:
        return


class Intake:
    """Receives for one store; one caller at a time.

    Args:
        link: to receive over.
        claims: what was handed over.
        declarer: makes queues that are missing.
        publisher: publishes copies of messages.
    """

    def __init__(self, link: Link, claims: Claims, declarer: Declarer, publisher: Publisher) -> None:
        self._link = link
        self._claims = claims
        self._declarer = declarer
        self._publisher = publisher
        self._channel: Channel | None = None
        self._opening: asyncio.Task[Channel] | None = None
        self._consumers: dict[str, Consumer] = {}
        self._buffers: dict[str, deque[Arrived]] = {}
        self._redelivery = Redelivery(publisher, declarer.topology)
        self._declared: set[str] = set()
        self._quiet = Quiet(link, declarer.topology)
        self._listening: asyncio.Task[None] | None = None
        self._left: dict[Channel, asyncio.Task[None]] = {}
        self._unanswered = 0
        self._silent_until = 0.0
        self._turn = 0
        self._fetches = 0
        self._taken = 0
        self._waiter: asyncio.Future[None] | None = None
        self._callers = 0
        self._watch: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    @property
    def consuming(self) -> bool:
        """Consumers wait at the server."""
        return bool(self._consumers)

    # ------------------------------------------------------------------------------------------------------ the caller

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> list[Delivery]:
        """See :meth:`celeriac.stores.store.Store.receive`."""
        if limit <= 0 or self._stopped:
            return []
        self._callers += 1
        try:
            with _broken_is_empty():
                await self._find(queues, limit, timeout)
        finally:
            self._callers -= 1
            self._look_after()
        return self.take(queues, limit)

    async def _find(self, queues: Sequence[str], limit: int, timeout: float) -> None:
        """Have something in the buffer for the caller, or let his time pass."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        if timeout <= 0 or (not self.consuming and limit <= FEW):
            await self._fetch(queues, limit)
        while not self._buffered(queues) and loop.time() < deadline and not self._stopped:
            await self._consume(queues, limit)
            self._fit(queues, limit)
            if not self._buffered(queues):
                await self._wait(loop, deadline)
        if self.consuming and self._buffered(queues) < limit:
            self._fit(queues, limit)

    def take(self, queues: Sequence[str], limit: int) -> list[Delivery]:
        """Hand over what is buffered, from the queues in turn."""
        buffers = [buffer for buffer in map(self._buffers.get, queues) if buffer]
        if not buffers or limit <= 0:
            self._look_after()
            return []
        now = asyncio.get_running_loop().time()
        taken: list[Delivery] = []
        self._turn += 1
        self._taken += 1
        if len(buffers) == 1:
            buffer = buffers[0]
            name = next(queue for queue in queues if self._buffers.get(queue) is buffer)
            taken = [self._hand_over(name, buffer.popleft(), now) for _ in range(min(limit, len(buffer)))]
        else:
            named = [(queue, self._buffers[queue]) for queue in queues if self._buffers.get(queue)]
            start = self._turn % len(named)
            named = named[start:] + named[:start]
            while named and len(taken) < limit:
                for queue, buffer in named:
                    if len(taken) >= limit:
                        break
                    taken.append(self._hand_over(queue, buffer.popleft(), now))
                named = [each for each in named if each[1]]
        self._look_after()
        return taken

    def _hand_over(self, queue: str, arrived: Arrived, now: float) -> Delivery:
        incoming = arrived.incoming
        payload, marks = read(incoming, queue)
        claim = self._claims.add(Held(arrived.channel, incoming, queue, marks, now))
        waited = incoming.exchange.startswith(DELAY)  # it comes from a rung of the ladder
        return Delivery(claim, queue, payload, marks.losses, marks.granted, marks.holds, waited)

    def _buffered(self, queues: Sequence[str]) -> int:
        return sum(len(buffer) for buffer in map(self._buffers.get, queues) if buffer)

    async def _wait(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._waiter = loop.create_future()
        timer = loop.call_at(deadline, self._wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ----------------------------------------------------------------------------------------------------- the channel

    async def _ready(self) -> Channel:
        """The channel of all deliveries; callers at the same time share the making."""
        channel = self._channel
        if channel is not None and channel.closed is None:
            return channel
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(take_note)
        return await asyncio.shield(self._opening)

    async def _open(self) -> Channel:
        channel = await self._link.channel()
        self._declared.clear()
        self._use(channel)
        return channel

    def _use(self, channel: Channel) -> None:
        channel.on_closed = partial(self._closed, channel)
        channel.on_stuck = partial(self._stuck, channel)
        self._channel = channel

    def _closed(self, channel: Channel, error: Disconnected) -> None:
        """The server takes back everything that this channel brought."""
        if self._channel is channel:
            self._channel = None
            self._consumers.clear()
        seeing_off = self._left.pop(channel, None)
        if seeing_off is not None:
            seeing_off.cancel()
        for queue, buffer in self._buffers.items():
            self._buffers[queue] = deque(arrived for arrived in buffer if arrived.channel is not channel)
        lost = self._claims.lose(channel)
        if lost:
            # Of a connection that broke, the link says so.
            level = logging.WARNING if isinstance(error, ChannelClosed) else logging.INFO
            logger.log(level, "%d messages in hand are lost, others may have them now: %s", lost, error)
        self._wake()

    def _stuck(self, channel: Channel, error: Unanswered) -> None:
        """The server does not answer on this channel: go on with another one, and in the end on another node."""
        if channel is self._channel and not self._stopped:
            self._leave()
            self._note(error)

    def _note(self, error: Unanswered) -> None:
        self._unanswered += 1
        now = asyncio.get_running_loop().time()
        level = logging.WARNING if now >= self._silent_until else logging.INFO
        self._silent_until = now + _SILENCE
        logger.log(level, "%s: %s; trying again", self._link.place, error)
        if self._unanswered >= _STUCK_AT_MOST:
            self._unanswered = 1
            self._link.leave()

    def _leave(self) -> None:
        """Use another channel from now on; this one stays for what it brought, until all that is settled."""
        channel, self._channel = self._channel, None
        self._consumers.clear()
        if channel is not None and channel.closed is None:
            self._left[channel] = asyncio.create_task(self._see_off(channel, channel.cancel_all()))
        self._wake()

    async def _see_off(self, channel: Channel, ending: Sequence[asyncio.Future[None]]) -> None:
        await asyncio.gather(*ending, return_exceptions=True)  # until then it may bring something
        while channel.unsettled:  # noqa: ASYNC110 - this should cost those who settle nothing
            await asyncio.sleep(_SEE_OFF_EACH)
        del self._left[channel]
        channel.close()

    async def _prepare(self, queues: Sequence[str]) -> Channel:
        """The channel, with these queues declared."""
        while True:
            channel = await self._ready()
            new = [queue for queue in queues if queue not in self._declared]
            if new:
                try:
                    await self._declarer.declare(new)
                except Unanswered as error:
                    self._note(error)
                    raise
                self._declared.update(new)
            if channel is self._channel:  # and not left meanwhile
                return channel

    async def declare(self, queues: Sequence[str]) -> None:
        """Make queues ready."""
        await self._ready()
        await self._declarer.declare(queues)
        self._declared.update(queues)

    # ------------------------------------------------------------------------------------------------------- fetching

    async def fetch(self, queues: Sequence[str], limit: int) -> list[Delivery]:
        """Hand over up to ``limit`` messages, as far as they are there."""
        self._callers += 1
        try:
            with _broken_is_empty():
                await self._fetch(queues, limit)
        finally:
            self._callers -= 1
            self._look_after()
        return self.take(queues, limit)

    async def _fetch(self, queues: Sequence[str], limit: int) -> None:
        """Have up to ``limit`` messages in the buffer, as far as they are there."""
        missing = limit - self._buffered(queues)
        if missing <= 0:
            return
        try:
            channel = await self._prepare(queues)
            self._fetches += 1
            start = self._fetches % len(queues)
            left = [*queues[start:], *queues[:start]]
            while missing > 0 and left:
                left = await self._fetch_round(channel, left, min(missing, _FETCHED_AT_ONCE))
                missing = limit - self._buffered(queues)
            if self.consuming and missing > 0:
                # What was pushed while the server looked is read before its answer to this.
                await channel.declare_queue(queues[0], passive=True)
        except ChannelClosed as error:
            if not error.is_missing:
                raise
            self._declared.clear()  # a queue was deleted: it is made again with the next call

    async def _fetch_round(self, channel: Channel, queues: list[str], limit: int) -> list[str]:
        """Ask the queues for ``limit`` messages together; returns those that may have more."""
        shares = [limit // len(queues) + (place < limit % len(queues)) for place in range(len(queues))]
        asked: list[tuple[str, asyncio.Future[Incoming | None]]] = []
        for queue, share in zip(queues, shares, strict=True):
            for _ in range(share):
                future = channel.get(queue)
                # By callback, so that a caller who is cancelled meanwhile loses none.
                future.add_done_callback(partial(self._fetched, channel, queue))
                asked.append((queue, future))
        await asyncio.wait([future for _, future in asked])  # unlike gather() it cancels none of them
        empty = {queue for queue, future in asked if future.result() is None}
        self._unanswered = 0
        return [queue for queue in queues if queue not in empty]

    def _fetched(self, channel: Channel, queue: str, future: asyncio.Future[Incoming | None]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        incoming = future.result()
        if incoming is not None:
            self._arrived(channel, queue, [incoming])

    # ------------------------------------------------------------------------------------------------------ consuming

    async def _consume(self, queues: Sequence[str], limit: int) -> None:
        """Have a consumer on each queue."""
        if all(queue in self._consumers for queue in queues):
            return
        channel = await self._prepare(queues)
        for queue in queues:
            if queue not in self._consumers:
                self._begin(channel, queue, self._prefetch(queue, limit))

    def _fit(self, queues: Sequence[str], limit: int) -> None:
        """Let the prefetches follow what the caller asks for."""
        channel = self._channel
        if channel is None:
            return
        for queue in queues:
            consumer = self._consumers.get(queue)
            wanted = self._prefetch(queue, limit)
            if consumer is None or not consumer.tag.done():
                continue
            if consumer.prefetch < wanted or consumer.prefetch >= _SHRINK * wanted:
                self._end(channel, consumer)
                self._begin(channel, queue, wanted)

    def _prefetch(self, queue: str, limit: int) -> int:
        wanted = limit + self._claims.of_queue(queue)
        if wanted > FEW:
            wanted = 1 << (wanted - 1).bit_length()
        return min(wanted, _LARGEST)

    def _begin(self, channel: Channel, queue: str, prefetch: int) -> None:
        tag = channel.consume(
            queue,
            partial(self._arrived, channel, queue),
            prefetch=prefetch,
            on_cancelled=lambda _: self._cancelled(consumer),
        )
        consumer = Consumer(queue, prefetch, tag)
        tag.add_done_callback(partial(self._begun, queue))
        self._consumers[queue] = consumer
        if self._quiet.concerns(queue) and (self._listening is None or self._listening.done()):
            self._listening = asyncio.create_task(self._listen())

    def _begun(self, queue: str, tag: asyncio.Future[str]) -> None:
        """A consumer that could not begin; the channel is closed then, and the caller goes on with another one."""
        if tag.cancelled() or tag.exception() is None:
            self._unanswered = 0
            self._wake()  # its prefetch may have to change by now
            return
        error = tag.exception()
        self._declared.discard(queue)
        if isinstance(error, ChannelClosed) and error.blamed and not error.is_missing:
            logger.error("the queue %r cannot be consumed: %s", queue, error)
        self._wake()

    def _end(self, channel: Channel, consumer: Consumer) -> None:
        if self._consumers.get(consumer.queue) is consumer:
            del self._consumers[consumer.queue]
        if consumer.tag.done() and consumer.tag.exception() is None:
            channel.cancel(consumer.tag.result())

    def _cancelled(self, consumer: Consumer) -> None:
        """The server ended a consumer: its queue was deleted, and is made again."""
        if self._consumers.get(consumer.queue) is not consumer:
            return
        logger.warning("the queue %r was deleted while it was consumed: it is made again", consumer.queue)
        del self._consumers[consumer.queue]
        self._make_again(consumer.queue)

    def _make_again(self, queue: str) -> None:
        """Have a queue declared before it is used the next time."""
        self._declared.discard(queue)
        self._publisher.forget(queue)
        self._wake()

    def _arrived(self, channel: Channel, queue: str, incomings: list[Incoming]) -> None:
        buffer = self._buffers.get(queue)
        if buffer is None:
            buffer = self._buffers[queue] = deque()
        self._quiet.heard.add(queue)
        worn: list[Arrived] = []
        for incoming in incomings:
            arrived = Arrived(queue, channel, incoming)
            (worn if incoming.redelivered and is_worn(incoming) else buffer).append(arrived)
        if worn:
            self._start(self._replace(worn))
        if buffer:
            if self._waiter is not None:
                self._wake()
            else:
                self._look_after()

    async def _replace(self, worn: Sequence[Arrived]) -> None:
        """Replace what was returned too often, as far as possible."""
        for arrived in await self._redelivery.replace(worn, losses=1):
            self._buffers.setdefault(arrived.queue, deque()).append(arrived)
        self._wake()
        self._look_after()

    # ---------------------------------------------------------------------------------------------------------- silence

    async def _listen(self) -> None:
        """While there are consumers: look after those that bring nothing though they have room."""
        while self._consumers and not self._stopped:
            await asyncio.sleep(LOOK_EACH)
            due = self._quiet.due(queue for queue, each in self._consumers.items() if self._is_watched(each))
            if due:
                # What breaks, or does not answer, is the business of those who receive.
                with contextlib.suppress(CeleriacError):
                    await self._look(due)

    def _is_watched(self, consumer: Consumer) -> bool:
        queue = consumer.queue
        has_room = self._claims.of_queue(queue) + self._buffered([queue]) < consumer.prefetch
        return has_room and consumer.tag.done() and self._quiet.concerns(queue)

    async def _look(self, queues: Sequence[str]) -> None:
        """Ask the server about quiet consumers, and begin all consumers anew where one of them may be forgotten."""
        before = [self._channel, *map(self._consumers.get, queues)]
        findings = await self._quiet.look(queues)
        channel = findings.channel
        # Long tasks may need the last channel that was left for hours, and these should not become many.
        wanted = findings.is_ill or (findings.renew and not self._left)
        if not wanted or self._stopped or before != [self._channel, *map(self._consumers.get, queues)]:
            channel.close()
            return
        for queue, ready in findings.withheld.items():
            logger.warning(
                "the queue %r has %d messages, and none is sent to us: it was deleted and made again, or has no leader "
                "for the moment; it is consumed anew",
                queue,
                ready,
            )
            self._make_again(queue)
        if findings.missing is not None:
            logger.warning("the queue %r was deleted while it was consumed: it is made again", findings.missing)
            self._make_again(findings.missing)
        prefetches = {queue: consumer.prefetch for queue, consumer in self._consumers.items()}
        self._leave()
        if channel.closed is None:
            self._use(channel)
        channel = await self._prepare(list(prefetches))
        for queue, prefetch in prefetches.items():
            if queue not in self._consumers and channel is self._channel:
                self._begin(channel, queue, prefetch)

    # ------------------------------------------------------------------------------------------------ giving back

    def _look_after(self) -> None:
        """Let what nobody comes for be given back."""
        if self._watch is None and not self._callers and any(self._buffers.values()):
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(_UNWANTED_AFTER, self._unwanted, self._taken)

    def _unwanted(self, taken: int) -> None:
        self._watch = None
        if self._taken != taken or self._callers or self._stopped:
            self._look_after()
            return
        self._start(self.give_back())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def give_back(self) -> None:
        """End the consumers and give back what is buffered."""
        channel, ended = self._channel, list(self._consumers.values())
        self._consumers.clear()
        if channel is not None:
            await asyncio.gather(*[self._stop_consumer(channel, each) for each in ended])
        if self._callers and not self._stopped:
            return  # somebody came meanwhile
        surplus, self._buffers = self._buffers, {}
        for queue, buffer in surplus.items():
            if buffer:
                await self._redelivery.give_back(queue, list(buffer))

    async def _stop_consumer(self, channel: Channel, consumer: Consumer) -> None:
        with contextlib.suppress(OperationalError):  # the server takes back what the channel brought, or answers late
            await channel.cancel(await asyncio.shield(consumer.tag))

    # ---------------------------------------------------------------------------------------------------------- ending

    def stop(self) -> None:
        """Let the caller who waits go, and nobody wait again."""
        self._stopped = True
        for task in (self._listening, *self._left.values()):
            if task is not None:
                task.cancel()
        if self._watch is not None:
            self._watch.cancel()
        self._wake()

    async def close(self) -> None:
        """Give back what was not handed over."""
        self.stop()
        try:
            await asyncio.gather(self.give_back(), *self._tasks)
        finally:  # the server takes back what is left
            for task in (*self._tasks, self._opening):
                if task is not None and not task.done():
                    task.cancel()
