"""One channel of a connection: declarations, publishing with confirms, consuming, acknowledging."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from pamqp import commands
from pamqp.base import Frame

from celeriac.stores.amqp import packing, requests
from celeriac.stores.amqp.confirms import Confirms, Refused
from celeriac.stores.amqp.consumer import Consumer
from celeriac.stores.amqp.errors import ChannelClosed, Disconnected, ProtocolError, Unanswered
from celeriac.stores.amqp.packing import Arguments, Packer, method_frame, pack_settlements
from celeriac.stores.amqp.requests import Declared, Request
from celeriac.stores.amqp.tags import Tags
from celeriac.stores.amqp.wire import Confirmation, Incoming, Publication, Returned

if TYPE_CHECKING:
    from celeriac.stores.amqp.connection import Connection

__all__ = ["Channel", "Declared", "Refused"]

OnDeliveries = Callable[[list[Incoming]], None]
T = TypeVar("T")

ANSWER_TIMEOUT: Final = 10.0
"""Seconds without an answer after which nobody waits for it any more. RabbitMQ answers in milliseconds; or when a
quorum queue has another leader, which takes about five seconds; or never, when a node does not go on."""
_LATE: Final = 0.5
"""Share of that time by which a timer may be late: more, and it was us who slept, not the server."""


class _Call(msgspec.Struct, frozen=True):
    """A method on its way, and who waits for its answer."""

    request: Request[Any]
    future: asyncio.Future[Any]


class Channel:
    """Made by :meth:`Link.channel`; never opened again: ask the link for another one when it is closed.

    Methods are sent in the order of the calls, all of one turn of the event loop in one write, and the server
    executes them in that order; so many can be on their way: call them all, then await their futures. The error of a
    future that nobody awaits is dropped.

    The server owes an answer to each method but publications, acknowledgements and rejections. When none of those comes
    for 10 seconds, all who wait get Unanswered, and the channel counts as stuck. It is not closed, for the server would
    not hear of that either, and what was delivered may still be settled.

    Every future raises ChannelClosed when the server closed the channel (``blamed`` says whether for this very
    method) and Disconnected when the connection broke.

    Attributes:
        number: on its connection.
        generation: of the link's connection; delivery tags are worth nothing on another one.
        closed: None while it is open, else the error that ended it.
        on_closed: called once with that error, unless we closed the channel ourselves.
        stuck: the server did not answer in time, once.
        on_stuck: called then.
        opened: done when the server has opened it.
    """

    def __init__(self, connection: Connection, number: int) -> None:
        self.number: Final = number
        self.generation: Final = connection.generation
        self.closed: Disconnected | None = None
        self.on_closed: Callable[[Disconnected], None] | None = None
        self.stuck = False
        self.on_stuck: Callable[[Unanswered], None] | None = None
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._connection: Final = connection
        self._calls: deque[_Call] = deque()
        self._confirming = False
        self._confirms: Final[Confirms[asyncio.Future[list[Refused]]]] = Confirms()
        self._packer: Final = Packer(number, connection.frame_max)
        self._tags: Final = Tags()
        self._consumers: Final[set[bytes]] = set()
        self._closing: asyncio.Future[None] | None = None
        self.opened: Final[asyncio.Future[None]] = self.call(requests.OPEN_CHANNEL)

    # --------------------------------------------------------------------------------------------------- declarations

    def declare_queue(
        self,
        queue: str = "",
        *,
        passive: bool = False,
        durable: bool = True,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Arguments | None = None,
    ) -> asyncio.Future[Declared]:
        """Make the queue unless it exists so; ``passive`` only asks whether it exists."""
        return self.call(
            requests.declare_queue(
                queue,
                passive=passive,
                durable=durable,
                exclusive=exclusive,
                auto_delete=auto_delete,
                arguments=arguments,
            )
        )

    def declare_exchange(
        self,
        exchange: str,
        kind: str = "direct",
        *,
        passive: bool = False,
        durable: bool = True,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Arguments | None = None,
    ) -> asyncio.Future[None]:
        """Make the exchange unless it exists so."""
        return self.call(
            requests.declare_exchange(
                exchange,
                kind,
                passive=passive,
                durable=durable,
                auto_delete=auto_delete,
                internal=internal,
                arguments=arguments,
            )
        )

    def bind_queue(
        self, queue: str, exchange: str, routing_key: str = "", arguments: Arguments | None = None
    ) -> asyncio.Future[None]:
        """Let messages flow from the exchange to the queue."""
        return self.call(requests.bind_queue(queue, exchange, routing_key, arguments))

    def unbind_queue(
        self, queue: str, exchange: str, routing_key: str = "", arguments: Arguments | None = None
    ) -> asyncio.Future[None]:
        """Take back :meth:`bind_queue`."""
        return self.call(requests.unbind_queue(queue, exchange, routing_key, arguments))

    def bind_exchange(
        self, destination: str, source: str, routing_key: str = "", arguments: Arguments | None = None
    ) -> asyncio.Future[None]:
        """Let messages flow from the exchange ``source`` to the exchange ``destination``."""
        return self.call(requests.bind_exchange(destination, source, routing_key, arguments))

    def delete_queue(self, queue: str, *, if_unused: bool = False, if_empty: bool = False) -> asyncio.Future[int]:
        """Delete it; the future brings how many messages it held."""
        return self.call(requests.delete_queue(queue, if_unused=if_unused, if_empty=if_empty))

    def delete_exchange(self, exchange: str, *, if_unused: bool = False) -> asyncio.Future[None]:
        """Delete it."""
        return self.call(requests.delete_exchange(exchange, if_unused=if_unused))

    def purge(self, queue: str) -> asyncio.Future[int]:
        """Drop what is ready in the queue; the future brings how many."""
        return self.call(requests.purge(queue))

    def get(self, queue: str, *, no_ack: bool = False) -> asyncio.Future[Incoming | None]:
        """Take the first ready message, None when there is none."""
        request = requests.get(queue, no_ack=no_ack)

        def taken(answer: object) -> Incoming | None:
            found = request.convert(answer)
            if found is not None:
                self._arrived([found], no_ack)
            return found

        return self.call(msgspec.structs.replace(request, convert=taken))

    # ----------------------------------------------------------------------------------------------------- publishing

    def confirm(self) -> asyncio.Future[None]:
        """Have every publication confirmed from now on; call it once, before :meth:`publish`."""
        self._confirming = True
        return self.call(requests.CONFIRM)

    def publish(self, publications: Sequence[Publication]) -> asyncio.Future[list[Refused]]:
        """Send them in order; the future is done when the server has confirmed, nacked or returned every one.

        It brings those that were not taken, nothing when all were. It never ends while the server blocks us (see
        ``Link.blocked``): bound it with ``asyncio.timeout``. Cancelling it takes nothing back.

        ChannelClosed.is_missing (the exchange does not exist) is for the whole channel.

        Raises:
            EncodeError: the name of an exchange or a routing key is too long; nothing was sent.
        """
        assert self._confirming, "call confirm() first"
        future: asyncio.Future[list[Refused]] = self._connection.loop.create_future()
        if self.closed is not None:
            _fail(future, self.closed)
        elif publications:
            frames = self._packer.pack(publications)
            self._confirms.sent(publications, future)
            self._connection.send(frames)
        else:
            future.set_result([])
        return future

    async def drained(self) -> None:
        """Wait while the server reads more slowly than we write."""
        await self._connection.drained()

    # ------------------------------------------------------------------------------------------------------ consuming

    def consume(
        self,
        queue: str,
        on_deliveries: OnDeliveries,
        *,
        prefetch: int,
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: Arguments | None = None,
        on_cancelled: Callable[[str], None] | None = None,
    ) -> asyncio.Future[str]:
        """Have messages sent; the future brings the consumer's tag.

        Args:
            queue: its name.
            on_deliveries: called with all deliveries of one read from the socket; it must neither block nor raise.
                Deliveries may come before the future is done.
            prefetch: how many may be unacknowledged (``basic.qos`` for this consumer alone), 0 for any number. To
                change it, cancel and consume again.
            no_ack: deliveries need no acknowledgement.
            exclusive: nobody else may consume from the queue.
            arguments: ``x-priority``, ``x-stream-offset``, ``x-consumer-timeout``...
            on_cancelled: called with the tag when the server ended the consumer: the queue was deleted, or its node
                is gone.
        """
        tag = self._connection.new_consumer_tag()
        request = requests.consume(queue, tag, no_ack=no_ack, exclusive=exclusive, arguments=arguments)
        self.call(requests.prefetch(prefetch))
        if self.closed is None:
            self._connection.consumers[tag.encode()] = Consumer(tag, on_deliveries, on_cancelled, no_ack)
            self._consumers.add(tag.encode())
        return self.call(request)

    def cancel(self, consumer: str) -> asyncio.Future[None]:
        """End a consumer. Deliveries may come until the future is done; what was delivered is still ours to settle."""

        def dropped(answer: object) -> None:
            self._drop_consumer(consumer)

        return self.call(msgspec.structs.replace(requests.cancel(consumer), convert=dropped))

    def cancel_all(self) -> list[asyncio.Future[None]]:
        """:meth:`cancel` all consumers, and those that are only asked for."""
        return [self.cancel(tag.decode()) for tag in self._consumers]

    def acknowledge(self, tags: Sequence[int]) -> None:
        """Acknowledge deliveries, in any order; a complete run from the oldest one on becomes one frame.

        Tags that were settled before, or never delivered here, are left out. Nothing happens on a closed channel: the
        server has taken its deliveries back.
        """
        settled = self._tags.settle(tags)
        if settled and self.closed is None:
            self._connection.send(pack_settlements(self.number, settled))

    def reject(self, tags: Sequence[int], *, requeue: bool) -> None:
        """Give deliveries back to their places in their queues, or (``requeue=False``) let them be dead-lettered."""
        settled = self._tags.settle(tags)
        if settled and self.closed is None:
            self._connection.send(pack_settlements(self.number, settled, requeue))

    @property
    def unsettled(self) -> int:
        """How many deliveries are neither acknowledged nor rejected."""
        return self._tags.unsettled if self.closed is None else 0

    def close(self) -> asyncio.Future[None]:
        """Close it; the server takes back what is not acknowledged. Idempotent.

        The future is not to be waited for longer than any answer: it is done then, or at once on a stuck channel.
        """
        if self._closing is None:
            closing = self._closing = self._connection.loop.create_future()
            if self.closed is None:
                self._connection.send(requests.CLOSE_CHANNEL.frame(self.number))
                self.on_closed = None
                self._end(Disconnected("the channel was closed by us"))
                timeout = self._connection.loop.call_later(0.0 if self.stuck else ANSWER_TIMEOUT, _release, closing)
                closing.add_done_callback(lambda _: timeout.cancel())
            else:
                self._closing.set_result(None)
        return self._closing

    # -------------------------------------------------------------------------------------------------- from the server

    def deliver(self, consumer: Consumer | None, batch: list[Incoming]) -> None:
        """Hand over what came for a consumer."""
        if self.closed is not None:
            return
        self._arrived(batch, consumer is not None and consumer.no_ack)
        if consumer is None:
            self.reject([each.tag for each in batch], requeue=True)
        else:
            consumer.on_deliveries(batch)

    def _arrived(self, batch: list[Incoming], no_ack: bool) -> None:
        tags = self._tags
        if no_ack:
            for each in batch:
                tags.skip(each.tag)
        elif batch[-1].tag > tags.highest:
            tags.highest = batch[-1].tag

    def receive(self, item: Incoming | Confirmation | Returned) -> None:
        """Take what belongs to this channel and is neither a delivery nor a plain method."""
        if self.closed is not None:
            return
        if type(item) is Confirmation:
            for window in self._confirms.confirmed(item):
                if not window.waiter.done():
                    window.waiter.set_result(window.refused)
        elif type(item) is Returned:
            self._confirms.returned(item)
        else:
            self._answered(item)

    def answer(self, method: Frame) -> None:
        """Take any other method."""
        if isinstance(method, commands.Channel.Close):
            self._closed_by_server(method)
        elif isinstance(method, commands.Channel.CloseOk):
            self._connection.forget(self.number)
            if self._closing is not None and not self._closing.done():
                self._closing.set_result(None)
        elif isinstance(method, commands.Basic.Cancel):
            consumer = self._drop_consumer(method.consumer_tag or "")
            if consumer is not None and consumer.on_cancelled is not None:
                consumer.on_cancelled(consumer.tag)
        elif isinstance(method, commands.Channel.Flow):
            answer = packing.bits(bool(method.active))
            self._connection.send(method_frame(self.number, packing.CHANNEL_FLOW_OK, answer))
        elif self.closed is None:
            self._answered(method)

    def _answered(self, answer: Any) -> None:
        call = self._asked(answer)
        if call is None:
            self._connection.fail(ProtocolError(f"the server answered what was not asked: {type(answer).__name__}"))
            return
        self._heard = self._connection.loop.time()
        result = call.request.convert(answer)
        if not call.future.done():
            call.future.set_result(result)
        elif isinstance(result, Incoming):  # nobody waits for it any more
            self.reject([result.tag], requeue=True)

    def _asked(self, answer: Any) -> _Call | None:
        """Take out the call that an answer is for.

        Methods are answered in their order, but for two: it is the queue that confirms the beginning and the end of a
        consumer, so the channel may answer later methods before.
        """
        for place, call in enumerate(self._calls):
            request = call.request
            is_answer = isinstance(answer, request.answers)
            if not request.consumer:
                if not is_answer:
                    break
            elif not is_answer or request.consumer != _consumer_tag(answer):
                continue
            del self._calls[place]
            return call
        return None

    def _closed_by_server(self, method: commands.Channel.Close) -> None:
        self._connection.send(method_frame(self.number, packing.CHANNEL_CLOSE_OK))
        self._connection.forget(self.number)
        if self._closing is not None and not self._closing.done():  # both at once
            self._closing.set_result(None)
        if self.closed is not None:
            return
        code, text = method.reply_code or 0, method.reply_text
        index = (method.class_id or 0) << 16 | (method.method_id or 0)
        # Methods are answered in order, so it can only be the first of its kind without an answer.
        for place, call in enumerate(self._calls):
            if call.request.index == index:
                del self._calls[place]
                _fail(call.future, ChannelClosed(code, text, blamed=True))
                break
        if index == requests.PUBLISH_INDEX:
            for window in self._confirms:
                _fail(window.waiter, ChannelClosed(code, text, blamed=True))
        self._end(ChannelClosed(code, text))

    def end(self, reason: Disconnected) -> None:
        """The connection broke."""
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)
        self._end(reason)

    def _end(self, reason: Disconnected) -> None:
        if self.closed is not None:
            return
        self.closed = reason
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for tag in self._consumers:
            self._connection.consumers.pop(tag, None)
        for call in self._calls:
            _fail(call.future, reason)
        for window in self._confirms:
            _fail(window.waiter, reason)
        self._calls.clear()
        self._consumers.clear()
        if self.on_closed is not None:
            self.on_closed(reason)

    # ---------------------------------------------------------------------------------------------------------- calls

    def call(self, request: Request[T]) -> asyncio.Future[T]:
        """Send a method; the future brings its result."""
        future: asyncio.Future[T] = self._connection.loop.create_future()
        if self.closed is not None:
            _fail(future, self.closed)
        else:
            if not self._calls or self._watch is None:
                self._heard = self._connection.loop.time()
                if self._watch is None:
                    self._watch_until(self._heard + ANSWER_TIMEOUT)
            self._calls.append(_Call(request, future))
            self._connection.send(request.frame(self.number))
        return future

    def _watch_until(self, due: float) -> None:
        self._watch = self._connection.loop.call_at(due, self._look, due)

    def _look(self, due: float) -> None:
        """Whether the server still answers; one timer for all calls, which is set when there are any.

        What the server sent while our process slept may still wait in the socket, and timers run first: so after a late
        timer the server gets another round.
        """
        self._watch = None
        waiting = [call for call in self._calls if not call.future.done()]
        if not waiting:
            return
        now = self._connection.loop.time()
        # A server that is short of memory or disk does not read what we ask on a connection that publishes.
        is_excused = self._calls[0].request.is_long or self._connection.blocked is not None
        if is_excused or now - due > ANSWER_TIMEOUT * _LATE:
            self._heard = now
        if now < self._heard + ANSWER_TIMEOUT:
            self._watch_until(self._heard + ANSWER_TIMEOUT)
            return
        self.stuck = True
        error = Unanswered(f"the server has not answered {waiting[0].request.name} within {ANSWER_TIMEOUT:g} seconds")
        for call in waiting:
            _fail(call.future, error)
        if self.on_stuck is not None:
            self.on_stuck(error)

    def _drop_consumer(self, tag: str) -> Consumer | None:
        self._consumers.discard(tag.encode())
        return self._connection.consumers.pop(tag.encode(), None)


def _consumer_tag(answer: Any) -> str:
    tag: str = answer.consumer_tag
    return tag


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[Any], error: Disconnected) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # nobody may wait for it, and that is no reason to complain
