"""A main process that is going to be killed: starts a pool, keeps its children busy, and prints all pids."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from tests.pools.conformance.harness import Kinds, opener


async def main(name: str, start_method: str, holder: str) -> None:
    async with AsyncExitStack() as cleanup:
        bench = await opener(cleanup)(Kinds(name, start_method), children=2)
        await bench.all_ready()
        await bench.results(("fork_holder", holder))
        bench.send(("sleep", 600), child=0)
        await bench.running(1)
        pool: Any = bench.pool
        print(pool._server._pid, *(child.pid for child in pool.children), flush=True)
        await asyncio.Event().wait()


uvloop.run(main(*sys.argv[1:]))
