"""A network between a store and its server that fails when a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK = 65536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket that is closed by a reset."""


class Proxy:
    """Forwards TCP connections to a server; runs in a thread of its own.

    Attributes:
        port: where clients connect to.
        frozen: nothing is forwarded in either direction, and nothing is closed.
        slicing: replies travel byte by byte.
        accepted: how many connections there were.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.port = 0
        self.frozen = False
        self.slicing = False
        self.accepted = 0
        self.refusing = False
        self._target = target
        self._losing: bytes | None = None
        self._before: bytes | None = None
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def lose_reply_to(self, pattern: bytes) -> None:
        """Once: a command that holds this reaches the server, and the connection breaks before its reply comes."""
        self._losing = pattern

    def break_before(self, pattern: bytes) -> None:
        """Once: a command that holds this breaks the connection and does not reach the server."""
        self._before = pattern

    @property
    def was_lost(self) -> bool:
        """What :meth:`lose_reply_to` or :meth:`break_before` waited for has happened."""
        return self._losing is None and self._before is None

    def cut(self) -> None:
        """Reset all connections."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(5)

    async def _cut(self) -> None:
        for writer in list(self._writers):
            self._reset(writer)

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refusing:
            self._reset(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            self._reset(writer)
            return
        self._writers |= {writer, server_writer}
        losing = asyncio.Event()
        try:
            await asyncio.gather(
                self._requests(reader, server_writer, writer, losing), self._replies(server_reader, writer, losing)
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers -= {writer, server_writer}
            writer.transport.abort()
            server_writer.transport.abort()

    async def _thawed(self) -> None:
        while self.frozen:  # noqa: ASYNC110 - a plain flag, because tests set it from other threads
            await asyncio.sleep(0.01)

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        losing: asyncio.Event,
    ) -> None:
        while data := await reader.read(CHUNK):
            await self._thawed()
            if self._before is not None and self._before in data:
                self._before = None
                self._reset(client)
                break
            if self._losing is not None and self._losing in data:
                losing.set()
            server.write(data)
        server.close()

    async def _replies(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while data := await reader.read(CHUNK):
            await self._thawed()
            if losing.is_set():
                self._losing = None
                self._reset(client)
                return
            if self.slicing:
                for byte in data:
                    client.write(bytes([byte]))
                    await asyncio.sleep(0)
            else:
                client.write(data)
        client.close()

    def _run(self, started: threading.Event) -> None:
        async def main() -> None:
            self._end = asyncio.Event()
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            await self._end.wait()
            server.close()
            await self._cut()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._loop.run_until_complete(main())
        self._loop.close()


@contextmanager
def proxy_to(target: tuple[str, int]) -> Iterator[Proxy]:
    """Run a proxy while the body runs."""
    proxy, started = Proxy(target), threading.Event()
    thread = threading.Thread(target=proxy._run, args=(started,), name="proxy")
    thread.start()
    try:
        assert started.wait(5)
        yield proxy
    finally:
        proxy._loop.call_soon_threadsafe(proxy._end.set)
        thread.join(5)
        assert not thread.is_alive()
