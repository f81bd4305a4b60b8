"""Waiting for results in an event loop: one socket for all waits of a store."""

from __future__ import annotations

import asyncio
import builtins
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Final

from celeriac.exceptions import OperationalError, TimeoutError  # noqa: A004 - the interface's error
from celeriac.stores.bounds import Bounds
from celeriac.stores.sqlite import results
from celeriac.stores.sqlite.bell import LoopBell
from celeriac.stores.sqlite.database import Database
from celeriac.stores.sqlite.errors import Locked
from celeriac.stores.sqlite.receiving import LOOK_INTERVAL
from celeriac.stores.sqlite.wakeup import SocketFolder

__all__ = ["Watch", "timeout_text"]

FOREVER: Final = float("inf")

logger = logging.getLogger("celeriac.stores.sqlite")


class _Wait:
    """One wait.

    Attributes:
        task_ids: all that it asked for.
        lacking: those that it has not got.
        unwatched: those whose next result would ring no bell: never watched, or told of since.
        arrived: what was found for it and not looked at.
        changed: set when something arrives.
    """

    def __init__(self, task_ids: Iterable[str]) -> None:
        self.lacking = dict.fromkeys(task_ids)
        self.task_ids = list(self.lacking)
        self.unwatched = set(self.lacking)
        self.arrived: dict[str, bytes] = {}
        self.changed = asyncio.Event()

    def take_ready(self, ready: Callable[[bytes], bool]) -> list[tuple[str, bytes]]:
        """What has arrived and is ready; it is lacking no more."""
        arrived, self.arrived = self.arrived, {}
        self.changed.clear()
        found = [(task_id, payload) for task_id, payload in arrived.items() if task_id in self.lacking]
        found = [each for each in found if ready(each[1])]
        for task_id, _ in found:
            del self.lacking[task_id]
            self.unwatched.discard(task_id)
        return found

    async def happens(self, seconds: float) -> bool:
        """Sleep until something arrives, at most so many seconds; whether it did."""
        alarm = asyncio.get_running_loop().call_later(seconds, self.changed.set)
        try:
            await self.changed.wait()
        finally:
            alarm.cancel()
        return bool(self.arrived)


class Watch:
    """The waits for results of one open store.

    Duties: registering what is awaited; fetching what was stored when the bell rings, once for all waits; a look each
    half minute as the safety net. It ends with :meth:`close`, which ends all waits.

    Args:
        database: where the operations run.
        folder: where the bell is.
        look: seconds that the one look of a wait without time may take.
    """

    def __init__(self, database: Database, folder: SocketFolder, look: float) -> None:
        self._database = database
        self._look = look
        self._bell = LoopBell(folder, lambda _: self._fetch())
        self._waits: dict[str, set[_Wait]] = {}
        # Tasks that are registered in the file, or may be.
        self._registered: set[str] = set()
        self._closed = False
        self._fetching = False
        self._rung_again = False
        self.name = self._bell.name

    async def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.Store.wait`."""
        now = time.monotonic()
        deadline = None if timeout is None else now + timeout
        # Until when a look at the file may take; without time there is one look all the same.
        until = now + self._look if timeout == 0 else deadline
        wait = _Wait(task_ids)
        self._add(wait)
        try:
            again = False
            while wait.lacking:
                if wait.unwatched:
                    try:
                        await self._watch(wait, again, FOREVER if until is None else until - time.monotonic())
                    except (Locked, builtins.TimeoutError) as error:
                        if deadline is None:
                            raise
                        raise TimeoutError(timeout_text(wait.lacking, timeout)) from error
                    again = True
                for each in wait.take_ready(ready):
                    yield each
                if wait.unwatched:
                    continue
                left = LOOK_INTERVAL if deadline is None else deadline - time.monotonic()
                if wait.lacking and left <= 0:
                    raise TimeoutError(timeout_text(wait.lacking, timeout))
                if wait.lacking and not await wait.happens(min(left, LOOK_INTERVAL)):
                    wait.unwatched.update(wait.lacking)
                if self._closed:
                    raise OperationalError("the store was closed while a result was awaited")
        finally:
            self._remove(wait)

    def close(self) -> None:
        """End all waits."""
        self._closed = True
        for wait in set().union(*self._waits.values()):
            wait.changed.set()
        self._bell.close()

    async def _watch(self, wait: _Wait, again: bool, seconds: float) -> None:
        """Watch what is unwatched, and look at what is stored: what came between two looks is not missed."""
        task_ids = list(wait.unwatched)
        self._registered.update(task_ids)
        with Bounds(seconds) as limits:
            looking = self._database.submit(
                partial(results.watch, socket=self.name, task_ids=task_ids, again=again), can_skip=True
            )
            async with asyncio.timeout(None if seconds == FOREVER else limits.last):
                found = await looking
        wait.unwatched.difference_update(task_ids)
        if not again:
            stored = {task_id for task_id, _ in found}
            wait.unwatched |= stored
            self._registered -= stored
        wait.arrived.update(found)

    def _fetch(self) -> None:
        if self._fetching or self._closed:
            self._rung_again = True
            return
        self._fetching = True
        self._rung_again = False
        fetched = self._database.submit(partial(results.take_told, socket=self.name))
        fetched.add_done_callback(self._fetched)

    def _fetched(self, fetched: asyncio.Future[list[tuple[str, bytes]]]) -> None:
        self._fetching = False
        error = fetched.exception()
        if error is None:
            self._registered.difference_update(task_id for task_id, _ in fetched.result())
            self._arrive(fetched.result())
        else:
            logger.warning("could not read the awaited results, trying again in %d s: %s", LOOK_INTERVAL, error)
        if self._rung_again and not self._closed:
            self._fetch()

    def _arrive(self, found: Iterable[tuple[str, bytes]]) -> None:
        for task_id, payload in found:
            for wait in self._waits.get(task_id, ()):
                wait.arrived[task_id] = payload
                wait.unwatched.add(task_id)
                wait.changed.set()

    def _add(self, wait: _Wait) -> None:
        for task_id in wait.lacking:
            self._waits.setdefault(task_id, set()).add(wait)

    def _remove(self, wait: _Wait) -> None:
        for task_id in wait.task_ids:
            waits = self._waits[task_id]
            waits.discard(wait)
            if not waits:
                del self._waits[task_id]
        unwatched = [task_id for task_id in wait.task_ids if task_id in self._registered and task_id not in self._waits]
        self._registered.difference_update(unwatched)
        if unwatched and not self._closed:
            self._database.post(partial(results.unwatch, socket=self.name, task_ids=unwatched))


def timeout_text(lacking: Iterable[str], timeout: float | None) -> str:
    """The sentence for a wait that took too long."""
    waiting = list(lacking)
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    return f"no result of task {waiting[0]}{more} after {timeout} seconds"
