"""A world of processes on one virtual clock: which of them takes the next step is drawn from the seed.

Nothing here waits. When no process has anything to do, the clock jumps to the next timer; so a simulated hour costs as
much as what happens in it, and two runs of one seed are the same run, step for step.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from celeriac.testing.process import Process

__all__ = ["EPOCH", "Entry", "World"]

EPOCH: Final = 1_800_000_000.0
"""When every world begins, seconds since the epoch (January 2027): the same for every run of a seed."""

LEAST_WAIT: Final = 1e-6
"""Seconds that every timer takes at least, so that a timer which sets itself anew cannot stop the clock."""


class Entry(NamedTuple):
    """One line of the trace: when (virtual seconds since the beginning), where, what, and about what."""

    time: float
    place: str
    event: str
    about: tuple[Any, ...]

    def __str__(self) -> str:
        details = " ".join(str(each) for each in self.about)
        return f"{self.time:12.6f}  {self.place:10} {self.event:12} {details}".rstrip()


class World:
    """The clock, the timers and the processes of one simulation.

    Args:
        seed: of everything that is left to chance.

    Attributes:
        now: virtual seconds since the beginning, monotonic.
        random: the only source of chance.
        trace: what happened, in order.
        steps: how many callbacks have run.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.steps = 0
        self.trace: list[Entry] = []
        self.processes: list[Process] = []
        self._timers: list[tuple[float, int, Process | None, asyncio.Handle | Callable[[], object]]] = []
        self._order = 0

    def time(self) -> float:
        """The virtual time of day, seconds since the epoch."""
        return EPOCH + self.now

    def monotonic(self) -> float:
        """Virtual seconds since the beginning."""
        return self.now

    def note(self, place: str, event: str, *about: Any) -> None:
        """Write a line of the trace."""
        self.trace.append(Entry(self.now, place, event, about))

    # -- timers ------------------------------------------------------------------------------------------------------

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Call something outside of all processes (the network, the broker, a fault) that many seconds from now."""
        self._push(self.now + max(seconds, LEAST_WAIT), None, call)

    def set_timer(self, process: Process, handle: asyncio.TimerHandle) -> None:
        """Make a handle of a process ready when its time comes."""
        self._push(max(handle.when(), self.now + LEAST_WAIT), process, handle)

    def _push(self, when: float, process: Process | None, what: asyncio.Handle | Callable[[], object]) -> None:
        self._order += 1
        heapq.heappush(self._timers, (when, self._order, process, what))

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool], deadline: float) -> bool:
        """Run until the condition holds when nobody has anything to do at this moment; False when the deadline (seconds
        since the beginning) came first, or nothing was left to happen."""
        while True:
            ready = [process for process in self.processes if process.ready and not process.frozen]
            if ready:
                self.steps += 1
                (ready[0] if len(ready) == 1 else self.random.choice(ready)).step()
            elif until():
                return True
            elif self.now >= deadline or not self._advance():
                return False

    def _advance(self) -> bool:
        timers = self._timers
        if not timers:
            return False
        self.now = now = max(self.now, timers[0][0])
        due = []
        while timers and timers[0][0] <= now:
            due.append(heapq.heappop(timers))
        if len(due) > 1:
            self.random.shuffle(due)
        for _, _, process, what in due:
            if not isinstance(what, asyncio.Handle):
                what()
            elif process is not None and not what.cancelled():
                process.make_ready(what)
        return True
