"""Results that are waited for and broadcasts, over one connection with subscriptions.

A wait sends SUBSCRIBE and the first reading together: a result that is stored between the two is told, one that was
stored before is read. After a reconnect everything is subscribed and read again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Final

from celeriac.exceptions import TimeoutError as ResultTimeout
from celeriac.stores.redis.connection import Connection
from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.link import Link
from celeriac.stores.redis.server import Server
from celeriac.stores.redis.wire import pack_command

__all__ = ["Notices", "timed_out"]

_AT_ONCE: Final = 1000
"""Keys in one command."""
_HEALTH_EACH: Final = 5.0
"""Seconds of silence after which the connection is asked for a sign of life."""

_HEALTH_EACH_WHERE_IT_MOVES: Final = 2.0
"""The same where another server may take over, and this one go on to answer."""
_NAMED: Final = 3
"""Task ids that an error names."""


def timed_out(left: Collection[str], timeout: float | None) -> ResultTimeout:
    """The error of a wait whose time is over: the ids that were not ready, and the seconds."""
    named = ", ".join(islice(left, _NAMED)) + (", ..." if len(left) > _NAMED else "")
    what = "the result of" if len(left) == 1 else f"{len(left)} results:"
    return ResultTimeout(f"not ready within {timeout or 0:g} seconds: {what} {named}")


class _Listener:
    """Somebody who waits: what came for it, and whether the connection broke meanwhile."""

    def __init__(self) -> None:
        self.came: deque[tuple[bytes, bytes]] = deque()
        self.event = asyncio.Event()


class Notices:
    """The connection that hears, made at the first wait.

    Args:
        server: where.
        keys: the names.
        database: of the results, None for the server's.
        client_name: what CLIENT LIST shows.
    """

    def __init__(self, server: Server, keys: Keys, database: int | None, client_name: str) -> None:
        self._keys = keys
        self._server = server
        self.link: Final = Link(
            server,
            "results",
            database=database,
            on_push=self._pushed,
            on_connect=self._subscribe_again,
            client_name=client_name,
        )
        self._health_each = _HEALTH_EACH_WHERE_IT_MOVES if server.topology.moves else _HEALTH_EACH
        self._channels: dict[bytes, list[_Listener]] = {}
        self._patterns: dict[bytes, list[_Listener]] = {}

    # ------------------------------------------------------------------------------------------------- subscriptions

    def _subscribe_again(self, connection: Connection) -> None:
        for command, table in ((b"SUBSCRIBE", self._channels), (b"PSUBSCRIBE", self._patterns)):
            names = list(table)
            for first in range(0, len(names), _AT_ONCE):
                connection.send(pack_command((command, *names[first : first + _AT_ONCE])))

    def _pushed(self, push: list[Any] | None) -> None:
        if push is None:
            for table in (self._channels, self._patterns):
                for listeners in table.values():
                    for listener in listeners:
                        listener.event.set()
        elif push[0] == b"message":
            self._deliver(self._channels, push[1], push[2])
        elif push[0] == b"pmessage":
            self._deliver(self._patterns, push[1], push[3])

    @staticmethod
    def _deliver(table: dict[bytes, list[_Listener]], name: bytes, data: bytes) -> None:
        for listener in table.get(name, ()):
            listener.came.append((name, data))
            listener.event.set()

    def _subscribe(self, table: dict[bytes, list[_Listener]], names: Iterable[bytes], listener: _Listener) -> None:
        """Listen; sent at once when there is a connection, else by the next one."""
        fresh = [name for name in names if name not in table]
        for name in names:
            table.setdefault(name, []).append(listener)
        self._tell(b"SUBSCRIBE" if table is self._channels else b"PSUBSCRIBE", fresh)

    def _unsubscribe(self, table: dict[bytes, list[_Listener]], names: Iterable[bytes], listener: _Listener) -> None:
        over = []
        for name in names:
            listeners = table.get(name, [])
            if listener in listeners:
                listeners.remove(listener)
                if not listeners:
                    del table[name]
                    over.append(name)
        self._tell(b"UNSUBSCRIBE" if table is self._channels else b"PUNSUBSCRIBE", over)

    def _tell(self, command: bytes, names: Sequence[bytes]) -> None:
        connection = self.link.connection
        if connection is not None:
            for first in range(0, len(names), _AT_ONCE):
                connection.send(pack_command((command, *names[first : first + _AT_ONCE])))

    async def _hear(self, listener: _Listener, seconds: float) -> None:
        """Wait until something came, the connection broke, or the time is over."""
        if not listener.came and self.link.connection is not None:
            listener.event.clear()
            try:
                async with asyncio.timeout(seconds):
                    await listener.event.wait()
            except TimeoutError:
                return

    @asynccontextmanager
    async def _until(self, deadline: float | None, left: Collection[str], timeout: float | None) -> AsyncIterator[None]:
        """Let the body run until the loop's clock says ``deadline``; afterwards the wait's time is over."""
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError:
            raise timed_out(left, timeout) from self.link.trouble

    # -------------------------------------------------------------------------------------------------------- results

    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of keys, in bounded commands."""
        values: list[bytes | None] = []
        for first in range(0, len(keys), _AT_ONCE):
            values += await self.link.call(b"MGET", *keys[first : first + _AT_ONCE])
        return values

    async def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.Store.wait`."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        # Without time there is one look all the same.
        first_look = deadline
        if timeout is not None and timeout <= 0:
            first_look = loop.time() + self._server.options.publish_timeout
        waiting = {self._keys.result(task_id): task_id for task_id in task_ids}
        listener = _Listener()
        self._subscribe(self._channels, list(waiting), listener)
        generation = 0
        try:
            while waiting:
                if generation != self.link.generation or self.link.connection is None:
                    async with self._until(first_look if not generation else deadline, waiting.values(), timeout):
                        generation = await self._look(list(waiting), listener)
                while listener.came:
                    key, document = listener.came.popleft()
                    if key in waiting and ready(document):
                        self._unsubscribe(self._channels, [key], listener)
                        yield waiting.pop(key), document
                left = self._health_each if deadline is None else min(self._health_each, deadline - loop.time())
                if waiting and left <= 0:
                    raise timed_out(waiting.values(), timeout)
                if waiting:
                    await self._hear(listener, left)
                    if not listener.came and left == self._health_each:
                        async with self._until(deadline, waiting.values(), timeout):
                            await self.link.look_after()
        finally:
            self._unsubscribe(self._channels, list(waiting), listener)

    async def _look(self, keys: Sequence[bytes], listener: _Listener) -> int:
        """Read what is waited for, over a connection that is subscribed to it; returns the connection's generation."""
        generation = (await self.link.connect()).generation
        for key, value in zip(keys, await self.read(keys), strict=True):
            if value is not None:
                listener.came.append((key, value))
        return generation

    # ----------------------------------------------------------------------------------------------------- broadcasts

    async def inbox(self, exchange: str) -> AsyncIterator[bytes]:
        """See :meth:`celeriac.stores.store.Store.inbox`."""
        patterns = self._keys.channel_patterns(exchange)
        listener = _Listener()
        await self.link.connect()
        self._subscribe(self._patterns, patterns, listener)
        try:
            while True:
                while listener.came:
                    yield listener.came.popleft()[1]
                if self._server.closed:
                    return
                await self.link.connect()
                await self._hear(listener, self._health_each)
                if not listener.came and self.link.connection is not None:
                    await self.link.look_after()
        finally:
            self._unsubscribe(self._patterns, patterns, listener)
