"""What the suite asks of each family of stores: how to open one, and how time passes there."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, Literal, TypeVar

from msgspec import structs

from celeriac.stores import memory
from celeriac.stores.memory import VirtualClock
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import QueueCounts, Store, SyncStore
from celeriac.stores.two_stores import SyncTwoStores, TwoStores

T = TypeVar("T")

LEASE = 0.4
"""Seconds of a lease that a test lets end; every other test keeps the default."""

PATIENCE = 10.0
"""Seconds that a test waits for what must come."""


class Family:
    """One technology at one empty place: every store that it opens shares the same messages.

    Args:
        module: the plug-in's module.
        url: the place.
        cleanup: closes the stores in the test's loop.
    """

    counts_all = True
    """It knows how many messages are held and in flight, and a purge drops held ones too."""
    priorities: Literal["fair", "strict", "none"] = "fair"
    """How it serves priorities: low ones now and then too unless told otherwise, always strictly, or not at all."""
    counts_lost_holders = True
    """Every loss of a holder counts, without anybody saying so."""
    lags = False
    """What is looked at is back a moment later, at any place; counts follow a moment later too."""
    given_back_come_last = False
    """A message that is given back goes behind those that wait."""
    counted_come_last = False
    """So does one that counts a loss."""
    held_come_last = False
    """A message that becomes due goes behind those that wait."""
    repeats_completions = False
    """A part that was counted before may publish the completion of its chord again until that is closed."""
    largest_header = 12345678901234567890123
    """A whole number that a header may hold, as large as any that matters."""
    largest_float = "1e400"
    """The same of other numbers; this is infinite."""

    def __init__(self, module: str, url: str, cleanup: AsyncExitStack) -> None:
        self.module: Any = importlib.import_module(module)
        self.url = url
        self._cleanup = cleanup

    def options(self, **options: Any) -> StoreOptions:
        """The options of a store at this place."""
        return StoreOptions(url=self.url, **options)

    async def open(self, **options: Any) -> Store:
        """Open a store; it is closed after the test."""
        store: Store = self.module.open_store(self.options(**options))
        await store.open()
        self._cleanup.push_async_callback(store.close)
        return store

    def open_sync(self, **options: Any) -> SyncStore:
        """Open a synchronous store; it is closed after the test."""
        store: SyncStore = self.module.open_sync_store(self.options(**options))
        self._cleanup.callback(store.close)
        return store

    def on_end(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Await ``stop()`` after the test, before the stores are closed."""
        self._cleanup.push_async_callback(stop)

    def now(self) -> float:
        """The store's time, seconds since the epoch."""
        return time.time()

    def urgency(self, step: int) -> int:
        """The priority that is served at this place among 0 (first) to 9 (last)."""
        return step

    def beyond(self, step: int) -> int:
        """A priority that is out of range and nearest to this step."""
        return 99 if step else -5

    def served(self, published: Sequence[tuple[str, int]]) -> list[str]:
        """The names of messages with their steps in the order in which they are served strictly."""
        if self.priorities != "none":
            published = sorted(published, key=lambda each: each[1])
        return [name for name, _ in published]

    def canonical(self, payload: bytes) -> bytes:
        """What must be the same in two payloads of one message."""
        return payload

    def tells(self, counts: QueueCounts, **known: int) -> bool:
        """Whether counts are these, the others 0, as far as the store can say; what it cannot say must be None."""
        if self.counts_all:
            return counts == QueueCounts(**known)
        return counts == QueueCounts(known.get("ready", 0), None, None, known.get("dead", 0))

    async def in_flight(self, store: Store, queue: str, count: int) -> bool:
        """Whether so many messages of a queue are in flight, as far as the store can say."""
        found = (await store.counts([queue]))[queue].in_flight
        return found == (count if self.counts_all else None)

    async def is_ready(self, store: Store, queue: str, count: int) -> None:
        """Let time pass until so many messages of a queue are ready: some stores take what is given back later."""

        async def look() -> bool:
            return (await store.counts([queue]))[queue].ready == count

        await self.eventually(look)

    async def lose(self, store: Store) -> None:
        """Let a store be lost with its claims: here their leases end if nobody renews them."""

    async def tick(self) -> None:
        """Let a little time pass."""
        await asyncio.sleep(0.01)

    async def eventually(self, look: Callable[[], Awaitable[T]]) -> T:
        """Let time pass until what ``look`` returns is true."""
        deadline = time.monotonic() + PATIENCE
        while not (found := await look()):
            assert time.monotonic() < deadline, f"did not come about within {PATIENCE} seconds"
            await self.tick()
        return found

    async def finish(self, task: asyncio.Task[T]) -> T:
        """Let time pass until a task is done."""

        async def done() -> bool:
            return task.done()

        await self.eventually(done)
        return task.result()


class MemoryFamily(Family):
    """The memory store with a virtual clock."""

    def __init__(self, cleanup: AsyncExitStack) -> None:
        super().__init__("celeriac.stores.memory", "memory://conformance", cleanup)
        self.clock = VirtualClock()

    def options(self, **options: Any) -> StoreOptions:
        return super().options(**{"transport_options": {"clock": self.clock}, **options})

    def now(self) -> float:
        return self.clock.now()

    async def tick(self) -> None:
        self.clock.advance(0.05)
        # Real time, for the threads and tasks that this has woken.
        await asyncio.sleep(0.001)


class TwoStoresFamily(MemoryFamily):
    """A broker and a backend in two memory stores, see :mod:`celeriac.stores.two_stores`."""

    repeats_completions = True

    def __init__(self, cleanup: AsyncExitStack) -> None:
        super().__init__(cleanup)
        self.module = SimpleNamespace(open_store=self._open_store, open_sync_store=self._open_sync_store)

    def _open_store(self, options: StoreOptions) -> TwoStores:
        broker, backend = memory.open_store(options), memory.open_store(self._backend(options))
        return TwoStores(broker, backend, options.lease, now=self.clock.now)

    def _open_sync_store(self, options: StoreOptions) -> SyncTwoStores:
        return SyncTwoStores(memory.open_sync_store(options), memory.open_sync_store(self._backend(options)))

    @staticmethod
    def _backend(options: StoreOptions) -> StoreOptions:
        return structs.replace(options, url="memory://conformance-results")


@asynccontextmanager
async def running(awaitable: Awaitable[T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run something beside the test that is cancelled with it; it has begun to wait when the body starts."""
    task = asyncio.ensure_future(awaitable)
    try:
        await asyncio.sleep(0.02)
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
