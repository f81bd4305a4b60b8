"""A connection that mends itself: the one owner of each connection of a store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from hiredis import ReplyError

from celeriac.exceptions import OperationalError
from celeriac.stores.backoff import pause_before
from celeriac.stores.bounds import may_retry, seconds_within
from celeriac.stores.redis.address import Address
from celeriac.stores.redis.connection import Connection, Orphan, State
from celeriac.stores.redis.errors import (
    Disconnected,
    Remedy,
    as_unreachable,
    explain,
    is_missing_script,
    is_moving,
    remedy_for,
    unreachable,
)
from celeriac.stores.redis.scripts import Script
from celeriac.stores.redis.search import is_master
from celeriac.stores.redis.server import Attempts, Server
from celeriac.stores.redis.wire import Argument, pack_command

__all__ = ["Link"]

logger = logging.getLogger("celeriac.stores.redis")

_WHILE_MOVING: Final = 0.1
"""Seconds at most between two attempts while a slot is on its way to another node: that is over soon."""


class Link:
    """One connection at a time, made when it is needed and again when it broke.

    Args:
        server: see :class:`Server`.
        name: what it is for, in messages.
        database: another database than the server's address names.
        on_push: gets pushes, and None when a connection breaks.
        on_connect: called with each new connection before anybody uses it.
        patience: seconds that commands on this link may block on the server.
        client_name: another one than the server's others have, for CLIENT LIST.
    """

    def __init__(
        self,
        server: Server,
        name: str,
        *,
        database: int | None = None,
        on_push: Callable[[list[Any] | None], None] | None = None,
        on_connect: Callable[[Connection], None] | None = None,
        patience: float = 0.0,
        client_name: str = "",
    ) -> None:
        self._server = server
        self.name: Final = name
        self._database = database
        self._on_push = on_push
        self._on_connect = on_connect
        self._patience = patience
        self._client_name = client_name or server.name
        self._connection: Connection | None = None
        self._retired: set[Connection] = set()
        self._connecting = asyncio.Lock()
        self._failure: Exception | None = None
        self.generation = 0
        self.state = State.BROKEN
        server.links.append(self)

    @property
    def connection(self) -> Connection | None:
        """The connection when it is in use, else None."""
        connection = self._connection
        return connection if connection is not None and connection.state is not State.BROKEN else None

    @property
    def trouble(self) -> OperationalError | None:
        """Why there is no connection; None when there is one."""
        if self.connection is not None:
            return None
        return unreachable(self._server.public, self._failure or "no connection in time")

    async def connect(self, attempts: Attempts | None = None) -> Connection:
        """The connection; made when there is none.

        Raises:
            BrokerUnreachable: not within the attempts allowed, or the server refuses us.
        """
        attempts = attempts or self._server.attempts()
        async with self._connecting:
            while True:
                if self._server.closed:
                    raise OperationalError(f"the store at {self._server.public} is closed")
                if (connection := self.connection) is not None:
                    return connection
                try:
                    return await self._connect_once()
                except ReplyError as error:
                    if remedy_for(error) is Remedy.RAISE:
                        raise as_unreachable(explain(error, self._server.public)) from None
                    failure: Exception = error
                except (OSError, Disconnected) as error:
                    failure = error
                self._failure = failure
                backoff, now = self._server.backoff, asyncio.get_running_loop().time()
                backoff.failed(now)
                if not attempts.another() or backoff.delay(now) >= seconds_within(float("inf")):
                    raise unreachable(self._server.public, failure) from failure
                logger.warning("cannot reach %s (%s): %s", self._server.public, self.name, failure)

    async def _connect_once(self) -> Connection:
        server = self._server
        self._connection = None
        self.state = State.CONNECTING
        try:
            connection = await server.unless_moved(self._attempt())
        except BaseException:
            self.state = State.BROKEN
            raise
        if server.closed:  # meanwhile
            connection.abort()
            raise OperationalError(f"the store at {self._server.public} is closed")
        self.generation += 1
        self.state = State.READY
        if server.backoff.failures:
            logger.info("connected to %s again (%s)", self._server.public, self.name)
        server.backoff.connected()
        connection.be_patient(self._patience, server.reply_timeout)
        self._connection = connection
        if self._on_connect is not None:
            self._on_connect(connection)
        return connection

    async def _attempt(self) -> Connection:
        """A connection to the server that has the data; what tells meanwhile where that is cuts all of this short."""
        server = self._server
        # A caller that repeats by a policy of its own waits between its attempts itself.
        if may_retry() and (delay := server.backoff.delay(asyncio.get_running_loop().time())):
            await asyncio.sleep(delay)
        address = await server.locate()
        on_silence = server.doubt if server.topology.moves else None
        place = address if self._database is None else _with_database(address, self._database)
        try:
            connection = await Connection.make(
                place, server.connect_timeout, self.generation + 1, self._pushed, self._client_name, on_silence
            )
        except (OSError, Disconnected):
            server.failed(address)
            raise
        if server.topology.moves and not is_master(connection.server):
            connection.abort()
            server.failed(address)
            raise Disconnected(f"{address.place} is a replica by now")
        return connection

    def leave(self, is_left: Callable[[Address], bool], gently: bool) -> None:
        """Drop the connection if its server is left.

        Args:
            is_left: tells that of an address.
            gently: replies that are owed may still come; else they are lost.
        """
        connection = self.connection
        if connection is None or not is_left(connection.address):
            return
        self._connection = None
        self.state = State.BROKEN
        self._retired = {each for each in self._retired if each.state is not State.BROKEN}
        if gently:
            self._retired.add(connection)
            connection.retire()
        else:
            connection.abort()

    def _pushed(self, push: list[Any] | None) -> None:
        if push is None:
            connection = self._connection
            if connection is not None and connection.state is State.BROKEN and self.state is not State.BROKEN:
                self.state = State.BROKEN
                if not self._server.closed:
                    self._server.backoff.broke(connection.made, asyncio.get_running_loop().time())
                    logger.warning("lost the connection to %s (%s)", self._server.public, self.name)
        if self._on_push is not None:
            self._on_push(push)

    async def look_after(self) -> None:
        """Ask for a sign of life; a server that is a replica by now is left."""
        connection = await self.connect()
        hello = await self.call(b"HELLO")
        if self._server.topology.moves and not is_master(hello):
            self._server.demoted(connection)

    async def call(self, *command: Argument) -> Any:
        """Send one command and return its reply; it is sent again when its reply is lost, so it must bear that."""
        return await self.send(pack_command(command))

    async def send(
        self,
        packed: bytes,
        orphan: Orphan | None = None,
        attempts: Attempts | None = None,
        again: Callable[[], Awaitable[bytes]] | None = None,
    ) -> Any:
        """Send one packed command, again when the connection breaks or the server is not able to just now.

        Args:
            packed: the command.
            orphan: gets the reply, or Disconnected, when the caller is cancelled meanwhile.
            attempts: what is left of the caller's attempts.
            again: makes the command to send after the reply was lost, when it must not be the same.

        Raises:
            OperationalError, StoreFull, StoreReadOnly: see :mod:`errors`.
        """
        while True:
            connection = self._connection
            if connection is None or connection.state is State.BROKEN:
                attempts = attempts or self._server.attempts()
                connection = await self.connect(attempts)
            future = connection.request(packed, orphan)
            asked = False
            try:
                reply = await future
                asked = type(reply) is ReplyError and self._is_asked_elsewhere(reply)
                if asked:
                    reply = await self._server.ask(connection, reply, packed)
            except asyncio.CancelledError:
                # The reply may have come already, and the cancellation between it and us.
                if orphan is not None and not future.cancelled():
                    lost = Disconnected("the node that was asked had no time to answer") if asked else None
                    orphan(lost or future.exception() or future.result())
                raise
            except Disconnected as error:
                attempts = attempts or self._server.attempts()
                if again is not None:
                    packed = await again()
                if not attempts.another():
                    raise OperationalError(f"{self._server.public}: {error}") from None
                continue
            if type(reply) is not ReplyError:
                return reply
            attempts = attempts or self._server.attempts()
            await self._remedy(reply, attempts, connection)

    def _is_asked_elsewhere(self, reply: ReplyError) -> bool:
        """The slot is on its way to another node of the cluster, which is to be asked."""
        return self._server.is_cluster and remedy_for(reply) is Remedy.ASK

    async def _remedy(self, error: ReplyError, attempts: Attempts, connection: Connection) -> None:
        """Do what makes another attempt sensible after an error reply, or raise it."""
        server, remedy = self._server, remedy_for(error)
        if is_missing_script(error):
            raise error
        if remedy is Remedy.MOVED and server.is_cluster and attempts.another_place():
            logger.info("%s (%s): %s", server.public, self.name, error)
            server.redirected(connection, error)
            if attempts.redirected > 1:  # the nodes do not agree yet
                await asyncio.sleep(pause_before(attempts.redirected))
            return
        moving = remedy is Remedy.ASK and server.is_cluster
        hopeless = remedy in (Remedy.RAISE, Remedy.MOVED, Remedy.ASK) and not moving
        if hopeless or not attempts.another():
            raise explain(error, server.public)
        logger.warning("%s (%s): %s", server.public, self.name, error)
        if remedy is Remedy.RECONNECT:
            server.demoted(connection)
            return
        if remedy is Remedy.DOUBT:
            server.doubt()
        pause = pause_before(attempts.made)
        await asyncio.sleep(min(pause, _WHILE_MOVING) if moving or is_moving(error) else pause)

    async def run(
        self,
        script: Script,
        keys: Sequence[bytes],
        arguments: Sequence[Argument],
        orphan: Orphan | None = None,
        again: Callable[[], Awaitable[tuple[Sequence[bytes], Sequence[Argument]]]] | None = None,
    ) -> Any:
        """Run a script, see :meth:`send`; ``again`` makes the keys and arguments after a lost reply."""
        packed = script.packed

        async def repacked() -> bytes:
            nonlocal keys, arguments
            assert again is not None
            keys, arguments = await again()
            return packed(keys, arguments)

        repeat = None if again is None else repacked
        try:
            return await self.send(packed(keys, arguments), orphan, again=repeat)
        except ReplyError:  # NOSCRIPT, the only one that is not explained: nothing was executed
            packed = script.packed_whole
            return await self.send(packed(keys, arguments), orphan, again=repeat)

    async def send_all(self, packed: Sequence[bytes], last: bytes | None = None) -> list[Any]:
        """Send several commands in one write; those that were refused for the moment, and all when the connection
        breaks, are sent again. Raises the first error that stays.

        Args:
            packed: the commands.
            last: a command that asks about the others: it goes behind them each time, over the same connection; its
                reply comes last.
        """
        attempts = self._server.attempts()
        replies: list[Any] = [None] * len(packed)
        missing = list(range(len(packed)))
        answer: list[Any] = []
        while missing:
            connection = self.connection or await self.connect(attempts)
            commands = [packed[place] for place in missing]
            try:
                found = await connection.request_all(commands if last is None else [*commands, last])
            except Disconnected as error:
                if not attempts.another():
                    raise OperationalError(f"{self._server.public}: {error}") from None
                continue
            for place, reply in zip(missing, found, strict=False):
                elsewhere = last is None and type(reply) is ReplyError and self._is_asked_elsewhere(reply)
                replies[place] = await self._asked(connection, reply, packed[place]) if elsewhere else reply
            answer = found[len(missing) :]
            missing = [place for place in missing if isinstance(replies[place], ReplyError)]
            if missing:
                await self._remedy(replies[missing[0]], attempts, connection)
        return replies + answer

    async def _asked(self, connection: Connection, reply: ReplyError, packed: bytes) -> Any:
        """The reply of the other node; the same error again when it was lost, so that the command is sent again."""
        try:
            return await self._server.ask(connection, reply, packed)
        except Disconnected:
            return reply

    def close(self) -> None:
        """Drop the connection."""
        for connection in self._retired:
            connection.abort()
        if self._connection is not None:
            self.state = State.BROKEN
            self._connection.abort()
            self._connection = None


def _with_database(address: Address, database: int) -> Address:
    return msgspec.structs.replace(address, database=database)
