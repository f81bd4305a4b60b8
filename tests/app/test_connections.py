"""Stores of an app, one for each event loop that asks."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from celeriac import Celeriac


@pytest.mark.parametrize("place", ["memory", "sqlite"])
def test_the_store_of_a_loop_closes_with_the_loop(place: str, tmp_path: Path) -> None:
    url = "memory://loops" if place == "memory" else f"sqlite:///{tmp_path / 'store.sqlite3'}"
    app = Celeriac("loops", broker=url, set_as_current=False)

    @app.task(name="add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    async def send() -> None:
        await add.adelay(1, 2)

    for _ in range(3):
        asyncio.run(send())
        gc.collect()  # what was left open would warn here
    assert len(app.connections._loops) == 1
    app.close()


async def test_calls_at_the_same_time_share_one_store() -> None:
    app = Celeriac("loops", broker="memory://shared", set_as_current=False)
    stores = await asyncio.gather(*(app.async_store() for _ in range(5)))
    assert len(set(map(id, stores))) == 1
    await app.aclose()
    app.close()
