"""The connections of a synchronous store to one database."""

from __future__ import annotations

import os
import queue
import time
from typing import Final

from hiredis import ReplyError

from celeriac.stores.redis.errors import Disconnected
from celeriac.stores.redis.limits import Limits
from celeriac.stores.redis.sync_connection import SyncConnection
from celeriac.stores.redis.sync_server import SyncServer
from celeriac.stores.redis.wire import pack_command

__all__ = ["Pool"]

_IDLE_CHECK: Final = 0.1
"""Seconds of rest after which a connection is looked at before use: the server may have closed it meanwhile, and a
command that was never sent cannot be doubled by sending it again."""
_CHECK_TIMEOUT: Final = 1.0
"""Seconds that a connection has to answer when it is checked."""
_PING: Final = pack_command((b"PING",))


class Pool:
    """For any number of threads and for the children of a fork.

    No lock: ``list.pop`` and ``list.append`` are atomic. A child of a fork closes its copies of its
    parent's sockets without a word to the server.

    Args:
        server: makes the connections.
        database: its number.
        limits: see :class:`Limits`.
        name: what CLIENT LIST shows.
    """

    def __init__(self, server: SyncServer, database: int, limits: Limits, name: str) -> None:
        self.server: Final = server
        self.limits: Final = limits
        self._database = database
        self._name = name
        self._free: list[SyncConnection] = []
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.close()
        most = self.limits.connections
        self._permits: queue.SimpleQueue[None] | None = None
        if most is not None:
            self._permits = queue.SimpleQueue()  # a semaphore, which is not written in C, takes 3 microseconds more
            for _ in range(most):
                self._permits.put(None)
        self._pid = os.getpid()

    @property
    def public(self) -> str:
        """What messages call the deployment."""
        return self.server.public

    def take(self, deadline: float) -> SyncConnection:
        """A connection for the caller alone: :meth:`give_back` it, or :meth:`drop` it.

        Raises:
            OSError, Disconnected, ReplyError: it cannot be made.
        """
        if self._pid != os.getpid():
            self._begin_anew()
        if self._permits is not None:
            try:
                self._permits.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(
                    f"all {self.limits.connections} connections are in use (broker_pool_limit, max_connections)"
                ) from None
        try:
            return self._free_or_new(deadline)
        except BaseException:
            self._permit()
            raise

    def _free_or_new(self, deadline: float) -> SyncConnection:
        while True:
            try:
                connection = self._free.pop()
            except IndexError:
                return self.make(deadline)
            if self._is_good(connection, deadline):
                return connection
            connection.close()

    def _is_good(self, connection: SyncConnection, deadline: float) -> bool:
        if self.server.is_left(connection, deadline):
            return False
        rest = time.monotonic() - connection.used
        if rest < _IDLE_CHECK:
            return True
        if connection.is_closed():
            return False
        if self.limits.check_each is None or rest < self.limits.check_each:
            return True
        try:
            reply = connection.request([_PING], min(deadline, time.monotonic() + _CHECK_TIMEOUT))[0]
        except (OSError, Disconnected):
            return False
        return not isinstance(reply, ReplyError)

    def make(self, deadline: float) -> SyncConnection:
        """A new connection, beside the limit."""
        return self.server.connect(self._database, self._name, deadline)

    def give_back(self, connection: SyncConnection) -> None:
        """The caller is done, and every reply was read."""
        connection.used = time.monotonic()
        if len(self._free) < self.limits.kept:
            self._free.append(connection)
        else:
            connection.close()
        self._permit()

    def drop(self, connection: SyncConnection) -> None:
        """The caller is done with a connection that is no good any more."""
        connection.close()
        self._permit()

    def _permit(self) -> None:
        if self._permits is not None:
            self._permits.put(None)

    def leave(self, place: str) -> None:
        """Close what is free and leads to a server that is left."""
        for connection in list(self._free):
            if connection.address.place == place:
                try:
                    self._free.remove(connection)
                except ValueError:
                    continue  # another thread has taken it
                connection.close()

    def close(self) -> None:
        """Close all that is free."""
        while self._free:
            self._free.pop().close()
