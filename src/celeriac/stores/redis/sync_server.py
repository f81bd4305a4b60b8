"""Where the server is, for synchronous stores: looked for at each connect, and when a reply is late."""

from __future__ import annotations

import time
from typing import Final

from hiredis import ReplyError

from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.address import Address
from celeriac.stores.redis.errors import Disconnected, redirection
from celeriac.stores.redis.search import Answer, Question, Searcher, is_master
from celeriac.stores.redis.sync_connection import SyncConnection
from celeriac.stores.redis.sync_switches import SyncSwitches
from celeriac.stores.redis.topology import Kind, Topology
from celeriac.stores.redis.wire import pack_command

__all__ = ["SyncServer"]

_PATIENCE: Final = 2.0
"""Seconds for one attempt to connect to a server that others may have replaced meanwhile."""
_NAME: Final = "celeriac"
"""What CLIENT LIST shows of a connection for one question."""
_ASKING: Final = pack_command((b"ASKING",))


class SyncServer:
    """The synchronous twin of :class:`~celeriac.stores.redis.server.Server`; any number of threads may ask.

    Args:
        topology: where it may be.
        options: ``connect_timeout``.
        slot: of the keys, on a cluster.
    """

    def __init__(self, topology: Topology, options: StoreOptions, slot: int = 0) -> None:
        self.topology: Final = topology
        self._searcher = Searcher(topology, slot)
        self._hint: Address | None = None
        self._switches = SyncSwitches(topology) if topology.kind is Kind.SENTINEL else None
        self._master = ""
        """The place of the master as it was told last, where that is told."""
        most = options.connect_timeout
        self._connect_timeout = min(most, _PATIENCE) if topology.moves else most

    @property
    def public(self) -> str:
        """What messages call it."""
        return self.topology.public

    @property
    def is_cluster(self) -> bool:
        """Whether redirections are to be expected."""
        return self.topology.kind is Kind.CLUSTER

    def connect(self, database: int, name: str, deadline: float) -> SyncConnection:
        """A new connection to the server that has the data.

        Raises:
            OSError, Disconnected: there is none now.
            ReplyError: the server refuses us.
        """
        if not self.topology.moves:
            return self._connected(self.topology.nodes[0], deadline, name, database)
        hint, self._hint = self._hint, None
        address = hint or self._search(deadline)
        self._master = address.place
        try:
            connection = self._connected(address, deadline, name, database)
        except (OSError, Disconnected):
            self._searcher.doubt()
            raise
        if not is_master(connection.server):
            connection.close()
            self._searcher.doubt()
            raise Disconnected(f"{address.place} is a replica by now")
        return connection

    def _connected(self, address: Address, deadline: float, name: str, database: int) -> SyncConnection:
        limit = min(deadline, time.monotonic() + self._connect_timeout)
        return SyncConnection(address, limit, name, database)

    def _search(self, deadline: float) -> Address:
        search = self._searcher.search()
        try:
            question = next(search)
            while True:
                question = search.send(self._ask(question, deadline))
        except StopIteration as end:
            found: Address = end.value
            return found

    def _ask(self, question: Question, deadline: float) -> Answer | Exception:
        limit = min(deadline, time.monotonic() + self.topology.question_timeout)
        connection = None
        try:
            connection = SyncConnection(question.address, limit, _NAME)
            replies = connection.request(question.commands, limit) if question.commands else []
            return Answer(connection.server, replies)
        except (OSError, Disconnected, ReplyError) as error:
            return error
        finally:
            if connection is not None:
                connection.close()

    def is_left(self, connection: SyncConnection, deadline: float) -> bool:
        """Whether a connection leads to a server that was the master once; costs next to nothing.

        Raises:
            OSError, ReplyError: it may be so, and nobody tells who is the master now.
        """
        if self._switches is None:
            return False
        try:
            found = self._switches.look(deadline)
        except LookupError:
            found = self._search(deadline)
        if found is not None and found.place != self._master:
            self._hint, self._master = found, found.place
        return connection.address.place != self._master

    def close(self) -> None:
        """Drop what listens."""
        if self._switches is not None:
            self._switches.close()

    def has_moved(self, connection: SyncConnection, deadline: float) -> bool:
        """A reply is late: whether others say that the data is elsewhere by now."""
        self._searcher.doubt()
        try:
            found = self._search(deadline)
        except (OSError, ReplyError):
            return False
        moved = found.place != connection.address.place
        if moved:
            self._hint, self._master = found, found.place
        return moved

    def redirected(self, connection: SyncConnection, error: ReplyError) -> None:
        """A node answered MOVED."""
        self._hint = self._named_by(connection, error)

    def demoted(self) -> None:
        """The server does not take writes any more."""
        self._hint = None
        self._searcher.doubt()

    def ask(self, connection: SyncConnection, error: ReplyError, packed: bytes, deadline: float) -> object:
        """Send a command to the node that ASK names; the error again when it does not answer."""
        asked = None
        try:
            asked = self._connected(self._named_by(connection, error), deadline, _NAME, 0)
            return asked.request([_ASKING, packed], deadline)[1]
        except (OSError, Disconnected):
            return error
        finally:
            if asked is not None:
                asked.close()

    def _named_by(self, connection: SyncConnection, error: ReplyError) -> Address:
        host, port = redirection(error)
        return self.topology.at(host or connection.address.host, port)
