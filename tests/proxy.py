"""A network between clients and their server that fails when a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["Proxy", "proxy_to"]

CHUNK: Final = 65536
RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket that is closed by a reset."""
PATIENCE: Final = 5.0
"""Seconds for the proxy's own thread to answer."""
LOOK_AGAIN: Final = 0.01
"""Seconds between two looks at whether bytes may travel again."""


class _Pair:
    """One client's connection and its twin to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.silent = False
        self.loses_reply = False

    def reset(self) -> None:
        """Break both sides by a reset, as a firewall or a crash does."""
        for writer in (self.client, self.server):
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


class Proxy:
    """Forwards TCP connections to a server, in a thread of its own. Attributes may be set at any time.

    Attributes:
        port: where clients connect to.
        target: where it forwards to; a change concerns new connections.
        frozen: nothing travels in either direction and nothing is closed, on new connections too, until it is unset.
        one_way: the same for replies only: requests reach the server.
        delay: seconds that each piece is under way in either direction.
        jitter: share of the delay by which it varies at random, 0 to 1.
        slicing: replies travel byte by byte.
        slice_pause: seconds, at most and at random, between two such bytes.
        bandwidth: bytes a second of all replies together and of all requests together, None is without limit.
        corrupting: share of the bytes that arrive changed.
        corrupted: how many there were.
        refusing: new connections are reset.
        losing: so many of the next replies are lost, each with its connection; what was asked for has happened.
        accepted: how many connections there were.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.port = 0
        self.target = target
        self.frozen = False
        self.one_way = False
        self.delay = 0.0
        self.jitter = 0.5
        self.slicing = False
        self.slice_pause = 0.0
        self.bandwidth: float | None = None
        self.corrupting = 0.0
        self.corrupted = 0
        self.refusing = False
        self.losing = 0
        self.accepted = 0
        self._losing_pattern: bytes | None = None
        self._breaking_pattern: bytes | None = None
        self._free_at = {True: 0.0, False: 0.0}
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()

    # ------------------------------------------------------------------------------------------------- faults, at once

    def reset(self) -> int:
        """Break all connections by a reset; returns how many there were."""

        async def run() -> int:
            pairs = list(self._pairs)
            for pair in pairs:
                pair.reset()
            return len(pairs)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    def cut(self) -> None:
        """The same as :meth:`reset`, for those who do not count."""
        self.reset()

    def silence(self) -> int:
        """Half-open: the connections of now stay open, and nothing travels on them any more. New ones work."""

        async def run() -> int:
            for pair in self._pairs:
                pair.silent = True
            return len(self._pairs)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    def heal(self) -> None:
        """What fell silent travels again: late bytes arrive, and what was closed meanwhile is closed."""

        async def run() -> None:
            for pair in self._pairs:
                pair.silent = False

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    def lose_reply_to(self, pattern: bytes) -> None:
        """Once: a request that holds this reaches the server, and the connection breaks before its reply comes."""
        self._losing_pattern = pattern

    def break_before(self, pattern: bytes) -> None:
        """Once: a request that holds this breaks the connection and does not reach the server."""
        self._breaking_pattern = pattern

    @property
    def was_lost(self) -> bool:
        """What :meth:`lose_reply_to` or :meth:`break_before` waited for has happened."""
        return self._losing_pattern is None and self._breaking_pattern is None

    # ------------------------------------------------------------------------------------------------------ forwarding

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refusing:
            _reset(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self.target)
        except OSError:
            _reset(writer)
            return
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(pair, reader, server_writer, replies=False),
                self._pump(pair, server_reader, writer, replies=True),
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._pairs.discard(pair)
            writer.transport.abort()
            server_writer.transport.abort()

    async def _pump(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool
    ) -> None:
        due = 0.0
        late: deque[bytes] = deque()
        while data := await reader.read(CHUNK):
            await self._passable(pair, replies)
            if self._breaks(pair, data, replies):
                pair.reset()
                return
            data = self._changed(data)
            await self._narrow(len(data), replies)
            if self.slicing and replies and not late:
                await self._slice(writer, data)
            elif self.delay or late:
                # Later pieces do not wait for earlier ones to arrive: latency, not bandwidth. Nor do they overtake:
                # timers of the same time run in any order, so each takes the oldest piece.
                due = max(due, self._loop.time() + self.delay * (1 + self.jitter * (2 * random.random() - 1)))
                late.append(data)
                self._loop.call_at(due, lambda: writer.write(late.popleft()))
            else:
                writer.write(data)
                await writer.drain()
        await self._passable(pair, replies)
        while late:  # noqa: ASYNC110 - pieces that timers write
            await asyncio.sleep(max(0.0, due - self._loop.time()))
        writer.close()

    async def _passable(self, pair: _Pair, replies: bool) -> None:
        while self.frozen or pair.silent or (self.one_way and replies):  # noqa: ASYNC110 - plain flags, set by other threads
            await asyncio.sleep(LOOK_AGAIN)

    def _breaks(self, pair: _Pair, data: bytes, replies: bool) -> bool:
        """Whether this piece is lost together with its connection."""
        if replies:
            if pair.loses_reply:
                self._losing_pattern = None
                return True
            if self.losing > 0:
                self.losing -= 1
                return True
        elif self._breaking_pattern is not None and self._breaking_pattern in data:
            self._breaking_pattern = None
            return True
        elif self._losing_pattern is not None and self._losing_pattern in data:
            pair.loses_reply = True
        return False

    def _changed(self, data: bytes) -> bytes:
        if not self.corrupting:
            return data
        changed = bytearray(data)
        for _ in range(sum(random.random() < self.corrupting for _ in data)):
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
            self.corrupted += 1
        return bytes(changed)

    async def _narrow(self, size: int, replies: bool) -> None:
        if self.bandwidth is not None:
            free_at = max(self._free_at[replies], self._loop.time()) + size / self.bandwidth
            self._free_at[replies] = free_at
            await asyncio.sleep(free_at - self._loop.time())

    async def _slice(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for byte in data:
            writer.write(bytes([byte]))
            await asyncio.sleep(self.slice_pause * random.random())

    # ------------------------------------------------------------------------------------------------------ its thread

    def run(self, started: threading.Event) -> None:
        """Forward until :meth:`stop`."""

        async def main() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            await self._end.wait()
            server.close()
            for pair in list(self._pairs):
                pair.reset()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._loop.run_until_complete(main())
        self._loop.close()

    def stop(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._end.set)


@contextmanager
def proxy_to(target: tuple[str, int]) -> Iterator[Proxy]:
    """Run a proxy while the body runs."""
    proxy, started = Proxy(target), threading.Event()
    thread = threading.Thread(target=proxy.run, args=(started,), name="proxy")
    thread.start()
    try:
        assert started.wait(PATIENCE)
        yield proxy
    finally:
        proxy.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
