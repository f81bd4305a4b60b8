"""What the connections of one store share: where the server is, how patient we are, and what happens when it moves.

The server is looked for at every reconnect (the links that reconnect together share one search). Between two of them
three things may say that the data has moved, and each makes every connection leave the old server at once:

- a node of the cluster answers MOVED, or the server says READONLY;
- a sentinel announces ``+switch-master``, see :mod:`~celeriac.stores.redis.switches`;
- a reply is owed for a second, and somebody else, when asked, names another server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from hiredis import ReplyError

from celeriac.stores.backoff import Backoff
from celeriac.stores.bounds import may_retry, seconds_within
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.address import Address
from celeriac.stores.redis.connection import REPLY_TIMEOUT, Connection
from celeriac.stores.redis.errors import Disconnected, redirection
from celeriac.stores.redis.search import Answer, Question, Searcher
from celeriac.stores.redis.topology import Kind, Topology
from celeriac.stores.redis.wire import pack_command

__all__ = ["Attempts", "Server"]

logger = logging.getLogger("celeriac.stores.redis")

_FRESH: Final = 1.0
"""Seconds for which the links of a store share one answer."""
_PATIENCE: Final = 2.0
"""Seconds for one attempt to connect to a server that others may have replaced meanwhile."""
_REDIRECTIONS: Final = 16
"""Redirections of one call that are followed: more mean that the nodes disagree."""
_ASKING: Final = pack_command((b"ASKING",))


class Movable(Protocol):
    """What a server tells that the data has moved: each of its links."""

    def leave(self, is_left: Callable[[Address], bool], gently: bool) -> None:
        """Drop the connection if its server is left; gently: replies that are owed may still come."""
        ...


class Attempts:
    """Counts the attempts of one call."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self.made = 0
        self.redirected = 0

    def another(self) -> bool:
        """Whether one more is allowed."""
        self.made += 1
        return self._most is None or self.made <= self._most

    def another_place(self) -> bool:
        """Whether one more redirection is followed; no failure, but not for ever."""
        self.redirected += 1
        return self.redirected <= _REDIRECTIONS


class Server:
    """See the module.

    Args:
        topology: where it may be.
        options: ``connect_timeout``, ``retry`` and ``max_retries``.
        name: what CLIENT LIST shows.
        slot: of the keys, on a cluster.
    """

    def __init__(self, topology: Topology, options: StoreOptions, name: str, slot: int = 0) -> None:
        self.topology: Final = topology
        self.options: Final = options
        self.name: Final = name
        self.reply_timeout: Final = min(REPLY_TIMEOUT, _seconds(options.transport_options.get("socket_timeout")))
        self.backoff: Final = Backoff()
        self.closed = False
        self.links: Final[list[Movable]] = []
        self._searcher = Searcher(topology, slot)
        self._searching = asyncio.Lock()
        self._found: Address | None = None
        self._found_at = float("-inf")
        self._moved: asyncio.Future[None] | None = None
        self._doubt: asyncio.Task[None] | None = None

    @property
    def public(self) -> str:
        """What messages call it."""
        return self.topology.public

    def attempts(self) -> Attempts:
        """A fresh count of attempts, for one call."""
        return Attempts(self.options.max_retries if self.options.retry and may_retry() else 0)

    def one_attempt(self) -> Attempts:
        """No second attempt: at the start, when the URL may be wrong."""
        return Attempts(0)

    @property
    def connect_timeout(self) -> float:
        """Seconds for one attempt to connect."""
        most = self.options.connect_timeout
        return seconds_within(min(most, _PATIENCE) if self.topology.moves else most)

    def close(self) -> None:
        """Look for nothing any more."""
        self.closed = True
        if self._doubt is not None:
            self._doubt.cancel()

    # --------------------------------------------------------------------------------------------------- where it is

    async def locate(self) -> Address:
        """The server that has the data.

        Raises:
            OSError: nobody tells.
            ReplyError: those who are asked refuse us.
        """
        if not self.topology.moves:
            return self.topology.nodes[0]
        async with self._searching:
            if self._found is None or asyncio.get_running_loop().time() >= self._found_at + _FRESH:
                self._tell(await self._search())
            assert self._found is not None
            return self._found

    async def _search(self) -> Address:
        search = self._searcher.search()
        try:
            question = next(search)
            while True:
                question = search.send(await self._ask(question))
        except StopIteration as end:
            found: Address = end.value
            return found

    async def _ask(self, question: Question) -> Answer | Exception:
        connection = None
        try:
            async with asyncio.timeout(seconds_within(self.topology.question_timeout)) as limit:
                when = limit.when()
                assert when is not None
                left = when - asyncio.get_running_loop().time()
                connection = await Connection.make(question.address, left, name=self.name)
                replies = await connection.request_all(question.commands)
            return Answer(connection.server, replies)
        except (OSError, Disconnected, ReplyError) as error:
            return error
        finally:
            if connection is not None:
                connection.abort()

    def _tell(self, address: Address) -> None:
        self._found, self._found_at = address, asyncio.get_running_loop().time()

    def failed(self, address: Address) -> None:
        """There is no server at this address, or it is not the one."""
        if self._found is not None and self._found.place == address.place:
            self._found = None
            self._searcher.doubt()

    # ----------------------------------------------------------------------------------------------------- it has moved

    def move(self, address: Address) -> None:
        """The data is at this address: leave all others at once."""
        if self._found is None or self._found.place != address.place:
            logger.warning("%s: the server we used is lost to us, %s has taken over", self.public, address.place)
            self.backoff.connected()  # whoever waits before its next attempt need not any more
            if self._moved is not None and not self._moved.done():
                self._moved.set_result(None)
            self._moved = None
        self._tell(address)
        for link in self.links:
            link.leave(lambda other: other.place != address.place, False)

    def redirected(self, connection: Connection, error: ReplyError) -> None:
        """A node of the cluster answered MOVED: it goes on to answer, so that nothing that it did is in doubt."""
        self._tell(self._named_by(connection, error))
        left = connection.address.place
        for link in self.links:
            link.leave(lambda other: other.place == left, True)

    def demoted(self, connection: Connection) -> None:
        """The server does not take writes any more."""
        self.failed(connection.address)
        self.backoff.broke(connection.made, asyncio.get_running_loop().time())
        left = connection.address.place
        for link in self.links:
            link.leave(lambda other: other.place == left, False)

    def doubt(self) -> None:
        """The server is silent: ask others whether it still is the one."""
        if self.topology.moves and not self.closed and (self._doubt is None or self._doubt.done()):
            self._doubt = asyncio.get_running_loop().create_task(self._look_again())

    async def _look_again(self) -> None:
        self._searcher.doubt()
        try:
            found = await self._search()
        except (OSError, ReplyError) as error:
            logger.info("%s: a reply is late, and nobody tells who has the data: %s", self.public, error)
            return
        if not self.closed:
            self.move(found)

    async def unless_moved(self, attempt: Coroutine[Any, Any, Connection]) -> Connection:
        """Await an attempt to connect, but no longer once it is known that the data is elsewhere.

        Raises:
            Disconnected: it is.
        """
        if not self.topology.moves:
            return await attempt
        if self._moved is None:
            self._moved = asyncio.get_running_loop().create_future()
        task, moved = asyncio.ensure_future(attempt), self._moved
        waited: set[asyncio.Future[Any]] = {task, moved}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _dropped(task)
            raise
        if task.done():
            return task.result()
        await _dropped(task)
        raise Disconnected("the data is on another server by now")

    # -------------------------------------------------------------------------------------------------- on its way

    async def ask(self, connection: Connection, error: ReplyError, packed: bytes) -> Any:
        """Send a command to the node that ASK names: the slot is on its way there.

        Raises:
            Disconnected: it is not known whether the command was executed.
        """
        address = self._named_by(connection, error)
        asked = None
        try:
            asked = await Connection.make(address, self.connect_timeout, name=self.name)
            _, reply = await asked.request_all([_ASKING, packed])
        except OSError as problem:
            return ReplyError(f"TRYAGAIN {address.place} cannot be reached: {problem}")
        finally:
            if asked is not None:
                asked.abort()
        return reply

    def _named_by(self, connection: Connection, error: ReplyError) -> Address:
        host, port = redirection(error)
        return self.topology.at(host or connection.address.host, port)

    @property
    def is_cluster(self) -> bool:
        """Whether redirections are to be expected."""
        return self.topology.kind is Kind.CLUSTER


def _seconds(timeout: Any) -> float:
    """A time limit that may be missing."""
    return float(timeout) if timeout else float("inf")


async def _dropped(attempt: asyncio.Task[Connection]) -> None:
    """End an attempt to connect, which may have succeeded or failed at this very moment."""
    attempt.cancel()
    await asyncio.wait({attempt})
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().abort()
