"""What a pool is: N children times an executor times its capacity.

The worker's main process decides which child runs what; a child runs it and answers with an outcome. Between them goes
plain data only (:class:`Work`, :class:`Outcome`), as msgpack frames over one socket pair per child, and one page of
shared memory that says what runs now and since when. The child is told by name which function makes its
:class:`Runner`, so nothing here knows the app.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from celeriac.stores.store import Effects, Outgoing

__all__ = [
    "Child",
    "ChildExit",
    "Job",
    "Kind",
    "Outcome",
    "Pool",
    "PoolOptions",
    "PoolWatcher",
    "Runner",
    "Running",
    "Work",
]


class Work(msgspec.Struct, array_like=True):
    """One request on its way to a child.

    Attributes:
        number: names the request between main and this child; grows, never 0.
        payload: the encoded message, untouched.
        queue: where it came from.
        losses: redeliveries after losses.
        soft, hard: time limits in seconds, None without. Main enforces them; only `solo` must do so itself.
        acknowledged: it was acknowledged before it ran (early acknowledgement).
        verdict: set when it is not to run but to end: ``"time_limit"``, ``"lost"`` or ``"exhausted"``, and the runner
            calls the task's failure hooks; or ``"revoked"``. The runner builds the outcome, with what follows from it.
        reason: of the verdict, for people.
    """

    number: int
    payload: bytes
    queue: str
    losses: int = 0
    soft: float | None = None
    hard: float | None = None
    acknowledged: bool = False
    verdict: str = ""
    reason: str = ""


class Kind(enum.IntEnum):
    """How a task ended."""

    SUCCESS = 0
    FAILURE = 1
    RETRY = 2
    IGNORE = 3
    REJECT = 4
    """Reject(requeue=False), or a message that cannot be run: to the dead letters, the reason in ``text``."""
    REQUEUE = 5
    """Reject(requeue=True)."""
    CANCELLED = 6
    """Main asked for it (hard limit, revocation, shutdown); main knows why."""


class Outcome(msgspec.Struct, array_like=True):
    """What a task did, with its result already encoded and its follow-ups already built.

    Attributes:
        number: of the work.
        kind: how it ended.
        runtime: seconds.
        state: the state stored, such as ``"SUCCESS"``.
        result: the encoded result document, None when nothing is stored.
        follow_ups: messages to publish with the acknowledgement.
        effects: what else becomes final with the acknowledgement.
        text: for people and events: repr of the result, or of the exception, or the reason of a reject.
        traceback: of a failure or retry.
        expected: the exception is one of the task's ``throws``.
    """

    number: int
    kind: Kind
    runtime: float = 0.0
    state: str = ""
    result: bytes | None = None
    follow_ups: list[Outgoing] = []
    effects: Effects | None = None
    text: str = ""
    traceback: str | None = None
    expected: bool = False


class Job(Protocol):
    """A work whose message is decoded. Never raises: everything becomes an outcome, except SystemExit,
    KeyboardInterrupt and what kills processes.

    A pool raises into a plain function only while ``interruptible`` is true, which `run` keeps so exactly around the
    task's own code, inside the ``try`` that makes outcomes of exceptions::

        try:
            try:
                self.interruptible = True
                if self.cancelled: raise asyncio.CancelledError
                if self.interrupted: raise SoftTimeLimitExceeded
                value = call the task
            finally:
                self.interruptible = False
        except BaseException: make an outcome of it

    So no exception ever strikes between the task's end and its outcome, and none is lost that comes before its start.
    """

    is_coroutine: bool
    interruptible: bool
    """False at first. Only plain functions need it."""

    def run(self) -> Outcome:
        """Run a plain function's task to its end, in the calling thread and its current context."""
        ...

    async def arun(self) -> Outcome:
        """Run a coroutine function's task to its end, in the current asyncio task. A soft limit arrives as
        ``asyncio.CancelledError`` injected by the executor with ``job.interrupted = True`` set before, and is turned
        into SoftTimeLimitExceeded inside the task's own frames; with ``job.cancelled = True`` the outcome is CANCELLED.
        """
        ...

    interrupted: bool
    """Set by the executor: the soft limit is over. False at first."""
    cancelled: bool
    """Set by the executor: main cancels it. A plain function gets ``asyncio.CancelledError`` too. False at first."""


class Runner(Protocol):
    """Runs requests inside a child.

    `PoolOptions.runner` names the function that makes it. When the module of that function has a function
    ``preload(arguments)``, it is called first, in the fork server if there is one: it imports the app.
    """

    def load(self, work: Work) -> Job:
        """Decode; never raises: a message that cannot be run gives a job whose outcome says so."""
        ...

    def start(self) -> None:
        """Called once in the child before the first work (worker_process_init)."""

    def stop(self) -> None:
        """Called once before the child leaves on its own (worker_process_shutdown)."""


class Running(msgspec.Struct, frozen=True):
    """A request that runs now: its number, and its start by CLOCK_MONOTONIC in seconds."""

    number: int
    started: float


class ChildExit(msgspec.Struct, frozen=True):
    """How a child ended: ``signal`` by which, else ``code``; ``text`` is a sentence for people."""

    pid: int
    code: int | None
    signal: int | None
    text: str
    retired: bool = False
    """It left because main told it to, or because of its own memory limit, having finished all its work."""


class Child(Protocol):
    """One child, seen from main. All methods return at once."""

    index: int
    pid: int
    capacity: int
    """How many requests it runs at the same time."""
    ready: bool
    """It is up and takes work."""

    def send(self, works: Sequence[Work]) -> None:
        """Hand over; what it has beyond its capacity waits in the child in order. What it does not take any more (it
        is not ``ready``, or has had its ``max_tasks``) comes back as ``PoolWatcher.returned``."""

    def running(self) -> list[Running]:
        """What the page says runs now; valid after the child's death too."""
        ...

    def interrupt(self, number: int) -> None:
        """Raise SoftTimeLimitExceeded in that request if it still runs; else nothing happens."""

    def cancel(self, number: int) -> None:
        """In a shared child (capacity above 1): cancel that request, its outcome is CANCELLED."""

    def recall(self) -> None:
        """Ask for what it has not started: those come back as ``PoolWatcher.returned``."""

    def retire(self) -> None:
        """Let it finish what it has, then leave; once nothing is left of that a replacement is started. It is not
        ``ready`` from now on."""

    def kill(self) -> None:
        """SIGKILL, through the pidfd."""

    def dump(self) -> None:
        """Make it write the stacks of all its threads to standard error."""


class PoolWatcher(Protocol):
    """What the worker is told; called on the event loop."""

    def ready(self, child: Child) -> None: ...
    def outcomes(self, child: Child, outcomes: list[Outcome]) -> None: ...
    def returned(self, child: Child, numbers: list[int]) -> None: ...
    def exited(self, child: Child, exit: ChildExit, running: list[Running]) -> None:  # noqa: A002 - what it is
        """It is known dead: everything sent and without an outcome is the watcher's again; ``running`` had started."""

    def broken(self, text: str) -> None:
        """The pool cannot start children (the app raises at import...): the traceback. It tries again with back-off."""


class PoolOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a pool is made; times in seconds, sizes in bytes.

    Attributes:
        children: how many.
        capacity: slots of each.
        start_method: "forkserver", "spawn" or "fork".
        runner: ``"module:function"``; called in the child with ``arguments`` and returns its Runner.
        arguments: plain data for it.
        max_tasks: requests after which a child is replaced, None without limit.
        max_memory: resident bytes after which a child is replaced once its task is done, None without limit.
        start_timeout: a child must be up within that time.
    """

    children: int
    capacity: int = 1
    start_method: str = "forkserver"
    runner: str
    arguments: dict[str, Any]
    max_tasks: int | None = None
    max_memory: int | None = None
    start_timeout: float = 60.0


class Pool(Protocol):
    """A pool keeps as many children alive as it was made with, replacing those that leave or die.

    Making one starts its fork server, so that it loads the app while main loads its own modules."""

    children: list[Child]
    enforces_limits: bool
    """It enforces time limits itself (`solo`), so main must not. What a hard limit ended is then CANCELLED, though main
    did not ask for it, and its text says so."""

    async def start(self, watcher: PoolWatcher) -> None:
        """Start all children; returns when the first one is ready.

        Raises:
            PoolError: no child can be started; the text is the child's traceback.
        """

    async def stop(self) -> None:
        """Kill what is left and free everything; idempotent. Let work finish before by not sending any."""
