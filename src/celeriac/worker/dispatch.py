"""Dispatch: which child runs what, and how much may wait in a child.

Fair when tasks are long, pipelined when they are short: a child holds as much waiting work as it will run within
``HORIZON`` seconds by the running mean of each task, so from about a millisecond up it holds one at a time. What waits
in a child behind a request that turned out long is recalled as soon as another child idles.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic
from typing import Final

from celeriac.pools.pool import Child, Work
from celeriac.worker.request import Request

__all__ = ["Dispatch", "Slot"]

HORIZON: Final = 0.005
"""Seconds of work that may wait in a child: long against a hand-over, short against what people notice."""
LONG: Final = 0.001
"""Seconds from which a task is handed over one at a time."""
MAX_WAITING: Final = 256
"""Requests that may be in a child beyond its capacity, however short they are."""
READ_AHEAD_BYTES: Final = 16 * 1024 * 1024
"""Payloads, by their mean size, that may be fetched before they can start: a queue of large messages stays in the
broker and out of the worker's memory, however short their tasks are."""
READ_AHEAD_BELOW: Final = 0.02
"""Mean run time in seconds below which the next request per slot is fetched ahead, to hide the broker's round trip."""
SHORT_LIMIT: Final = 10.0
"""Requests with a time limit below that many seconds never wait in a child (DECISIONS: the page)."""
WEIGHT: Final = 0.05
"""Of a new run time, and of a new size, in the worker's running means."""


class Slot:
    """One child as dispatch sees it.

    Attributes:
        child: the child.
        assigned: what it has, by number, in the order of hand-over.
        load: seconds of work that wait or run in it, by the means.
        open: it takes more; else it is leaving.
        exclusive: it runs a suspect alone.
        recalling: an answer to a recall is outstanding.
        long: it runs a request that turned out long, so nothing is to wait behind that.
    """

    __slots__ = ("assigned", "capacity", "child", "exclusive", "load", "long", "open", "recalling")

    def __init__(self, child: Child) -> None:
        self.child = child
        self.capacity = child.capacity
        self.assigned: dict[int, Request] = {}
        self.load = 0.0
        self.open = True
        self.exclusive = False
        self.recalling = False
        self.long = False

    @property
    def takes(self) -> bool:
        """It takes more: neither main nor the child itself has decided that it leaves."""
        return self.open and self.child.ready and not self.exclusive and not self.recalling

    def free(self) -> int:
        """Requests that it could start at once."""
        if not self.takes:
            return 0
        return max(0, self.capacity - len(self.assigned))


class Dispatch:
    """Hands requests to children.

    Args:
        handed: called with the requests of each hand-over (limits start to count).

    Attributes:
        leased_until: monotonic seconds; nothing is started later. A worker that was paused for longer than a lease
            (SIGSTOP, a frozen machine) would start what others have run meanwhile, in the instant before it learns so.
    """

    def __init__(self, handed: Callable[[Slot, list[Request]], None]) -> None:
        self.ready: deque[Request] = deque()
        self.slots: dict[int, Slot] = {}
        self.leased_until = inf
        self._handed = handed
        self._numbers = 0
        self._mean: float | None = None
        self._size = 0.0
        self._look: asyncio.TimerHandle | None = None

    # -- children ----------------------------------------------------------------------------------------------------

    def add(self, child: Child) -> Slot:
        """A child is up."""
        slot = self.slots[id(child)] = Slot(child)
        return slot

    def remove(self, child: Child) -> Slot | None:
        """A child is gone; what it had is still in its slot."""
        return self.slots.pop(id(child), None)

    def slot(self, child: Child) -> Slot | None:
        """The slot of a child."""
        return self.slots.get(id(child))

    # -- how much ----------------------------------------------------------------------------------------------------

    def room(self) -> int:
        """How many more requests to fetch from the broker now."""
        mean = self._mean
        room = free = waiting = 0
        for slot in self.slots.values():
            if not slot.open or not slot.child.ready or slot.exclusive:
                continue
            beyond = 0
            if mean is None or slot.long:
                pass
            elif mean < LONG:
                beyond = min(MAX_WAITING, int(HORIZON / max(mean, 1e-6)))
            elif mean < READ_AHEAD_BELOW:
                beyond = min(slot.capacity, 2)
            assigned = len(slot.assigned)
            room += max(0, slot.capacity + beyond - assigned)
            free += max(0, slot.capacity - assigned)
            waiting += max(0, assigned - slot.capacity)
        waiting += len(self.ready)
        ahead = max(0, int(READ_AHEAD_BYTES / max(self._size, 1.0)) - waiting)
        return max(0, min(room - len(self.ready), free + ahead))

    def idle(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self.ready and not any(slot.assigned for slot in self.slots.values())

    def requests(self) -> Iterable[Request]:
        """Everything that is waiting or handed over."""
        yield from self.ready
        for slot in self.slots.values():
            yield from slot.assigned.values()

    # -- hand over ---------------------------------------------------------------------------------------------------

    def put(self, requests: Iterable[Request]) -> None:
        """Queue admitted requests; call :meth:`run` afterwards."""
        size, ready = self._size, self.ready
        for request in requests:
            size += WEIGHT * (len(request.delivery.payload) - size)
            ready.append(request)
        self._size = size

    def put_first(self, requests: Iterable[Request]) -> None:
        """Queue requests before all others, in their order."""
        self.ready.extendleft(reversed(list(requests)))

    def run(self) -> None:
        """Hand over as much as the children may have."""
        if not self.ready or monotonic() > self.leased_until:
            return
        slots = sorted((slot for slot in self.slots.values() if slot.takes), key=_busyness)
        for slot in slots:  # first what can start at once, so that no child idles beside a queue
            self._fill(slot, beyond=False)
        if self.ready:
            for slot in slots:
                if not slot.long:
                    self._fill(slot, beyond=True)
        if self.ready:
            self._recall_behind_long()

    def _fill(self, slot: Slot, beyond: bool) -> None:
        batch: list[Request] = []
        ready = self.ready
        assigned = slot.assigned
        while ready and slot.takes:
            request = ready[0]
            if request.alone and assigned:
                break
            if len(assigned) >= slot.capacity and not (beyond and self._may_wait(slot, request)):
                break
            ready.popleft()
            self._numbers += 1
            request.number = self._numbers
            request.holder = slot
            slot.exclusive = request.alone
            assigned[request.number] = request
            slot.load += request.traits.runtime or 0.0
            batch.append(request)
        if batch:
            self._hand_over(slot, batch)

    def _may_wait(self, slot: Slot, request: Request) -> bool:
        runtime = request.traits.runtime
        return (
            runtime is not None
            and runtime < LONG
            and slot.load + runtime <= HORIZON * slot.capacity
            and len(slot.assigned) < slot.capacity + MAX_WAITING
            and request.late
            and not request.alone
            and not _has_short_limit(request)
        )

    def _hand_over(self, slot: Slot, batch: list[Request]) -> None:
        now = monotonic()
        works = []
        for request in batch:
            request.handed = now
            delivery = request.delivery
            works.append(
                Work(
                    request.number,
                    delivery.payload,
                    delivery.queue,
                    delivery.losses,
                    request.soft,
                    request.hard,
                    not request.late,
                    request.verdict if request.judged else "",
                    request.reason,
                )
            )
        self._handed(slot, batch)
        slot.child.send(works)

    # -- coming back -------------------------------------------------------------------------------------------------

    def finished(self, slot: Slot, number: int, runtime: float) -> Request | None:
        """A request has its outcome; returns it, None when it is no longer the child's."""
        request = slot.assigned.pop(number, None)
        if request is None:
            return None
        slot.long = False
        traits = request.traits
        slot.load -= traits.runtime or 0.0
        if not slot.assigned:
            slot.load = 0.0
            slot.exclusive = False
        traits.ran(runtime)
        mean = self._mean
        self._mean = runtime if mean is None else mean + WEIGHT * (runtime - mean)
        return request

    def returned(self, slot: Slot, numbers: Iterable[int]) -> list[Request]:
        """A child gives back what it has not started; returns it."""
        slot.recalling = False
        return self.take(slot, numbers)

    def take(self, slot: Slot, numbers: Iterable[int]) -> list[Request]:
        """Take requests from a child that does not run them any more."""
        taken = []
        for number in numbers:
            request = slot.assigned.pop(number, None)
            if request is not None:
                slot.load = max(0.0, slot.load - (request.traits.runtime or 0.0))
                request.holder = None
                taken.append(request)
        return taken

    def forget(self, request: Request) -> None:
        """Drop a request that waits here, if it does."""
        if request in self.ready:
            self.ready.remove(request)

    def recall_all(self) -> None:
        """Ask every child for what it has not started (shutdown)."""
        for slot in self.slots.values():
            if len(slot.assigned) > slot.capacity and not slot.recalling:
                slot.recalling = True
                slot.child.recall()

    def balance(self) -> None:
        """A child idles and nothing is ready: look for work that waits behind a long request elsewhere."""
        if self.ready or not any(slot.free() for slot in self.slots.values()):
            return
        self._recall_behind_long()

    def _recall_behind_long(self) -> None:
        waiting = [slot for slot in self.slots.values() if len(slot.assigned) > slot.capacity and not slot.recalling]
        if not waiting:
            return
        now = monotonic()
        for slot in waiting:
            if any(now - running.started > HORIZON for running in slot.child.running()):
                slot.recalling = slot.long = True
                slot.child.recall()
                waiting = [other for other in waiting if other is not slot]
        if waiting and self._look is None:
            self._look = asyncio.get_running_loop().call_later(HORIZON, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        self.balance()


def _busyness(slot: Slot) -> tuple[int, float]:
    return len(slot.assigned) // slot.capacity, slot.load


def _has_short_limit(request: Request) -> bool:
    return (request.soft is not None and request.soft < SHORT_LIMIT) or (
        request.hard is not None and request.hard < SHORT_LIMIT
    )
