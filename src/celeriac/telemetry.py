"""Telemetry: every transition as a plain struct, for logs, events, signals and metrics to subscribe to.

Who emits asks first, so that nothing is built when nobody listens::

    if telemetry.active and telemetry.wants(TaskStarted):
        telemetry.emit(TaskStarted(now(), task_id=..., ...))
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

__all__ = [
    "BrokerLost",
    "BrokerRecovered",
    "BufferingBegan",
    "BufferingEnded",
    "ChildExited",
    "ChildStarted",
    "Event",
    "LeaseLost",
    "TaskDeadLettered",
    "TaskEvent",
    "TaskFailed",
    "TaskHeld",
    "TaskReceived",
    "TaskRedelivered",
    "TaskRejected",
    "TaskRetried",
    "TaskRevoked",
    "TaskSent",
    "TaskStarted",
    "TaskSucceeded",
    "Telemetry",
    "WorkerDraining",
    "WorkerEvent",
    "WorkerOffline",
    "WorkerOnline",
]

logger = logging.getLogger(__name__)


class Event(msgspec.Struct, frozen=True):
    """Something happened.

    Attributes:
        time: when, seconds since the epoch.
    """

    time: float


class TaskEvent(Event, frozen=True, kw_only=True):
    """Something happened to a task.

    Attributes:
        task_id: the task's id.
        name: the task's name.
        queue: the queue that it came from or goes to.
    """

    task_id: str
    name: str
    queue: str = ""


class TaskSent(TaskEvent, frozen=True, kw_only=True):
    """A producer published it and the broker confirmed.

    Attributes:
        root_id, parent_id: its place in a workflow.
        args, kwargs: their shortened texts, for people.
        eta, expires: as in the message.
        retries: which attempt.
        exchange, routing_key: where it was addressed to.
    """

    root_id: str | None = None
    parent_id: str | None = None
    args: str = ""
    kwargs: str = ""
    eta: str | None = None
    expires: str | None = None
    retries: int = 0
    exchange: str = ""
    routing_key: str = ""


class TaskReceived(TaskEvent, frozen=True, kw_only=True):
    """A worker holds a lease on it; ``payload`` is the encoded message, for those who want more."""

    payload: bytes = b""
    retries: int = 0
    losses: int = 0
    eta: str | None = None
    expires: str | None = None
    root_id: str | None = None
    parent_id: str | None = None


class TaskHeld(TaskEvent, frozen=True, kw_only=True):
    """The store keeps it until ``due`` (seconds since the epoch): "eta", "rate limit", "unregistered"..."""

    reason: str
    due: float


class TaskStarted(TaskEvent, frozen=True, kw_only=True):
    """A child begins to run it."""

    pid: int = 0


class TaskSucceeded(TaskEvent, frozen=True, kw_only=True):
    """It returned; ``result`` is the shortened text, ``runtime`` in seconds."""

    result: str = ""
    runtime: float = 0.0


class TaskFailed(TaskEvent, frozen=True, kw_only=True):
    """It raised or was ended; ``expected`` when the exception is one of the task's ``throws``."""

    exception: str
    traceback: str | None = None
    runtime: float = 0.0
    expected: bool = False


class TaskRetried(TaskEvent, frozen=True, kw_only=True):
    """It will be tried again."""

    exception: str
    traceback: str | None = None
    runtime: float = 0.0


class TaskRejected(TaskEvent, frozen=True, kw_only=True):
    """It raised Reject, or its message cannot be run."""

    reason: str = ""
    requeue: bool = False


class TaskRevoked(TaskEvent, frozen=True, kw_only=True):
    """It was revoked or has expired, and does not run (any more)."""

    terminated: bool = False
    signal: int | None = None
    expired: bool = False


class TaskRedelivered(TaskEvent, frozen=True, kw_only=True):
    """Who ran it was lost; it is ready again. ``losses`` counts this one."""

    losses: int
    reason: str = ""


class TaskDeadLettered(TaskEvent, frozen=True, kw_only=True):
    """It went to the dead-letter queue."""

    reason: str
    losses: int = 0


class LeaseLost(TaskEvent, frozen=True, kw_only=True):
    """This worker holds it no longer: whatever it still says about the task is refused."""

    reason: str = ""


class WorkerEvent(Event, frozen=True, kw_only=True):
    """Something happened to a worker.

    Attributes:
        hostname: the node's name.
    """

    hostname: str


class WorkerOnline(WorkerEvent, frozen=True, kw_only=True):
    """It takes work."""


class WorkerDraining(WorkerEvent, frozen=True, kw_only=True):
    """It takes no more work and finishes what runs."""

    reason: str = ""


class WorkerOffline(WorkerEvent, frozen=True, kw_only=True):
    """It has stopped."""


class ChildStarted(WorkerEvent, frozen=True, kw_only=True):
    """A child is up and takes work."""

    index: int
    pid: int


class ChildExited(WorkerEvent, frozen=True, kw_only=True):
    """A child has ended; ``text`` says how, ``retired`` that it was meant to."""

    index: int
    pid: int
    text: str
    retired: bool = False


class BrokerLost(WorkerEvent, frozen=True, kw_only=True):
    """The broker cannot be reached."""

    error: str


class BrokerRecovered(WorkerEvent, frozen=True, kw_only=True):
    """The broker answers again, after ``outage`` seconds."""

    outage: float


class BufferingBegan(Event, frozen=True, kw_only=True):
    """The broker cannot be reached: from now on this process keeps what it publishes (``publish_buffer_size``).

    Attributes:
        place: the broker's URL, without passwords.
        error: why it cannot be reached.
    """

    place: str
    error: str


class BufferingEnded(Event, frozen=True, kw_only=True):
    """Nothing is kept any more.

    Attributes:
        place: the broker's URL, without passwords.
        outage: seconds since it began.
        sent: messages that were kept and that the broker has confirmed.
        lost: messages that were kept and that nobody will send: refused, or dropped when the process ended.
    """

    place: str
    outage: float
    sent: int
    lost: int


E = TypeVar("E", bound=Event)
Subscriber = Callable[[Any], object]


class Telemetry:
    """Hands events to those who subscribed to their kind, or to a kind that it derives from.

    Attributes:
        active: anybody subscribed to anything. The cheapest question; ask it first.
    """

    def __init__(self) -> None:
        self.active = False
        self._subscribers: dict[type[Event], tuple[Subscriber, ...]] = {}
        #: Everybody who gets events of a kind, found at first use.
        self._resolved: dict[type[Event], tuple[Subscriber, ...]] = {}

    def subscribe(self, kind: type[E], function: Callable[[E], object]) -> None:
        """Call ``function`` with every event of that kind; ``Event`` is all of them."""
        self._set(kind, (*self._subscribers.get(kind, ()), function))

    def unsubscribe(self, kind: type[E], function: Callable[[E], object]) -> None:
        """Undo one :meth:`subscribe`; harmless when there was none."""
        functions = list(self._subscribers.get(kind, ()))
        if function in functions:
            functions.remove(function)
            self._set(kind, tuple(functions))

    def wants(self, kind: type[Event]) -> bool:
        """Somebody would be told of events of that kind."""
        return self.active and bool(self._listeners(kind))

    def emit(self, event: Event) -> None:
        """Tell the subscribers, in the order in which they subscribed; what one raises is logged and stops nobody."""
        if not self.active:
            return
        for function in self._listeners(type(event)):
            try:
                function(event)
            except Exception:
                logger.exception("a subscriber of %s failed: %r", type(event).__name__, function)

    def _listeners(self, kind: type[Event]) -> tuple[Subscriber, ...]:
        found = self._resolved.get(kind)
        if found is None:
            found = tuple(
                function
                for subscribed, functions in self._subscribers.items()
                if issubclass(kind, subscribed)
                for function in functions
            )
            self._resolved[kind] = found
        return found

    def _set(self, kind: type[Event], functions: tuple[Subscriber, ...]) -> None:
        # Dictionaries are replaced, never changed: an emit in another thread sees the old ones or the new ones.
        subscribers = {each: those for each, those in self._subscribers.items() if each is not kind}
        if functions:
            subscribers[kind] = functions
        self._subscribers = subscribers
        self._resolved = {}
        self.active = bool(subscribers)
