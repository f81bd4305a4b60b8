"""Listeners for the suite: they collect what an inbox brings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from celeriac.stores.store import Store

from .family import Family
from .messages import payload_of

EXCHANGE = "celery.pidbox"


class Listener:
    """Collects what an inbox brings, as far as it must be the same."""

    def __init__(self, family: Family, inbox: AsyncIterator[bytes]) -> None:
        self._canonical = family.canonical
        self.heard: list[bytes] = []
        self._task = asyncio.ensure_future(self._listen(inbox))

    async def _listen(self, inbox: AsyncIterator[bytes]) -> None:
        async for payload in inbox:
            self.heard.append(self._canonical(payload) if payload else payload)

    async def stop(self) -> None:
        """Listen no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def listening(family: Family, sender: Store, store: Store, exchange: str = EXCHANGE) -> Listener:
    """A listener that hears already: a subscription takes its time."""
    listener = Listener(family, store.inbox(exchange))
    family.on_end(listener.stop)

    async def hears() -> bool:
        await sender.broadcast(exchange, payload_of("probe"))
        await asyncio.sleep(0.01)
        return bool(listener.heard)

    await family.eventually(hears)
    # Probes may still be on their way; the last one is behind them all.
    last = payload_of("last probe")
    await sender.broadcast(exchange, last)
    await heard(family, listener, last)
    listener.heard.clear()
    return listener


async def heard(family: Family, listener: Listener, payload: bytes) -> None:
    """Wait until a listener has heard that."""

    async def look() -> bool:
        return family.canonical(payload) in listener.heard

    await family.eventually(look)
