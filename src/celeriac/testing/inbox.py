"""What a simulated store hears of broadcasts."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celeriac.testing.connection import SimulatedStore

__all__ = ["Inbox"]


class Inbox:
    """What comes from one exchange, one word at a time."""

    def __init__(self, store: SimulatedStore) -> None:
        self._store = store
        self._words: deque[bytes] = deque()
        self._event = asyncio.Event()
        self._closed = False
        store.listen(self)

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> bytes:
        try:
            while not self._words:
                if self._closed:
                    raise StopAsyncIteration
                self._event.clear()
                await self._event.wait()
        except asyncio.CancelledError:
            self.close()
            raise
        return self._words.popleft()

    def tell(self) -> None:
        """Something was broadcast."""
        self._store.carry(self)

    def put(self) -> None:
        """It has arrived."""
        self._words.append(b"")
        self._event.set()

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._event.set()
        self._store.unlisten(self)
