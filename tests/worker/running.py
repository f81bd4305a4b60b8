"""A worker in the test's own process and loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from celeriac import Celeriac
from celeriac.worker.options import WorkerOptions
from celeriac.worker.worker import Worker

__all__ = ["running", "until"]


@asynccontextmanager
async def running(app: Celeriac, path: str = "tests.apps.basic", **options: Any) -> AsyncIterator[Worker]:
    """Run a worker of the app for the length of the block."""
    options.setdefault("children", 1)
    worker = Worker(app, WorkerOptions(app_path=path, hostname="test@here", **options))
    life = asyncio.create_task(worker.run())
    ready = asyncio.create_task(worker.ready.wait())
    await asyncio.wait([life, ready], return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if life.done():
        life.result()
    try:
        yield worker
    finally:
        if not life.done():
            worker.shutdown.cold()
        await life
        await app.aclose()
        app.close()


async def until(condition: Any, timeout: float = 10.0, what: str = "it never happened") -> None:
    """Look until the condition holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while True:
        held = condition()
        if asyncio.iscoroutine(held):
            held = await held
        if held:
            return
        assert loop.time() < end, what
        await asyncio.sleep(0.01)
