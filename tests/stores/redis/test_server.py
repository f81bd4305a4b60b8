"""Attempts to connect that nobody waits for any more."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.connection import Connection
from celeriac.stores.redis.server import Server
from celeriac.stores.redis.topology import topology_of

SENTINELS = StoreOptions(url="sentinel://127.0.0.1:1", transport_options={"master_name": "main"})


class Made:
    """A connection that knows whether it was dropped."""

    def __init__(self) -> None:
        self.dropped = False

    def abort(self) -> None:
        self.dropped = True


async def test_a_connection_that_is_made_as_its_caller_gives_up_is_dropped() -> None:
    """In the very turn of the event loop in which the caller is cancelled."""
    made = Made()
    server = Server(topology_of(SENTINELS), SENTINELS, "test")
    now = asyncio.Event()

    async def attempt() -> Connection:
        await now.wait()
        return cast(Connection, made)

    caller = asyncio.ensure_future(server.unless_moved(attempt()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    now.set()
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert made.dropped
