"""Synchronous connections: blocking sockets and hiredis, each operation bounded by a deadline.

A round trip takes 18 microseconds this way, 19 through ``redis.Connection`` and 29 through ``redis.Redis`` (loopback).
Everything goes through the modules ``socket``, ``threading`` and ``time`` at the moment of use, so that gevent's
patches apply.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from hiredis import ProtocolError, PushNotification, Reader, ReplyError

from celeriac.stores.redis.address import Address
from celeriac.stores.redis.connection import handshake_of, keep_alive
from celeriac.stores.redis.errors import Disconnected
from celeriac.stores.redis.wire import pack_command

__all__ = ["Pool", "SyncConnection"]

_CHUNK: Final = 65536
_IDLE_CHECK: Final = 0.1
"""Seconds of rest after which a connection is looked at before use: the server may have closed it meanwhile, and a
command that was never sent cannot be doubled by sending it again."""
_FREE: Final = 32
"""Connections kept for the next callers; more exist only while more threads call at once."""
_NOTHING: Final = object()


def _resolve(host: str, port: int, deadline: float) -> list[tuple[Any, ...]]:
    """Look a name up, until the deadline: getaddrinfo itself has none, so a name of another machine is looked up in a
    thread that is left alone when it takes too long."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            found.append(error)

    if host == "localhost" or _is_literal(host):
        look_up()
    else:
        thread = threading.Thread(target=look_up, name="celeriac-look-up", daemon=True)
        thread.start()
        thread.join(max(0.0, deadline - time.monotonic()))
    if not found:
        raise TimeoutError(f"the name {host} was not found in time")
    if isinstance(found[0], OSError):
        raise found[0]
    addresses: list[tuple[Any, ...]] = found[0]
    return addresses


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _left(deadline: float) -> float:
    """Seconds until the deadline.

    Raises:
        TimeoutError: none.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


class SyncConnection:
    """One connection, used by one thread at a time (waits for results excepted, which lock)."""

    def __init__(self, address: Address, deadline: float, name: str) -> None:
        self.socket = _connected(address, deadline)
        self.used = time.monotonic()
        self._reader = Reader(notEnoughData=_NOTHING)
        try:
            for reply in self.request([pack_command(each) for each in handshake_of(address, name)], deadline):
                if isinstance(reply, ReplyError):
                    raise reply
        except BaseException:
            self.close()
            raise

    def send(self, packed: bytes, deadline: float) -> None:
        """Write everything."""
        self.socket.settimeout(_left(deadline))
        self.socket.sendall(packed)

    def receive(self) -> list[Any]:
        """What is there now, pushes among it; at least one read, which may block as the socket's timeout allows."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise Disconnected("the server closed the connection")
        self._reader.feed(data)
        found = []
        while (reply := self._reader.gets()) is not _NOTHING:
            found.append(reply)
        return found

    def request(self, packed: Sequence[bytes], deadline: float) -> list[Any]:
        """Send commands and return their replies, error replies as values.

        Raises:
            OSError: TimeoutError among them.
            Disconnected: the server closed the connection.
        """
        self.send(packed[0] if len(packed) == 1 else b"".join(packed), deadline)
        replies: list[Any] = []
        while True:
            try:
                found = self.receive()
            except ProtocolError as error:
                raise Disconnected(f"not the Redis protocol: {error}") from None
            replies += [reply for reply in found if type(reply) is not PushNotification]
            if len(replies) >= len(packed):
                return replies
            self.socket.settimeout(_left(deadline))

    def is_closed(self) -> bool:
        """Whether the server has closed it, or sent what nobody asked for."""
        self.socket.settimeout(0)
        try:
            self.socket.recv(1) if isinstance(self.socket, ssl.SSLSocket) else self.socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def _connected(address: Address, deadline: float) -> socket.socket:
    """A connected socket, TLS included."""
    if address.path:
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        return _opened(plain, address.path, address, deadline)
    failure: OSError = OSError(f"{address.host} has no address")
    for family, kind, protocol, _, place in _resolve(address.host, address.port, deadline):
        try:
            return _opened(socket.socket(family, kind, protocol), place, address, deadline)
        except OSError as error:
            failure = error
    raise failure


def _opened(plain: socket.socket, place: Any, address: Address, deadline: float) -> socket.socket:
    try:
        plain.settimeout(_left(deadline))
        plain.connect(place)
        keep_alive(plain)
        context = address.tls_context()
        if context is None:
            return plain
        plain.settimeout(_left(deadline))
        return context.wrap_socket(plain, server_hostname=address.host or None)
    except BaseException:
        plain.close()
        raise


class Pool:
    """Connections to one database, for any number of threads and for the children of a fork.

    No lock: ``list.pop`` and ``list.append`` are atomic. A child of a fork closes its copies of its parent's sockets
    without a word to the server.

    Args:
        address: where.
        connect_timeout: seconds for one attempt.
        name: what CLIENT LIST shows.
    """

    def __init__(self, address: Address, connect_timeout: float, name: str) -> None:
        self.address: Final = address
        self._connect_timeout = connect_timeout
        self._name = name
        self._free: list[SyncConnection] = []
        self._pid = os.getpid()

    def take(self, deadline: float) -> SyncConnection:
        """A connection for the caller alone: :meth:`give_back` it, or close it.

        Raises:
            OSError, Disconnected, ReplyError: it cannot be made.
        """
        if self._pid != os.getpid():
            self.close()
            self._pid = os.getpid()
        while True:
            try:
                connection = self._free.pop()
            except IndexError:
                return self.make(deadline)
            if time.monotonic() - connection.used < _IDLE_CHECK or not connection.is_closed():
                return connection
            connection.close()

    def make(self, deadline: float) -> SyncConnection:
        """A new connection."""
        return SyncConnection(self.address, min(deadline, time.monotonic() + self._connect_timeout), self._name)

    def give_back(self, connection: SyncConnection) -> None:
        """The caller is done, and every reply was read."""
        connection.used = time.monotonic()
        if len(self._free) < _FREE:
            self._free.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close all that is free."""
        while self._free:
            self._free.pop().close()
