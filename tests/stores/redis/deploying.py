"""Stores on deployments, and what they must go on to do."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from celeriac.stores.store import Disposition, ResultRecord, Settlement

from ..conformance.family import PATIENCE
from ..conformance.messages import QUEUE, message, name_of

__all__ = ["eventually_received", "goes_round"]


async def eventually_received(store: Any, name: str) -> Any:
    """Receive until that message comes; others are acknowledged."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for delivery in (await store.receive([QUEUE], 10, 1.0)).deliveries:
            if name_of(delivery.payload) == name:
                return delivery
            await store.settle([Settlement(delivery.claim)])
    raise AssertionError(f"{name} did not come")


async def goes_round(store: Any, client: Any, name: str) -> None:
    """A message is sent by a client, received, settled with its result, and the client that waits gets that."""
    loop = asyncio.get_running_loop()
    wait = loop.run_in_executor(None, lambda: next(client.wait([name], lambda _: True, PATIENCE)))
    await loop.run_in_executor(None, client.publish, [message(name)])
    delivery = await eventually_received(store, name)
    record = ResultRecord(name, b'{"status": "SUCCESS"}', "SUCCESS")
    settled = await store.settle([Settlement(delivery.claim, Disposition.ACKNOWLEDGE, result=record)])
    assert settled.refused == []
    assert await wait == (name, record.payload)
