"""The simulated pool: children whose tasks take virtual time, and that can die, hang or be late at any moment.

It keeps to :mod:`celeriac.pools.pool` as the real one does: words between main and a child arrive in order; a death is
told last, after what the child had sent; what had started is known from a page that outlives the child. The app's own
runner loads messages and runs tasks, at the virtual moment at which they end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from celeriac.pools.pool import (
    Child,
    ChildExit,
    Job,
    Kind,
    Outcome,
    PoolOptions,
    PoolWatcher,
    Running,
    Work,
)
from celeriac.testing.host import Fate, Host
from celeriac.testing.ledger import Run
from celeriac.testing.process import Process, current_process

__all__ = ["SimulatedChild", "SimulatedPool"]

SHORTEST: Final = 0.00005
LONGEST: Final = 0.001
"""Seconds that a word takes between main and a child."""
GAP: Final = 1e-7
"""Seconds between two words on one socket, which keeps them in order."""
SLOWEST_START: Final = 1.0
"""Seconds until a child is up."""
SLOWEST_DEATH: Final = 0.3
"""Seconds until main knows of a death, and until children know that main is dead."""
DEAF: Final = 0.2
"""Share of the requests in shared children that do not heed their cancellation."""
SIGKILL: Final = 9


class SimulatedPool:
    """A pool of a simulated process; the worker finds it by name, ``celeriac.testing.pool:SimulatedPool``."""

    enforces_limits = False

    def __init__(self, options: PoolOptions) -> None:
        self.children: list[Child] = []
        self.process = current_process()
        self.host: Host = self.process.host
        self.host.pools.append(self)
        self.stopped = False
        self._options = options
        self._pids = 0
        self.process.at_death.append(self._main_died)

    async def start(self, watcher: PoolWatcher) -> None:
        """Start all children; returns when the first one is ready."""
        self.watcher = watcher
        self._first: asyncio.Future[None] = self.process.create_future()
        for index in range(self._options.children):
            self._start_child(index)
        await self._first

    async def stop(self) -> None:
        """Kill what is left."""
        self.stopped = True
        for child in self.alive():
            child.vanish("killed at the end")

    def alive(self) -> list[SimulatedChild]:
        """The children that live."""
        return [child for child in self.children if isinstance(child, SimulatedChild) and not child.dead]

    def _start_child(self, index: int) -> None:
        self._pids += 1
        child = SimulatedChild(self, index, self._pids, self._options.capacity)
        if index < len(self.children):
            self.children[index] = child
        else:
            self.children.append(child)
        world = self.process.world
        world.after(world.random.uniform(LONGEST, SLOWEST_START), lambda: self.process.call_soon(self._is_up, child))

    def _is_up(self, child: SimulatedChild) -> None:
        if self.stopped or child.dead:
            return
        child.ready = True
        self.watcher.ready(child)
        if not self._first.done():
            self._first.set_result(None)

    def replace(self, child: SimulatedChild) -> None:
        """A child is gone: start another one in its place."""
        if not self.stopped:
            self._start_child(child.index)

    def _main_died(self) -> None:
        """Children notice the end of main within moments, and end."""
        self.stopped = True
        world = self.process.world
        for child in self.alive():
            world.after(world.random.uniform(0.0, SLOWEST_DEATH), partial(child.vanish, "main died"))


@dataclass(slots=True)
class _Task:
    """What runs in a child.

    Attributes:
        ending: which of its planned ends counts.
        coroutine: set while a coroutine's own awaits run.
    """

    work: Work
    job: Job
    run: Run
    ending: int
    fate: Fate = Fate.LIVES
    coroutine: asyncio.Task[None] | None = None


class SimulatedChild:
    """One child."""

    def __init__(self, pool: SimulatedPool, index: int, pid: int, capacity: int) -> None:
        self.index = index
        self.pid = pid
        self.capacity = capacity
        self.ready = False
        self.dead = False
        self.frozen = False
        self._pool = pool
        self._process: Process = pool.process
        self._world = pool.process.world
        self._queue: deque[Work] = deque()
        self._tasks: dict[int, _Task] = {}
        self._out: dict[int, None] = {}
        self._started = 0
        self._endings = 0
        self._latest = 0.0
        self._last_words: list[Running] | None = None
        self._thaw: list[Callable[[], None]] = []
        self._inward = self._outward = 0.0

    # -- main's side -------------------------------------------------------------------------------------------------

    def send(self, works: Sequence[Work]) -> None:
        """Hand over."""
        if not self.ready:
            self._process.call_soon(self._pool.watcher.returned, self, [work.number for work in works])
            return
        for work in works:
            self._out[work.number] = None
        self._order(lambda: self._take(works))

    def running(self) -> list[Running]:
        """What the page says."""
        if self._last_words is not None:
            return self._last_words
        return [Running(number, task.run.started) for number, task in self._tasks.items()]

    def interrupt(self, number: int) -> None:
        """Soft limit."""
        self._order(lambda: self._break_off(number, "interrupted"))

    def cancel(self, number: int) -> None:
        """Cancel one request of a shared child."""
        if self._world.random.random() >= DEAF:
            self._order(lambda: self._break_off(number, "cancelled"))

    def recall(self) -> None:
        """Ask for what has not started."""
        self._order(self._give_back)

    def retire(self) -> None:
        """Let it finish, then leave."""
        self.ready = False
        self._order(self._leave_when_idle)

    def kill(self) -> None:
        """SIGKILL."""
        self._world.after(self._trip(), lambda: self.vanish("killed by main", SIGKILL))

    def dump(self) -> None:
        """It has no stacks."""

    def _order(self, act: Callable[[], None]) -> None:
        """A word to the child; words arrive in order, and wait while it is frozen."""
        self._inward = max(self._inward + GAP, self._world.now + self._trip())
        self._world.after(self._inward - self._world.now, lambda: self._when_thawed(act))

    # -- the child's side --------------------------------------------------------------------------------------------

    def _when_thawed(self, act: Callable[[], None]) -> None:
        if self.dead:
            return
        if self.frozen:
            self._thaw.append(act)
        else:
            act()

    def thaw(self) -> None:
        """SIGCONT: what waited is done."""
        self.frozen = False
        acts, self._thaw = self._thaw, []
        for act in acts:
            self._when_thawed(act)

    def _take(self, works: Sequence[Work]) -> None:
        self._queue.extend(works)
        self._start()

    def _start(self) -> None:
        host = self._pool.host
        while self._queue and len(self._tasks) < self.capacity and not self.dead:
            work = self._queue.popleft()
            self._started = max(self._started, work.number)
            self._latest = self._world.now
            job = host.load(work)
            run = host.ledger.started(self._process.name, work.payload, bool(work.verdict))
            task = self._tasks[work.number] = _Task(work, job, run, 0)
            seconds, task.fate = host.fate(work)
            self._end_after(task, seconds)

    def _end_after(self, task: _Task, seconds: float) -> None:
        self._endings += 1
        ending = task.ending = self._endings
        self._world.after(seconds, lambda: self._when_thawed(lambda: self._end(task, ending)))

    def _break_off(self, number: int, how: str) -> None:
        """Its time is over: the task meets the exception now."""
        task = self._tasks.get(number)
        if task is not None:
            setattr(task.job, how, True)
            if task.coroutine is not None:
                task.coroutine.cancel()
            else:
                self._end_after(task, 0.0)
        elif how == "cancelled":
            for work in self._queue:
                if work.number == number:
                    self._queue.remove(work)
                    self._tell(self._heard, [Outcome(number, Kind.CANCELLED)])
                    return

    def _end(self, task: _Task, ending: int) -> None:
        if task.ending != ending or task.coroutine is not None:
            return
        if task.fate is Fate.DIES and not task.job.interrupted and not task.job.cancelled:
            self.vanish("killed by its task", SIGKILL)
        elif task.job.is_coroutine:
            task.coroutine = self._pool.host.start(task.job, lambda outcome: self._ended(task, outcome))
        else:
            try:
                outcome = task.job.run()
            except SystemExit as error:
                self.vanish(f"its task called sys.exit({error.code!r})")
            else:
                self._ended(task, outcome)

    def _ended(self, task: _Task, outcome: Outcome) -> None:
        if self.dead:
            return
        outcome.runtime = self._world.now - task.run.started
        self._pool.host.ledger.ended(task.run, task.work.payload, outcome)
        if task.fate is Fate.DIES_LATE:
            self.vanish("killed before it could tell", SIGKILL)
            return
        del self._tasks[task.work.number]
        self._tell(self._heard, [outcome])
        self._start()
        self._leave_when_idle()

    def _give_back(self) -> None:
        numbers = [work.number for work in self._queue]
        self._queue.clear()
        self._tell(self._hear_returned, numbers)

    def _leave_when_idle(self) -> None:
        if not self.ready and not self._tasks and not self._queue:
            self.vanish("left", retired=True)

    def vanish(self, text: str, number: int | None = None, retired: bool = False) -> None:
        """It is gone; main learns that later, and after everything that it had sent."""
        if self.dead:
            return
        self.dead = True
        for task in self._tasks.values():
            if task.coroutine is not None:
                task.coroutine.cancel()
            self._pool.host.ledger.died(self._process.name, task.work.payload, text)
        self._world.note(self._process.name, "child died", self.index, text)
        exit_ = ChildExit(self.pid, None if number else 0, number, text, retired)
        self._tell(self._hear_death, exit_, late=self._world.random.uniform(0.0, SLOWEST_DEATH))

    # -- words to main -----------------------------------------------------------------------------------------------

    def _tell(self, hear: Callable[[Any], None], word: Any, late: float = 0.0) -> None:
        """A word to main; words arrive in order, and none is lost when the child dies after it."""
        self._outward = max(self._outward + GAP, self._world.now + self._trip() + late)
        self._world.after(self._outward - self._world.now, lambda: self._process.call_soon(hear, word))

    def _heard(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self._out.pop(outcome.number, None)
        if not self._pool.stopped:
            self._pool.watcher.outcomes(self, outcomes)

    def _hear_returned(self, numbers: list[int]) -> None:
        for number in numbers:
            self._out.pop(number, None)
        if not self._pool.stopped:
            self._pool.watcher.returned(self, numbers)

    def _hear_death(self, exit_: ChildExit) -> None:
        if self._pool.stopped:
            return
        self.ready = False
        shown = {number: task.run.started for number, task in self._tasks.items()}
        started = [number for number in self._out if number <= self._started]
        running = [Running(number, shown.get(number, self._latest)) for number in started]
        self._last_words = running
        self._pool.watcher.exited(self, exit_, running)
        self._pool.replace(self)

    def _trip(self) -> float:
        return self._world.random.uniform(SHORTEST, LONGEST)
