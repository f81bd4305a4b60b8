"""A network between workers and their broker that fails when a scenario tells it to: delay, slices, silence, resets."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["Proxy", "proxy_to"]

CHUNK: Final = 65536
RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket that is closed by a reset."""
PATIENCE: Final = 5.0
"""Seconds for the proxy's own thread to answer."""


class _Pair:
    """One client's connection and its twin to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.writers = (client, server)
        self.open = asyncio.Event()
        self.open.set()

    def reset(self) -> None:
        """Break both sides by a reset, as a firewall or a crash does."""
        for writer in self.writers:
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


class Proxy:
    """Forwards TCP connections to a server, in a thread of its own.

    Attributes:
        port: where clients connect to.
        delay: seconds that each piece waits in either direction, half of it at random.
        slicing: pieces travel byte by byte.
        refusing: new connections are reset.
        losing: so many of the next replies are lost, each with its connection; what was asked for has happened.
        accepted: how many connections there were.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.port = 0
        self.delay = 0.0
        self.slicing = False
        self.refusing = False
        self.losing = 0
        self.accepted = 0
        self._target = target
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()

    def reset(self) -> int:
        """Break all connections by a reset; returns how many there were."""

        async def run() -> int:
            pairs = list(self._pairs)
            for pair in pairs:
                pair.reset()
            return len(pairs)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    def silence(self) -> int:
        """Half-open: the connections of now stay open, and nothing travels on them any more. New ones work."""

        async def run() -> int:
            for pair in self._pairs:
                pair.open.clear()
            return len(self._pairs)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            if self.refusing:
                raise ConnectionRefusedError
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(pair, reader, server_writer), self._pump(pair, server_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._pairs.discard(pair)
            for each in pair.writers:
                each.transport.abort()

    async def _pump(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await pair.open.wait()
            if self.losing > 0 and writer is pair.writers[0]:
                self.losing -= 1
                pair.reset()
                return
            if self.delay:
                await asyncio.sleep(self.delay * (0.5 + random.random() / 2))
            if self.slicing:
                for byte in data:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0)
            else:
                writer.write(data)
            await writer.drain()
        await pair.open.wait()
        raise ConnectionResetError

    def run(self, started: threading.Event) -> None:
        """Forward until :meth:`stop`."""

        async def main() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            await self._end.wait()
            server.close()
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
