"""Dead letters for tests."""

from __future__ import annotations

import asyncio

from celeriac import Celeriac
from celeriac.stores.store import Disposition, Outgoing, Settlement

__all__ = ["bury", "bury_raw"]


def bury(app: Celeriac, name: str, args: list[object], reason: str = "it was rejected", queue: str = "celery") -> str:
    """Send a task and let it die; returns the task's id."""
    sent = app.send_task(name, args, queue=queue)
    asyncio.run(_kill(app, queue, reason))
    app.close()
    return sent.id


def bury_raw(app: Celeriac, payload: bytes, reason: str = "not a task message") -> None:
    """Let a message of any content die."""
    asyncio.run(_kill(app, "celery", reason, payload))


async def _kill(app: Celeriac, queue: str, reason: str, payload: bytes | None = None) -> None:
    store = app.connections.make()
    await store.open()
    try:
        if payload is not None:
            await store.publish([Outgoing(queue, payload)])
        received = await store.receive([queue], 1, 5.0)
        (delivery,) = received.deliveries
        await store.settle([Settlement(delivery.claim, Disposition.DEAD_LETTER, reason=reason)])
    finally:
        await store.close()
