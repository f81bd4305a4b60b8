"""One asynchronous connection to a node: frames in, frames out, heartbeats; its channels live on it.

It stands on ``asyncio.Protocol`` and the parser of this package alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Callable
from typing import Any, Final

from pamqp import commands
from pamqp.base import Frame

from celeriac.exceptions import OperationalError
from celeriac.stores.amqp.address import Address, Node
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.consumer import Consumer
from celeriac.stores.amqp.errors import Disconnected, ProtocolError, Unanswered
from celeriac.stores.amqp.handshake import Handshake
from celeriac.stores.amqp.keepalive import keep_alive
from celeriac.stores.amqp.packing import CONNECTION_CLOSE, CONNECTION_CLOSE_OK
from celeriac.stores.amqp.wire import HEARTBEAT, PROTOCOL_HEADER, Incoming, Method, Parser
from celeriac.stores.sockets import connect_soon

__all__ = ["Connection", "State"]

_SILENCE: Final = 1.5
"""Heartbeats that may be missing: the server sends two in the time agreed upon, so this is three of them."""
_CLOSE_TIMEOUT: Final = 1.0
"""Seconds for the server to say goodbye; what it has read is executed either way."""
_LATE: Final = 0.5
"""Share of a heartbeat by which a timer may be late: more, and it was us who slept, not the server."""


class State(enum.Enum):
    """What a connection is doing."""

    CONNECTING = enum.auto()
    READY = enum.auto()
    BROKEN = enum.auto()
    CLOSED = enum.auto()
    """Of a link: by us, for good."""


class Connection(asyncio.Protocol):
    """One connection, from its first byte to its last; never opened again.

    Args:
        loop: the event loop.
        generation: counts the connections of one owner.
        on_broken: called once when it breaks after it was ready, but not by :meth:`close`.
        on_blocked: called with the server's reason when it stops taking messages, with None when it goes on.

    Attributes:
        server: the server's properties.
        blocked: the server's reason while it takes no messages.
        consumers: of all channels, by tag.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        generation: int,
        on_broken: Callable[[Disconnected], None],
        on_blocked: Callable[[str | None], None],
    ) -> None:
        self.generation: Final = generation
        self.loop: Final = loop
        self.state = State.CONNECTING
        self.made = loop.time()
        self.server: dict[str, Any] = {}
        self.blocked: str | None = None
        self.consumers: dict[bytes, Consumer] = {}
        self.frame_max = 0
        self._on_broken = on_broken
        self._on_blocked = on_blocked
        self._parser: Final = Parser()
        self._handshake: Handshake | None = None
        self._opened: asyncio.Future[None] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self._channels: dict[int, Channel] = {}
        self._channel_max = 0
        self._consumers_made = 0
        self._transport: Any = None
        self._out: list[bytes] = []
        self._room: asyncio.Event | None = None
        self._heartbeat = 0.0
        self._beat: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._heard = 0.0
        self._silent = True
        self._reason: Exception | None = None

    @classmethod
    async def make(
        cls,
        address: Address,
        node: Node,
        timeout: float,
        generation: int,
        name: str,
        on_broken: Callable[[Disconnected], None],
        on_blocked: Callable[[str | None], None],
    ) -> Connection:
        """Connect and log in.

        Args:
            timeout: seconds for all of it, name look-up included.

        Raises:
            OSError: no connection (TimeoutError: not within the time).
            BrokerUnreachable: the server refuses us.
            Disconnected: the server closed the connection, or speaks another language.
        """
        connection = cls(asyncio.get_running_loop(), generation, on_broken, on_blocked)
        connection._handshake = Handshake(address, node, name, address.heartbeat)
        try:
            async with asyncio.timeout(timeout):
                await connection._connect(node, connection.made + timeout)
                connection._write(PROTOCOL_HEADER)
                await connection._opened
        except TimeoutError:
            connection.abort()
            raise TimeoutError(f"no answer within {timeout:g} seconds") from None
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _connect(self, node: Node, deadline: float) -> None:
        context = node.tls_context()
        name = node.server_hostname if context else None
        plain = await connect_soon(node.host, node.port, deadline)
        try:
            keep_alive(plain)
        except BaseException:
            plain.close()
            raise
        await self.loop.create_connection(lambda: self, sock=plain, ssl=context, server_hostname=name)

    # ------------------------------------------------------------------------------------------------------- channels

    async def channel(self) -> Channel:
        """Open another channel.

        Raises:
            Disconnected: the connection broke; or the server does not open the channel in time, which concerns no
                queue, so nothing else can be expected of it: the connection is dropped.
            OperationalError: it has as many channels as the server allows.
        """
        if self.state is not State.READY:
            raise Disconnected(f"the connection is broken: {self._reason}")
        number = next((each for each in range(1, self._channel_max + 1) if each not in self._channels), 0)
        if not number:
            raise OperationalError(f"the server allows {self._channel_max} channels on a connection (channel_max)")
        channel = self._channels[number] = Channel(self, number)
        try:
            await channel.opened
        except asyncio.CancelledError:
            channel.close()
            raise
        except Unanswered as error:
            self._break(error)
            raise
        return channel

    def forget(self, number: int) -> None:
        """The channel is closed on both sides: its number is free."""
        self._channels.pop(number, None)

    def new_consumer_tag(self) -> str:
        """A tag that no other consumer of this connection has."""
        self._consumers_made += 1
        return f"celeriac.{self._consumers_made}"

    # --------------------------------------------------------------------------------------------------------- output

    def send(self, frames: bytes) -> None:
        """Send soon: all of one turn of the event loop in one write."""
        if self.state is State.BROKEN:
            return
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out.append(frames)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self.state is not State.BROKEN:
            self._write(out[0] if len(out) == 1 else b"".join(out))

    def _write(self, frames: bytes) -> None:
        self._silent = False
        self._transport.write(frames)

    async def drained(self) -> None:
        """Wait while the peer reads more slowly than we write."""
        if self._room is not None:
            await self._room.wait()

    def pause_writing(self) -> None:
        self._room = asyncio.Event()

    def resume_writing(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None

    # ---------------------------------------------------------------------------------------------------------- input

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._heard = self.loop.time()

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        try:
            items = self._parser.feed(data)
        except ProtocolError as error:
            self._break(error)
            return
        # Deliveries are handed over by consumer, all of this read at once; but before anything that may end a consumer.
        batches: dict[bytes, list[Incoming]] = {}
        for item in items:
            if type(item) is Incoming and item.consumer:
                batch = batches.get(item.consumer)
                if batch is None:
                    batches[item.consumer] = [item]
                else:
                    batch.append(item)
            elif type(item) is Method:
                if batches:
                    self._deliver(batches)
                    batches = {}
                self._method(item.channel, item.method)
            elif (channel := self._channels.get(item.channel)) is not None:
                channel.receive(item)  # type: ignore[arg-type]  # isinstance would cost time
        if batches:
            self._deliver(batches)

    def _deliver(self, batches: dict[bytes, list[Incoming]]) -> None:
        for tag, batch in batches.items():
            channel = self._channels.get(batch[0].channel)
            if channel is not None:
                channel.deliver(self.consumers.get(tag), batch)

    def _method(self, number: int, method: Frame) -> None:
        if number:
            channel = self._channels.get(number)
            if channel is not None:
                channel.answer(method)
        elif self.state is State.CONNECTING:
            self._greet(method)
        elif isinstance(method, commands.Connection.Blocked):
            self._block(method.reason)
        elif isinstance(method, commands.Connection.Unblocked):
            self._block(None)
        elif isinstance(method, commands.Connection.Close):
            self._write(CONNECTION_CLOSE_OK)
            self._break(Disconnected(f"the server closed the connection: {method.reply_text}"), gently=True)
        elif isinstance(method, commands.Connection.CloseOk):
            self._break(Disconnected("closed by us"))

    def _greet(self, method: Frame) -> None:
        handshake = self._handshake
        assert handshake is not None
        try:
            answer = handshake.answer(method)
        except OperationalError as error:
            self._break(error)
            return
        if answer:
            self._write(answer)
        if handshake.done:
            self._ready(handshake)

    def _ready(self, handshake: Handshake) -> None:
        self.state = State.READY
        self.server = handshake.server
        self.frame_max = self._parser.frame_max = handshake.frame_max
        self._channel_max = handshake.channel_max
        self._heartbeat = handshake.heartbeat
        self._handshake = None
        if self._heartbeat:
            self._beat_later()
        if not self._opened.done():
            self._opened.set_result(None)

    def _block(self, reason: str | None) -> None:
        self.blocked = reason
        self._on_blocked(reason)

    # ----------------------------------------------------------------------------------------------------- heartbeats

    def _beat_later(self) -> None:
        self._silent = True
        self._due = self.loop.time() + self._heartbeat / 2
        self._beat = self.loop.call_at(self._due, self._on_beat)

    def _on_beat(self) -> None:
        """Twice in each heartbeat: say something unless something was said, and listen whether the server lives.

        What the server sent while our process slept (suspended, or starved) may still wait in the socket, and timers
        run first: so after a late timer the server gets another round.
        """
        now = self.loop.time()
        late = now - self._due > self._heartbeat * _LATE
        if now - self._heard > self._heartbeat * _SILENCE and not late:
            self._break(Disconnected(f"the server was silent for {now - self._heard:.0f} seconds"))
            return
        if self._silent:
            self._write(HEARTBEAT)
        self._beat_later()

    # ------------------------------------------------------------------------------------------------------------ end

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(Disconnected(f"the connection broke: {exc or 'the server closed it'}"))
        if not self._closed.done():
            self._closed.set_result(None)

    def _break(self, reason: Exception, gently: bool = False) -> None:
        """End it for ever, for ``reason``; gently: what was written is still sent."""
        if self.state is State.BROKEN:
            return
        was_ready = self.state is State.READY
        self.state, self._reason = State.BROKEN, reason
        self.resume_writing()
        if self._beat is not None:
            self._beat.cancel()
        if self._transport is not None:
            self._transport.close() if gently else self._transport.abort()
        if not self._opened.done():
            self._opened.set_exception(reason)
            self._opened.exception()  # nobody may wait for it any more
        error = reason if isinstance(reason, Disconnected) else Disconnected(str(reason))
        channels, self._channels = self._channels, {}
        self.consumers = {}
        for channel in channels.values():
            channel.end(error)
        if was_ready:
            with contextlib.suppress(RuntimeError):  # the event loop is closing
                self._on_broken(error)

    def fail(self, reason: ProtocolError) -> None:
        """Drop it: the server breaks the rules of the protocol."""
        self._break(reason)

    def abort(self) -> None:
        """Drop it at once."""
        self._on_broken = _ignore
        self._break(Disconnected("closed by us"))

    async def close(self) -> None:
        """Say goodbye, so that all that was sent is executed; and drop it."""
        self._on_broken = _ignore
        if self.state is State.READY:
            self.send(CONNECTION_CLOSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await asyncio.shield(self._closed)
        self.abort()


def _ignore(error: Disconnected) -> None:
    pass
