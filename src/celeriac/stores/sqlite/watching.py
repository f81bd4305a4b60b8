"""Waiting for results in an event loop: one socket for all waits of a store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial

from celeriac.exceptions import OperationalError, TimeoutError  # noqa: A004 - the interface's error
from celeriac.stores.sqlite import results
from celeriac.stores.sqlite.bell import LoopBell
from celeriac.stores.sqlite.database import Database
from celeriac.stores.sqlite.receiving import LOOK_INTERVAL

__all__ = ["Watch", "timeout_text"]


class _Wait:
    """One wait: what it still lacks, and what came for it."""

    def __init__(self, task_ids: Iterable[str]) -> None:
        self.lacking = dict.fromkeys(task_ids)
        self.arrived: dict[str, bytes] = {}
        self.changed = asyncio.Event()

    def take_ready(self, ready: Callable[[bytes], bool]) -> tuple[list[tuple[str, bytes]], list[str]]:
        """What has arrived and is ready, and the ids of what has arrived and is not."""
        arrived, self.arrived = self.arrived, {}
        self.changed.clear()
        found, unready = [], []
        for task_id, payload in arrived.items():
            if task_id not in self.lacking:
                continue
            if ready(payload):
                del self.lacking[task_id]
                found.append((task_id, payload))
            else:
                unready.append(task_id)
        return found, unready


class Watch:
    """The waits for results of one open store.

    Args:
        database: where the operations run.
        bell: rung for results.
    """

    def __init__(self, database: Database, bell: LoopBell) -> None:
        self._database = database
        self._bell = bell
        self._waits: dict[str, set[_Wait]] = {}
        self._closed = False
        self._fetching = False
        self._listen()

    async def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.Store.wait`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        wait = _Wait(task_ids)
        self._add(wait)
        try:
            unready = list(wait.lacking)
            while wait.lacking:
                if unready:
                    # Watching reads what is stored: what came between two looks is not missed.
                    self._arrive(await self._database.submit(self._watching(unready)))
                found, unready = wait.take_ready(ready)
                for each in found:
                    yield each
                if not wait.lacking:
                    return
                left = LOOK_INTERVAL if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(timeout_text(wait.lacking, timeout))
                if self._closed:
                    raise OperationalError("the store was closed while a result was awaited")
                if not await _happens(wait.changed, min(left, LOOK_INTERVAL)):
                    unready = list(wait.lacking)
        finally:
            self._remove(wait)

    def close(self) -> None:
        """End all waits."""
        self._closed = True
        for waits in self._waits.values():
            for wait in waits:
                wait.changed.set()
        self._bell.close()
"""
