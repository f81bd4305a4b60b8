"""A bell in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from celeriac.stores.sqlite.wakeup import Bell, SocketFolder

__all__ = ["LoopBell"]


class LoopBell:
    """Wakes the coroutines that sleep beside one socket.

    Args:
        folder: where the socket is.
        on_ring: called with what has arrived, see :meth:`Bell.read`.

    Attributes:
        name: what the socket is registered under.
        on_ring: called with what has arrived, see :meth:`Bell.read`.
    """

    def __init__(self, folder: SocketFolder, on_ring: Callable[[list[bytes]], object] | None = None) -> None:
        self._bell = Bell(folder)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._bell.socket.fileno(), self._rung)
        self._rings: set[asyncio.Future[None]] = set()
        self.on_ring = on_ring
        self.name = self._bell.name

    def expect(self) -> asyncio.Future[None]:
        """A future that is done at the next ring: made before the last look, so that no ring is missed after it."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._rings.add(future)
        future.add_done_callback(self._rings.discard)
        return future

    async def sleep(self, ring: asyncio.Future[None], seconds: float) -> None:
        """Sleep until the ring, at most so many seconds; the future is done or cancelled then."""
        alarm = self._loop.call_later(max(0.0, seconds), _finish, ring)
        try:
            await ring
        finally:
            alarm.cancel()

    def ring(self) -> None:
        """Wake everybody who sleeps."""
        for future in list(self._rings):
            _finish(future)

    def close(self) -> None:
        """Wake everybody and remove the socket."""
        self._loop.remove_reader(self._bell.socket.fileno())
        self._bell.close()
        self.ring()

    def _rung(self) -> None:
        datagrams = self._bell.read()
        if self.on_ring is not None:
            self.on_ring(datagrams)
        self.ring()


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
