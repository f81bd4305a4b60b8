"""Listening to the sentinels without a thread: what they announced is read whenever a connection is about to be used.

A master that is replaced in peace goes on for some seconds to accept what will be thrown away, so a client whose
connection stands must learn of its successor. Reading costs one poll of a socket.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Final

from hiredis import ProtocolError, ReplyError

from celeriac.stores.redis.address import Address
from celeriac.stores.redis.errors import Disconnected
from celeriac.stores.redis.switches import SUBSCRIBE, read_announcement
from celeriac.stores.redis.sync_connection import SyncConnection
from celeriac.stores.redis.topology import Topology

__all__ = ["SyncSwitches"]

_LISTEN_AGAIN: Final = 1.0
"""Seconds between two attempts to find a sentinel to listen to."""


class SyncSwitches:
    """One connection to one of the sentinels, for all threads of a process.

    Args:
        topology: names the sentinels.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._next = 0
        self._connection: SyncConnection | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.close()
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._pid = os.getpid()

    def look(self, deadline: float) -> Address | None:
        """The new master, if one was announced since the last look.

        Args:
            deadline: monotonic time for connecting to a sentinel, when that must be done.

        Raises:
            LookupError: nobody was listening meanwhile, so it may have been missed.
        """
        if self._pid != os.getpid():
            self._begin_anew()
        if not self._lock.acquire(blocking=False):
            return None  # another thread looks
        try:
            if self._connection is None:
                self._connect(deadline)
                return None
            return self._read(self._connection)
        finally:
            self._lock.release()

    def _connect(self, deadline: float) -> None:
        now = time.monotonic()
        if now < self._not_before:
            return
        self._not_before = now + _LISTEN_AGAIN
        nodes = self._topology.nodes
        for number in range(len(nodes)):
            place = (self._next + number) % len(nodes)
            limit = min(deadline, time.monotonic() + self._topology.question_timeout)
            connection = None
            try:
                connection = SyncConnection(nodes[place], limit, "celeriac")
                connection.send(SUBSCRIBE, limit)
            except (OSError, Disconnected, ReplyError):
                if connection is not None:
                    connection.close()
                continue
            self._connection, self._next = connection, place
            raise LookupError("listening from now on")

    def _read(self, connection: SyncConnection) -> Address | None:
        found = None
        try:
            while is_readable(connection):
                connection.socket.settimeout(0)
                for push in connection.receive():
                    found = read_announcement(push, self._topology) or found
        except BlockingIOError:
            pass
        except (OSError, Disconnected, ProtocolError):
            self.close()
            self._next += 1
        return found

    def close(self) -> None:
        """Listen no more; the next look begins anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def is_readable(connection: SyncConnection) -> bool:
    """Whether there is something to read now."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connection.socket, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([connection.socket], [], [], 0)[0])  # eventlet takes poll away
