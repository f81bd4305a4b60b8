"""Signals: functions that programs connect to what happens here, with Celery's names and arguments.

A receiver is called with ``signal``, ``sender`` and the keywords that are listed with each signal. What it raises is
logged and does not disturb anybody. Senders ask ``if task_success:`` before they prepare the arguments, so that a
signal nobody listens to costs one attribute look-up.
"""

from __future__ import annotations

import inspect
import logging
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, overload

__all__ = [
    "Signal",
    "after_setup_logger",
    "after_setup_task_logger",
    "after_task_publish",
    "beat_embedded_init",
    "beat_init",
    "before_task_publish",
    "celeryd_after_setup",
    "celeryd_init",
    "eventlet_pool_apply",
    "eventlet_pool_postshutdown",
    "eventlet_pool_preshutdown",
    "eventlet_pool_started",
    "heartbeat_sent",
    "import_modules",
    "setup_logging",
    "task_failure",
    "task_internal_error",
    "task_postrun",
    "task_prerun",
    "task_received",
    "task_rejected",
    "task_retry",
    "task_revoked",
    "task_sent",
    "task_success",
    "task_unknown",
    "user_preload_options",
    "worker_before_create_process",
    "worker_init",
    "worker_process_init",
    "worker_process_shutdown",
    "worker_ready",
    "worker_shutdown",
    "worker_shutting_down",
]

logger = logging.getLogger(__name__)

Receiver = Callable[..., Any]
F = TypeVar("F", bound=Receiver)


class _Connection:
    """One receiver of a signal, and the sender that it listens to."""

    __slots__ = ("_receiver", "_sender", "_sender_is_weak", "alive", "key", "weak")

    def __init__(self, receiver: Receiver, sender: Any, weak: bool, key: object) -> None:
        self.key = key
        self.weak = weak
        self.alive = True
        self._receiver: Any = receiver
        if weak:
            reference = weakref.WeakMethod if inspect.ismethod(receiver) else weakref.ref
            self._receiver = reference(receiver, self._died)
        self._sender, self._sender_is_weak = _hold(sender)

    def receiver(self) -> Receiver | None:
        """The receiver; None when it is gone."""
        found: Receiver | None = self._receiver() if self.weak else self._receiver
        return found

    def is_for(self, sender: Any) -> bool:
        """It listens to that sender, or to all."""
        wanted = self._sender
        if wanted is None:
            return True
        if self._sender_is_weak:
            wanted = wanted()
            if wanted is None:
                return False
        return _same_sender(wanted, sender)

    def _died(self, _: object) -> None:
        # Called by the garbage collector, in any thread and at any point: it must not take a lock. The connection is
        # dropped by the next connect, disconnect or send.
        self.alive = False


class Signal:
    """Something that programs can listen to.

    True when anybody listens, whoever the sender is.

    Args:
        providing_args: the names of the keywords that receivers get, for people.
        use_caching: as in Celery; looking up receivers needs no cache here, so both values behave alike.
        name: what the signal is called in logs.
    """

    def __init__(
        self, providing_args: Iterable[str] | None = None, use_caching: bool = False, name: str | None = None
    ) -> None:
        self.providing_args = frozenset(providing_args or ())
        self.use_caching = use_caching
        self.name = name
        #: Replaced, never changed: a send goes over the tuple that it found, whatever connects meanwhile.
        self.receivers: tuple[_Connection, ...] = ()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self.receivers)

    def __repr__(self) -> str:
        return f"<Signal: {self.name} providing_args={set(self.providing_args) or '{}'}>"

    @overload
    def connect(self, receiver: F, *, sender: Any = None, weak: bool = True, dispatch_uid: object = None) -> F: ...
    @overload
    def connect(self, receiver: F, sender: Any, weak: bool = True, dispatch_uid: object = None) -> F: ...
    @overload
    def connect(self, *, sender: Any = None, weak: bool = True, dispatch_uid: object = None) -> Callable[[F], F]: ...
    def connect(self, receiver: Any = None, sender: Any = None, weak: bool = True, dispatch_uid: object = None) -> Any:
        """Connect a receiver; also a decorator, with and without arguments.

        Args:
            receiver: called with ``signal``, ``sender`` and the signal's keywords; it must accept ``**kwargs``.
            sender: listen to this sender only: a task, an app, or a task's or node's name, as the signal's own.
            weak: hold the receiver weakly, so that a method does not keep its object alive.
            dispatch_uid: names the connection; a second one with the same name and sender is not made.

        Returns:
            The receiver, or a decorator when there is none.

        Raises:
            ValueError: the receiver does not accept ``**kwargs``.
            TypeError: the receiver cannot be called.
        """
        if receiver is None:
            return lambda function: self.connect(function, sender=sender, weak=weak, dispatch_uid=dispatch_uid)
        _check_receiver(receiver)
        connection = _Connection(receiver, sender, weak, _key(receiver, sender, dispatch_uid))
        with self._lock:
            connected = tuple(each for each in self.receivers if each.alive)
            if not any(each.key == connection.key for each in connected):
                connected = (*connected, connection)
            self.receivers = connected
        return receiver

    def disconnect(
        self,
        receiver: Receiver | None = None,
        sender: Any = None,
        weak: bool | None = None,
        dispatch_uid: object = None,
    ) -> bool:
        """Disconnect what :meth:`connect` connected with the same receiver (or ``dispatch_uid``) and sender.

        Returns:
            Whether there was such a connection. ``weak`` makes no difference, as in Celery.
        """
        key = _key(receiver, sender, dispatch_uid)
        with self._lock:
            kept = tuple(each for each in self.receivers if each.alive and each.key != key)
            found = any(each.alive and each.key == key for each in self.receivers)
            self.receivers = kept
        return found

    def has_listeners(self, sender: Any = None) -> bool:
        """Somebody would be called for that sender."""
        return any(each.receiver() is not None and each.is_for(sender) for each in self.receivers)

    def send(self, sender: Any, **named: Any) -> list[tuple[Receiver, Any]]:
        """Call all receivers that listen to the sender, in the order in which they connected.

        Returns:
            Each receiver with what it returned, or with the exception that it raised, which is logged.
        """
        responses: list[tuple[Receiver, Any]] = []
        connected = self.receivers
        for connection in connected:
            receiver = connection.receiver()
            if receiver is None or not connection.is_for(sender):
                continue
            try:
                response = receiver(signal=self, sender=sender, **named)
            except Exception as error:
                logger.exception("Signal handler %r raised: %r", receiver, error)
                response = error
            responses.append((receiver, response))
        if not all(each.alive for each in connected):
            self._drop_dead()
        return responses

    send_robust = send

    def _drop_dead(self) -> None:
        with self._lock:
            self.receivers = tuple(each for each in self.receivers if each.alive)


def _check_receiver(receiver: Any) -> None:
    if not callable(receiver):
        raise TypeError(f"a signal's receiver must be callable, not {receiver!r}")
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):  # written in C, without a signature: nothing can be said about it
        return
    if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        raise ValueError(
            f"the signal receiver {receiver!r} must accept keyword arguments (**kwargs): later versions send more"
        )


def _key(receiver: Receiver | None, sender: Any, dispatch_uid: object) -> object:
    if dispatch_uid:
        who: object = dispatch_uid
    elif inspect.ismethod(receiver):
        who = (id(receiver.__self__), id(receiver.__func__))
    else:
        who = id(receiver)
    return who, sender if isinstance(sender, (str, bytes, int, float)) else id(sender)


def _hold(sender: Any) -> tuple[Any, bool]:
    """The sender to keep, and whether it is a weak reference: an id alone might be another object's one day."""
    if sender is None or isinstance(sender, (str, bytes, int, float)):
        return sender, False
    try:
        return weakref.ref(sender), True
    except TypeError:
        return sender, False


def _same_sender(wanted: Any, sender: Any) -> bool:
    if wanted is sender:
        return True
    if isinstance(wanted, (str, bytes, int, float)):
        return bool(wanted == sender)
    # A proxy (of a shared task, of the current app) stands for what it resolves to now.
    resolve = getattr(type(wanted), "_get_current_object", None)
    return resolve is not None and resolve(wanted) is sender


_LOGGING: Final = ("loglevel", "logfile", "format", "colorize")
_RAISED: Final = ("task_id", "exception", "args", "kwargs", "traceback", "einfo")

# ------------------------------------------------------------------------------------------------------- publishing

#: Before a message is sent; sender is the task's name. Receivers may change headers, properties and body.
before_task_publish = Signal(
    ("body", "exchange", "routing_key", "headers", "properties", "declare", "retry_policy"), name="before_task_publish"
)
#: After a message was sent; sender is the task's name.
after_task_publish = Signal(("body", "exchange", "routing_key", "headers"), name="after_task_publish")
#: Celery's deprecated predecessor of ``after_task_publish``.
task_sent = Signal(("task_id", "task", "args", "kwargs", "eta", "taskset"), name="task_sent")

# ---------------------------------------------------------------------------------------------------- a task's life

#: A worker received the task; sender is the consumer.
task_received = Signal(("request",), name="task_received")
#: Before a task runs, where it runs; sender is the task.
task_prerun = Signal(("task_id", "task", "args", "kwargs"), name="task_prerun")
#: After a task ran, where it ran; sender is the task.
task_postrun = Signal(("task_id", "task", "args", "kwargs", "retval", "state"), name="task_postrun")
#: A task returned; sender is the task, ``runtime`` in seconds.
task_success = Signal(("result", "runtime"), name="task_success")
#: A task will be tried again; sender is the task.
task_retry = Signal(("request", "reason", "einfo"), name="task_retry")
#: A task failed; sender is the task.
task_failure = Signal(_RAISED, name="task_failure")
#: Celeriac failed while it ran a task; sender is the task.
task_internal_error = Signal((*_RAISED, "request"), name="task_internal_error")
#: A task was revoked, terminated or has expired; sender is the task.
task_revoked = Signal(("request", "terminated", "signum", "expired"), name="task_revoked")
#: A message could not be read as a task; sender is the consumer.
task_rejected = Signal(("message", "exc"), name="task_rejected")
#: A message names a task that is not registered; sender is the consumer.
task_unknown = Signal(("message", "exc", "name", "id"), name="task_unknown")

# --------------------------------------------------------------------------------------------------------- programs

#: The first hook of a worker; sender is the node's name.
celeryd_init = Signal(("instance", "conf", "options"), name="celeryd_init")
#: After a worker has selected its queues; sender is the node's name.
celeryd_after_setup = Signal(("instance", "conf"), name="celeryd_after_setup")
#: Modules with tasks are about to be imported; sender is the app. What a receiver raises ends the import.
import_modules = Signal(name="import_modules")
#: Before a worker starts; sender is the worker.
worker_init = Signal(name="worker_init")
#: Before a child is created, in main; sender is the pool.
worker_before_create_process = Signal(name="worker_before_create_process")
#: In each child, after it has started; sender is the node's name.
worker_process_init = Signal(name="worker_process_init")
#: In each child, before it leaves; sender is the node's name.
worker_process_shutdown = Signal(("pid", "exitcode"), name="worker_process_shutdown")
#: The worker takes work; sender is the consumer.
worker_ready = Signal(name="worker_ready")
#: The worker is about to exit; sender is the worker.
worker_shutdown = Signal(name="worker_shutdown")
#: The worker begins to shut down; sender is the node's name, ``how`` is "Warm" or "Cold".
worker_shutting_down = Signal(("sig", "how", "exitcode"), name="worker_shutting_down")
#: After each heartbeat; sender is the one who sends them.
heartbeat_sent = Signal(name="heartbeat_sent")
#: Logging is to be set up; a receiver replaces the built-in set-up.
setup_logging = Signal(_LOGGING, name="setup_logging")
#: After the loggers were set up, to add to them.
after_setup_logger = Signal(("logger", *_LOGGING), name="after_setup_logger")
#: After the task logger was set up, to add to it.
after_setup_task_logger = Signal(("logger", *_LOGGING), name="after_setup_task_logger")
#: Beat has started; sender is its service.
beat_init = Signal(name="beat_init")
#: Beat has started inside a worker; sender is its service.
beat_embedded_init = Signal(name="beat_embedded_init")
#: The eventlet pool has started; sender is the pool.
eventlet_pool_started = Signal(name="eventlet_pool_started")
#: The eventlet pool is about to stop; sender is the pool.
eventlet_pool_preshutdown = Signal(name="eventlet_pool_preshutdown")
#: The eventlet pool has stopped; sender is the pool.
eventlet_pool_postshutdown = Signal(name="eventlet_pool_postshutdown")
#: The eventlet pool begins a task; sender is the pool.
eventlet_pool_apply = Signal(("target", "args", "kwargs"), name="eventlet_pool_apply")
#: A command's options were parsed; sender is the command.
user_preload_options = Signal(("app", "options"), name="user_preload_options")
