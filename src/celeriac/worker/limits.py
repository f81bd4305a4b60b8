"""Time limits: a soft one raises inside the task, a hard one ends it.

A limit runs from the later of the hand-over and the start that the child's page tells, so a request that waits in a
child is not charged for it, and one whose child is wedged before it started still meets its limit.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from time import monotonic

from celeriac.worker.dispatch import Slot
from celeriac.worker.request import Request

__all__ = ["Limits"]


class Limits:
    """Watches the limits of what runs.

    Args:
        soft: called when a request reached its soft limit.
        hard: called when a request reached its hard limit.
    """

    def __init__(self, soft: Callable[[Request], None], hard: Callable[[Request], None]) -> None:
        self._soft, self._hard = soft, hard
        self._heap: list[tuple[float, int, bool, Request]] = []
        self._order = 0
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def watch(self, slot: Slot, requests: list[Request]) -> None:
        """Start to watch what was just handed over."""
        for request in requests:
            if request.judged:
                continue
            if request.soft is not None:
                self._push(request.handed + request.soft, False, request)
            if request.hard is not None:
                self._push(request.handed + request.hard, True, request)

    def stop(self) -> None:
        """Watch nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._heap.clear()

    def _push(self, at: float, hard: bool, request: Request) -> None:
        self._order += 1
        heapq.heappush(self._heap, (at, self._order, hard, request))
        if self._timer is None or at < self._at:
            self._arm(at)

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - monotonic()), self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = monotonic()
        while self._heap and self._heap[0][0] <= now:
            at, _, hard, request = heapq.heappop(self._heap)
            self._check(at, now, hard, request)
        while self._heap and self._heap[0][3].holder is None:
            heapq.heappop(self._heap)
        if self._heap:
            self._arm(self._heap[0][0])

    def _check(self, at: float, now: float, hard: bool, request: Request) -> None:
        slot = request.holder
        if slot is None or request.number not in slot.assigned:
            return
        limit = request.hard if hard else request.soft
        assert limit is not None
        running = {one.number: one.started for one in slot.child.running()}
        started = running.get(request.number)
        if started is None and running and len(running) >= slot.capacity:
            # It waits behind others: look again when its own time could be over.
            self._push(now + limit, hard, request)
        elif started is not None and started + limit > now:
            self._push(started + limit, hard, request)
        elif hard:
            self._hard(request)
        else:
            self._soft(request)
