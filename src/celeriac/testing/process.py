"""One simulated process: an event loop whose time is virtual and whose steps the world chooses.

It is a real asyncio loop to whoever runs in it: futures, tasks, timeouts and timers work. Within one process callbacks
run in the order in which they became ready, as asyncio promises; everything that comes from outside (replies, words of
children, timers that end at the same moment) is put among them when the world says so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from asyncio import BaseEventLoop as EventLoop

    from celeriac.testing.host import Host
    from celeriac.testing.world import World
else:
    from asyncio import AbstractEventLoop as EventLoop  # whose methods raise NotImplementedError where we have none

__all__ = ["Process", "current_process", "running_loop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MOST_BURIAL_ROUNDS: Final = 20
MOST_BURIAL_STEPS: Final = 10_000
"""How often, and in how many callbacks, the tasks of a dead process may be taken apart: they only unwind."""


class Process(EventLoop):
    """A process that can be frozen, or killed between any two of its steps.

    Args:
        world: where it lives.
        name: for the trace.

    Attributes:
        frozen: it takes no steps (SIGSTOP), while its timers and messages pile up.
        dead: it takes no steps any more.
        errors: what nobody in it caught.
        at_death: called when it dies.
        host: what its worker's store and pool stand on.
    """

    host: Host

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.frozen = False
        self.dead = False
        self.errors: list[str] = []
        self.at_death: list[Callable[[], None]] = []
        self._steps_left: int | None = None
        self._doom: Callable[[], None] | None = None
        self._closed = False
        self._remains: set[asyncio.Task[Any]] = set()  # or the garbage collector would run their `finally` blocks
        world.processes.append(self)

    # -- life --------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Run the next callback."""
        if self._steps_left is not None:
            if self._steps_left == 0:
                self._strike()
                return
            self._steps_left -= 1
        self._run(self.ready.popleft())

    def after_steps(self, steps: int, doom: Callable[[], None]) -> None:
        """Call something before the callback that comes after that many, in place of it if the process dies of it."""
        self._steps_left, self._doom = steps, doom

    def disarm(self) -> None:
        """Nothing is to strike it any more."""
        self._steps_left = self._doom = None

    def _strike(self) -> None:
        doom, self._doom, self._steps_left = self._doom, None, None
        if doom is not None:
            doom()

    def kill(self) -> None:
        """SIGKILL: not one more step is taken, no ``finally`` runs."""
        if self.dead:
            return
        self.dead = True
        self._remains = asyncio.all_tasks(self)
        self.world.processes.remove(self)
        for tell in self.at_death:
            tell()

    def bury(self) -> None:
        """Take apart what is left of a process that has died or ended, once nobody looks any more."""
        if self in self.world.processes:
            self.world.processes.remove(self)
        self.dead = False
        for _ in range(MOST_BURIAL_ROUNDS):  # tasks may start others while they unwind
            tasks = asyncio.all_tasks(self)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            for _ in range(MOST_BURIAL_STEPS):
                if not self.ready:
                    break
                self._run(self.ready.popleft())
        self.dead = self._closed = True
        self._remains.clear()

    def _run(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        asyncio._set_running_loop(self)  # noqa: SLF001  # made for event loops
        try:
            handle._run()  # noqa: SLF001  # what every event loop calls
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001  # made for event loops

    def make_ready(self, handle: asyncio.Handle) -> None:
        """A timer's time has come."""
        if not self.dead:
            self.ready.append(handle)

    # -- what asyncio asks of an event loop --------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the beginning of the world."""
        return self.world.now

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """See asyncio."""
        handle = asyncio.Handle(callback, args, self, context)
        if not self.dead:
            self.ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """See asyncio."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        return self.call_at(self.world.now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self.dead:
            self.world.set_timer(self, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Told by the handle; the world skips it."""

    def create_future(self) -> asyncio.Future[Any]:
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        """See asyncio."""
        return asyncio.Task(coro, loop=self, name=None if name is None else str(name), context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Remember what nobody caught: a simulation with such an error has failed.

        What finalizers of tasks and futures complain of comes when the garbage collector likes, which no seed decides.
        """
        if not self.dead and "handle" in context:
            self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        """No."""
        return False

    def is_running(self) -> bool:
        """It runs while it takes a step."""
        return running_loop() is self

    def is_closed(self) -> bool:
        """It is buried."""
        return self._closed

    def add_signal_handler(self, sig: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> NoReturn:
        """There are no signals here; simulations call what their handlers would."""
        raise NotImplementedError

    def remove_signal_handler(self, sig: int) -> bool:
        """There are none."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<Process {self.name}>"


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop whose step this is, None outside of all."""
    return asyncio._get_running_loop()  # noqa: SLF001  # get_running_loop without its error


def current_process() -> Process:
    """The process whose step this is.

    Raises:
        RuntimeError: it is none's.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, Process):
        raise RuntimeError(
            "this is part of a simulation and works in its processes only: see celeriac.testing.simulate"
        )
    return loop
