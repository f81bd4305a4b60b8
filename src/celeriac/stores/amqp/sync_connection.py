"""Synchronous connections: blocking sockets with one channel, each operation bounded by a deadline.

Everything goes through the modules ``socket`` and ``time`` at the moment of use, so that gevent's patches apply.
Deadlines are monotonic times in seconds.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections import deque
from typing import Final

from pamqp import commands
from pamqp.base import Frame

from celeriac.exceptions import BrokerUnreachable
from celeriac.stores.amqp.address import Address, Node
from celeriac.stores.amqp.errors import Disconnected, unreachable
from celeriac.stores.amqp.handshake import Handshake
from celeriac.stores.amqp.keepalive import keep_alive
from celeriac.stores.amqp.packing import CONNECTION_CLOSE, CONNECTION_CLOSE_OK
from celeriac.stores.amqp.wire import HEARTBEAT, PROTOCOL_HEADER, Item, Method, Parser
from celeriac.stores.sockets import connect as connect_socket

__all__ = ["IDLE_HEARTBEAT", "SyncConnection", "connect", "left_until"]

_CHUNK: Final = 65536
IDLE_HEARTBEAT: Final = 600
"""Seconds: a client that rests sends none, so the server would drop it after twice that; it connects again then. And a
server gets rid of clients whose machine is gone."""
_SILENCE: Final = 1.5
"""Heartbeats that may be missing while we listen."""
_LONGEST: Final = 86400.0
"""Seconds; sockets refuse a timeout that is endless, and whoever waits so long asks again."""
_SLACK: Final = 1.005
_LATEST: Final = 1.01
"""A socket's timeout may be so many times what is left: setting it costs a system call, and calls that follow each
other have about the same time."""
_GOODBYE: Final = 0.1
"""Seconds for the last frame to leave; the server does without it, too."""


def left_until(deadline: float) -> float:
    """Seconds until the deadline, a day at most.

    Raises:
        TimeoutError: none.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return min(left, _LONGEST)


class SyncConnection:
    """One connection, used by one thread at a time.

    Args:
        address: how to log in.
        node: where.
        deadline: for everything from name look-up to the end of the handshake.
        name: what the server's list of connections shows.
        heartbeat: seconds; a connection that listens needs a short one to notice that the server is gone.

    Attributes:
        blocked: the server's reason while it takes no messages.
        items: what came and was not looked at yet.
        used: when it was last in use.
        frame_max: bytes of the largest frame.

    Raises:
        OSError: no connection (TimeoutError: not in time).
        BrokerUnreachable: the server refuses us.
        Disconnected: the server closed the connection, or speaks another language.
    """

    def __init__(self, address: Address, node: Node, deadline: float, name: str, heartbeat: int) -> None:
        self.node: Final = node
        self.blocked: str | None = None
        self.items: deque[Item] = deque()
        self.used = self._sent = self._heard = time.monotonic()
        self._timeout = 0.0
        self._parser: Final = Parser()
        self._handshake: Handshake | None = Handshake(address, node, name, heartbeat, force_heartbeat=True)
        self.socket: Final = _connected(node, deadline)
        try:
            self._introduce(self._handshake, deadline)
        except BaseException:
            self.drop()
            raise
        self.heartbeat: Final = self._handshake.heartbeat
        self.frame_max: Final = self._handshake.frame_max
        self._parser.frame_max = self.frame_max
        self._handshake = None

    def _introduce(self, handshake: Handshake, deadline: float) -> None:
        self.send(PROTOCOL_HEADER, deadline)
        while not handshake.done:
            self.read(deadline)

    # ------------------------------------------------------------------------------------------------ input and output

    def send(self, frames: bytes, deadline: float) -> None:
        """Write everything."""
        self._bound(deadline)
        self.socket.sendall(frames)
        self._sent = time.monotonic()

    def read(self, deadline: float) -> None:
        """Wait for bytes from the server, and add what they hold to ``items``.

        Raises:
            OSError: TimeoutError among them.
            Disconnected: the server closed the connection, or broke the protocol.
        """
        self._bound(deadline)
        self._take(self.socket.recv(_CHUNK))

    def _bound(self, deadline: float) -> None:
        """Have the next operation of the socket end at the deadline."""
        left = left_until(deadline)
        if not left <= self._timeout <= left * _LATEST:
            self._timeout = left * _SLACK
            self.socket.settimeout(self._timeout)

    def read_what_is_there(self) -> None:
        """As :meth:`read`, without waiting."""
        self._timeout = 0.0
        self.socket.settimeout(0)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            while True:
                self._take(self.socket.recv(_CHUNK))

    def listen(self, deadline: float) -> None:
        """As :meth:`read`, for long: with heartbeats both ways.

        Raises:
            TimeoutError: nothing came until the deadline.
            OSError, Disconnected: as :meth:`read`; and when the server was silent for too long.
        """
        before = len(self.items)
        while len(self.items) == before:
            now = time.monotonic()
            if self.heartbeat and now - self._sent >= self.heartbeat / 2:
                self.send(HEARTBEAT, now + self.heartbeat)
            wake = min(deadline, self._sent + self.heartbeat / 2) if self.heartbeat else deadline
            try:
                self.read(wake)
            except TimeoutError:
                left_until(deadline)
                if time.monotonic() - max(self._heard, self.used) > self.heartbeat * _SILENCE:
                    raise Disconnected("the server is silent") from None

    def _take(self, data: bytes) -> None:
        if not data:
            raise Disconnected("the server closed the connection")
        self._heard = time.monotonic()
        for item in self._parser.feed(data):
            if type(item) is Method and item.channel == 0:
                self._control(item.method)
            else:
                self.items.append(item)

    def _control(self, method: Frame) -> None:
        """A method that is for the whole connection."""
        if self._handshake is not None:
            answer = self._handshake.answer(method)
            if answer:
                self.socket.sendall(answer)
        elif isinstance(method, commands.Connection.Blocked):
            self.blocked = method.reason
        elif isinstance(method, commands.Connection.Unblocked):
            self.blocked = None
        elif isinstance(method, commands.Connection.Close):
            with contextlib.suppress(OSError):
                self.socket.sendall(CONNECTION_CLOSE_OK)
            raise Disconnected(f"the server closed the connection: {method.reply_text}")

    def is_alive(self) -> bool:
        """Whether the server has not closed it; what came meanwhile is taken."""
        try:
            self.read_what_is_there()
        except (OSError, Disconnected):
            return False
        return True

    # -------------------------------------------------------------------------------------------------------------- end

    def close(self) -> None:
        """Say goodbye, so that the server need not complain in its log, and close the socket."""
        with contextlib.suppress(OSError):
            self._timeout = 0.0
            self.socket.settimeout(_GOODBYE)
            self.socket.sendall(CONNECTION_CLOSE)
        self.drop()

    def drop(self) -> None:
        """Close the socket without a word: a child of a fork must not speak for its parent."""
        self.socket.close()


def _connected(node: Node, deadline: float) -> socket.socket:
    """A connected socket, TLS included."""
    plain = connect_socket(node.host, node.port, deadline)
    try:
        keep_alive(plain)
        context = node.tls_context()
        if context is None:
            return plain
        plain.settimeout(left_until(deadline))
        return context.wrap_socket(plain, server_hostname=node.server_hostname)
    except BaseException:
        plain.close()
        raise


def connect(
    address: Address, nodes: list[Node], deadline: float, timeout: float, name: str, heartbeat: int
) -> SyncConnection:
    """Connect to the first node that answers.

    Args:
        address: how to log in.
        nodes: the nodes in the order to try them.
        deadline: for all of them.
        timeout: seconds for one of them.
        name: what the server's list of connections shows.
        heartbeat: seconds.

    Raises:
        as :class:`SyncConnection`; of several, the refusal tells most.
    """
    failure: Exception = OSError("there are no nodes")
    for tried, node in enumerate(nodes):
        share = min(timeout, left_until(deadline) / (len(nodes) - tried))
        try:
            return SyncConnection(address, node, time.monotonic() + share, name, heartbeat)
        except (OSError, Disconnected, BrokerUnreachable) as error:
            if not isinstance(failure, BrokerUnreachable):
                failure = unreachable(node.public, error) if isinstance(error, ssl.SSLCertVerificationError) else error
    raise failure
