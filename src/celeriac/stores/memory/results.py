"""The results of the memory store: lifetimes, the rule that SUCCESS stays, and who waits for which."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence

import msgspec

from celeriac import states
from celeriac.stores.memory.waiting import Waiter
from celeriac.stores.store import ResultRecord

__all__ = ["ResultTable", "ResultWait"]


class _Stored(msgspec.Struct, frozen=True):
    payload: bytes
    state: str
    expires: float | None


class ResultWait:
    """One wait for several results: which are still awaited, and which of them have changed."""

    def __init__(self, task_ids: Iterable[str], ready: Callable[[bytes], bool], waiter: Waiter) -> None:
        self.awaited = set(task_ids)
        self.changed = set(self.awaited)
        self.ready = ready
        self.waiter = waiter


class ResultTable:
    """Results by task id. Not thread-safe: the state locks around it."""

    def __init__(self) -> None:
        self._stored: dict[str, _Stored] = {}
        self._expiring: list[tuple[float, str]] = []
        self._waits: dict[str, set[ResultWait]] = {}

    def store(self, record: ResultRecord, now: float) -> None:
        """Store a result unless a SUCCESS is there and this is not one, and tell those who wait for it."""
        self._drop_expired(now)
        current = self._stored.get(record.task_id)
        if current is not None and current.state == states.SUCCESS and record.state != states.SUCCESS:
            return
        expires = None if record.expires is None else now + record.expires
        self._stored[record.task_id] = _Stored(record.payload, record.state, expires)
        if expires is not None:
            heapq.heappush(self._expiring, (expires, record.task_id))
        for wait in self._waits.get(record.task_id, ()):
            wait.changed.add(record.task_id)
            wait.waiter.wake()

    def read(self, task_ids: Sequence[str], now: float) -> list[bytes | None]:
        """The results of these tasks, None where there is none."""
        self._drop_expired(now)
        found = map(self._stored.get, task_ids)
        return [None if stored is None else stored.payload for stored in found]

    def forget(self, task_ids: Sequence[str]) -> None:
        """Drop the results of these tasks."""
        for task_id in task_ids:
            self._stored.pop(task_id, None)

    def register(self, wait: ResultWait) -> None:
        """Tell ``wait`` from now on what is stored for the tasks that it waits for."""
        for task_id in wait.awaited:
            self._waits.setdefault(task_id, set()).add(wait)

    def unregister(self, wait: ResultWait, task_ids: Iterable[str]) -> None:
        """Stop telling ``wait`` about these tasks."""
        for task_id in task_ids:
            waits = self._waits.get(task_id)
            if waits is not None:
                waits.discard(wait)
                if not waits:
                    del self._waits[task_id]

    def take_changed(self, wait: ResultWait, now: float) -> list[tuple[str, bytes]]:
        """What was stored for ``wait`` since the last call."""
        changed, wait.changed = wait.changed & wait.awaited, set()
        task_ids = list(changed)
        found = zip(task_ids, self.read(task_ids, now), strict=True)
        return [(task_id, payload) for task_id, payload in found if payload is not None]

    def _drop_expired(self, now: float) -> None:
        while self._expiring and self._expiring[0][0] <= now:
            expires, task_id = heapq.heappop(self._expiring)
            stored = self._stored.get(task_id)
            if stored is not None and stored.expires == expires:
                del self._stored[task_id]
