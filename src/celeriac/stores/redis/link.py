"""A connection that mends itself: the one owner of each connection of a store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from hiredis import ReplyError

from celeriac.exceptions import OperationalError
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.address import Address
from celeriac.stores.redis.backoff import Backoff, pause_before
from celeriac.stores.redis.connection import Connection, Orphan, State
from celeriac.stores.redis.errors import (
    Disconnected,
    Remedy,
    as_unreachable,
    explain,
    is_missing_script,
    remedy_for,
    unreachable,
)
from celeriac.stores.redis.scripts import Script
from celeriac.stores.redis.wire import Argument, pack_command

__all__ = ["Attempts", "Link", "Server"]

logger = logging.getLogger("celeriac.stores.redis")


class Server:
    """What the connections of one store share: the address, the policy, and the back-off.

    Args:
        address: where.
        options: ``connect_timeout``, ``retry`` and ``max_retries``.
        name: what CLIENT LIST shows.
    """

    def __init__(self, address: Address, options: StoreOptions, name: str) -> None:
        self.address: Final = address
        self.options: Final = options
        self.name: Final = name
        self.backoff: Final = Backoff()
        self.closed = False

    def attempts(self) -> Attempts:
        """A fresh count of attempts, for one call."""
        return Attempts(self.options.max_retries if self.options.retry else 0)

    def one_attempt(self) -> Attempts:
        """No second attempt: at the start, when the URL may be wrong."""
        return Attempts(0)


class Attempts:
    """Counts the attempts of one call."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self.made = 0

    def another(self) -> bool:
        """Whether one more is allowed."""
        self.made += 1
        return self._most is None or self.made <= self._most


class Link:
    """One connection at a time, made when it is needed and again when it broke.

    Args:
        server: see :class:`Server`.
        name: what it is for, in messages.
        database: another database than the server's address names.
        on_push: gets pushes, and None when a connection breaks.
        on_connect: called with each new connection before anybody uses it.
        patience: seconds that commands on this link may block on the server.
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
    ) -> None:
        self._server = server
        self.name: Final = name
        address = server.address
        self._address = address if database is None else _with_database(address, database)
        self._on_push = on_push
        self._on_connect = on_connect
        self._patience = patience
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self.generation = 0
        self.state = State.BROKEN

    @property
    def connection(self) -> Connection | None:
        """The connection when it is in use, else None."""
        connection = self._connection
        return connection if connection is not None and connection.state is not State.BROKEN else None

    async def connect(self, attempts: Attempts | None = None) -> Connection:
        """The connection; made when there is none.

        Raises:
            BrokerUnreachable: not within the attempts allowed, or the server refuses us.
        """
        attempts = attempts or self._server.attempts()
        async with self._connecting:
            while True:
                if self._server.closed:
                    raise OperationalError(f"the store at {self._address.public} is closed")
                if (connection := self.connection) is not None:
                    return connection
                try:
                    return await self._connect_once()
                except ReplyError as error:
                    if remedy_for(error) is Remedy.RAISE:
                        raise as_unreachable(explain(error, self._address.public)) from None
                    failure: Exception = error
                except (OSError, Disconnected) as error:
                    failure = error
                self._server.backoff.failed(asyncio.get_running_loop().time())
                if not attempts.another():
                    raise unreachable(self._address.public, failure) from failure
                logger.warning("cannot reach %s (%s): %s", self._address.public, self.name, failure)

    async def _connect_once(self) -> Connection:
        loop, server = asyncio.get_running_loop(), self._server
        if self._connection is not None:
            self._connection = None
        if delay := server.backoff.delay(loop.time()):
            await asyncio.sleep(delay)
        self.state = State.CONNECTING
        try:
            connection = await Connection.make(
                self._address, server.options.connect_timeout, self.generation + 1, self._pushed, server.name
            )
        except BaseException:
            self.state = State.BROKEN
            raise
        if server.closed:  # meanwhile
            connection.abort()
            raise OperationalError(f"the store at {self._address.public} is closed")
        self.generation += 1
        self.state = State.READY
        if server.backoff.failures:
            logger.info("connected to %s again (%s)", self._address.public, self.name)
        server.backoff.connected()
        if self._patience:
            connection.be_patient(self._patience)
        self._connection = connection
        if self._on_connect is not None:
            self._on_connect(connection)
        return connection

    def _pushed(self, push: list[Any] | None) -> None:
        if push is None:
            connection = self._connection
            if connection is not None and connection.state is State.BROKEN and self.state is not State.BROKEN:
                self.state = State.BROKEN
                if not self._server.closed:
                    self._server.backoff.broke(connection.made, asyncio.get_running_loop().time())
                    logger.warning("lost the connection to %s (%s)", self._address.public, self.name)
        if self._on_push is not None:
            self._on_push(push)

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
            try:
                reply = await future
            except asyncio.CancelledError:
                # The reply may have come already, and the cancellation between it and us.
                if orphan is not None and not future.cancelled():
                    orphan(future.exception() or future.result())
                raise
            except Disconnected as error:
                attempts = attempts or self._server.attempts()
                if again is not None:
                    packed = await again()
                if not attempts.another():
                    raise OperationalError(f"{self._address.public}: {error}") from None
                continue
            if type(reply) is not ReplyError:
                return reply
            attempts = attempts or self._server.attempts()
            await self._remedy(reply, attempts, connection)

    async def _remedy(self, error: ReplyError, attempts: Attempts, connection: Connection) -> None:
        """Do what makes another attempt sensible after an error reply, or raise it."""
        remedy = remedy_for(error)
        if is_missing_script(error) or remedy is Remedy.RAISE or not attempts.another():
            raise error if is_missing_script(error) else explain(error, self._address.public)
        logger.warning("%s (%s): %s", self._address.public, self.name, error)
        if remedy is Remedy.RECONNECT:
            connection.abort()
        else:
            await asyncio.sleep(pause_before(attempts.made))

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

    async def send_all(self, packed: Sequence[bytes]) -> list[Any]:
        """Send several commands in one write; those that were refused for the moment, and all when the connection
        breaks, are sent again. Raises the first error that stays."""
        attempts = self._server.attempts()
        replies: list[Any] = [None] * len(packed)
        missing = list(range(len(packed)))
        while missing:
            connection = self.connection or await self.connect(attempts)
            try:
                found = await connection.request_all([packed[place] for place in missing])
            except Disconnected as error:
                if not attempts.another():
                    raise OperationalError(f"{self._address.public}: {error}") from None
                continue
            for place, reply in zip(missing, found, strict=True):
                replies[place] = reply
            missing = [place for place in missing if isinstance(replies[place], ReplyError)]
            if missing:
                await self._remedy(replies[missing[0]], attempts, connection)
        return replies

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self.state = State.BROKEN
            self._connection.abort()
            self._connection = None


def _with_database(address: Address, database: int) -> Address:
    return msgspec.structs.replace(address, database=database)
