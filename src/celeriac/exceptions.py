"""Everything that Celeriac raises or warns with, in one hierarchy, and the names these classes have on the wire.

Celery's classes keep Celery's names, arguments and attributes. Results and pickles name them as a Celery peer can
import them (``celery.exceptions.Retry``, ``billiard.exceptions.WorkerLostError``): `wire_name` and `class_for`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    import click

    class CeleryCommandException(click.ClickException):
        """Ends a command with a message and an exit code."""

        def __init__(self, message: str, exit_code: int) -> None: ...

# ------------------------------------------------------------------------------------------------------------ the roots


class CeleriacError(Exception):
    """Base of every error of Celeriac."""


class CeleryError(CeleriacError):
    """Base of the errors that derive from ``CeleryError`` in Celery."""


class CeleryWarning(UserWarning):
    """Base of every warning of Celeriac."""


CeleriacWarning = CeleryWarning

# ------------------------------------------------------------------------------------------------------------- warnings


class AlwaysEagerIgnored(CeleryWarning):
    """``send_task`` was called by name while ``task_always_eager`` is on: the message goes to the broker."""


class DuplicateNodenameWarning(CeleryWarning):
    """Two workers answered with one node name."""


class DuplicateTaskNameWarning(CeleryWarning):
    """Two different functions were registered under one task name."""


class FixupWarning(CeleryWarning):
    """An integration (such as Django's) could not be set up."""


class NotConfigured(CeleryWarning):
    """The configuration module that was asked for does not exist."""


class SecurityWarning(CeleryWarning):
    """Something about the set-up is insecure."""


class CPendingDeprecationWarning(PendingDeprecationWarning):
    """A pending deprecation that is shown whatever the filters of ``PendingDeprecationWarning`` say."""


class CDeprecationWarning(DeprecationWarning):
    """A deprecation that is shown whatever the filters of ``DeprecationWarning`` say."""


# -------------------------------------------------------------------------------------------------------- configuration


class ImproperlyConfigured(CeleryError):
    """The configuration cannot work as it is."""


class UnknownSetting(ImproperlyConfigured):
    """A setting that does not exist, or that stands where it has no effect."""


class InvalidSetting(ImproperlyConfigured):
    """A setting whose value has the wrong type or is out of range."""


class AppNotFound(ImproperlyConfigured):
    """The application that a command or a child was told to load cannot be found or imported."""


class UnsupportedOption(CeleriacError):
    """Something was asked of a pool, a broker or a codec that it cannot do."""


class SecurityError(CeleryError):
    """Received data asks for what only an attacker or a defect would ask for."""


# ------------------------------------------------------------------------------ raised by a task to say what comes next


class TaskPredicate(CeleryError):
    """Base of what a task raises to tell the worker how to go on; none of these is a failure."""


class Ignore(TaskPredicate):
    """Acknowledge the message and leave the task's state as it is."""


class Reject(TaskPredicate):
    """Reject the message.

    Args:
        reason: Why; anything that can be printed.
        requeue: Give the message back to its queue instead of dropping or dead-lettering it.
    """

    def __init__(self, reason: object = None, requeue: bool = False) -> None:
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue

    def __repr__(self) -> str:
        return f"reject requeue={self.requeue}: {self.reason}"


class Retry(TaskPredicate):
    """The task will run again.

    Args:
        message: Text for the log.
        exc: The exception that made the retry necessary, or its text.
        when: Seconds until the next attempt, or the moment of it.
        is_eager: The task ran inside the caller, which must run it again itself.
        sig: The signature to run again, of an eager task.
    """

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | str | None = None,
        when: float | datetime | None = None,
        is_eager: bool = False,
        sig: Any = None,
    ) -> None:
        super().__init__(message, exc, when)
        self.message = message
        self.exc: BaseException | None = None
        #: The exception as text, or None.
        self.excs: str | None = None
        if isinstance(exc, str):
            self.excs = exc
        elif exc is not None:
            self.exc, self.excs = exc, _printable(exc)
        self.when = when
        self.is_eager = is_eager
        self.sig = sig

    def humanize(self) -> str:
        """Return when the next attempt is due: ``in 3s`` or ``at 2030-01-01 00:00:00+00:00``."""
        if isinstance(self.when, (int, float)):
            return f"in {self.when}s"
        return f"at {self.when}"

    def __str__(self) -> str:
        if self.message:
            return str(self.message)
        due = f"Retry {self.humanize()}"
        return f"{due}: {self.excs}" if self.excs else due


RetryTaskError = Retry

# ---------------------------------------------------------------------------------------------------------- task errors


class TaskError(CeleryError):
    """Base of what goes wrong with a task or with its message."""


class QueueNotFound(KeyError, TaskError):
    """A route names a queue that ``task_queues`` does not have, while ``task_create_missing_queues`` is off."""


class IncompleteStream(TaskError):
    """A walk over the results of a workflow reached one that is not ready."""


class NotRegistered(KeyError, TaskError):
    """No task has this name here. The only argument is the name."""

    def __str__(self) -> str:
        name = self.args[0] if self.args else None
        return f"Task {name!r} is not registered: import the module that defines it, or name it in `include`."


class AlreadyRegistered(TaskError):
    """A task of this name exists already."""


class TimeoutError(TaskError):  # noqa: A001 - the name is Celery's
    """Waiting for a result took longer than the caller allowed. Not the built-in exception of this name."""


class MaxRetriesExceededError(TaskError):
    """The task failed and has no attempts left.

    Args:
        *args: The message.
        task_args: Positional arguments of the task.
        task_kwargs: Keyword arguments of the task.
    """

    def __init__(
        self, *args: object, task_args: Sequence[Any] = (), task_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(*args)
        self.task_args = task_args or []
        self.task_kwargs = task_kwargs or {}


class TaskRevokedError(TaskError):
    """The task was revoked, terminated, or expired before it ran."""


class InvalidTaskError(TaskError):
    """The message is not a task message, or lacks a part of one."""


class ChordError(TaskError):
    """A part of a chord failed, or the parts could not be joined."""


class MessageTooLarge(TaskError):
    """The message is larger than ``task_max_size`` and was not sent."""


class ResultTooLarge(TaskError):
    """The result is larger than ``result_max_size`` and was not stored."""


class LeaseLost(CeleriacError):
    """This worker no longer holds the message: its lease ended and the message may run elsewhere."""


# ------------------------------------------------------------------------------------------------ ends of an execution


class _NamedWithArguments(CeleriacError):
    """Prints its name as well: the text is often all that a log shows."""

    def __str__(self) -> str:
        return f"{type(self).__name__}{self.args!r}"


class SoftTimeLimitExceeded(_NamedWithArguments):
    """Raised inside a task that runs longer than its soft time limit."""


class TimeLimitExceeded(_NamedWithArguments):
    """The task ran longer than its hard time limit and was ended. The argument is the limit in seconds."""


class WorkerLostError(CeleriacError):
    """The process that ran the task died."""


class Terminated(CeleriacError):
    """The process that ran the task was terminated on request. The argument is the signal."""


class WorkerShutdown(SystemExit):
    """Ends the worker once running tasks are done."""


class WorkerTerminate(SystemExit):
    """Ends the worker now; unfinished tasks go back to the broker."""


SystemTerminate = WorkerTerminate

# ---------------------------------------------------------------------------------------------------- broker and stores


class OperationalError(CeleriacError):
    """The broker or the store could not be reached, or gave up half-way."""


class BrokerUnreachable(OperationalError):
    """No connection to the broker could be made within the time allowed."""


class BrokerRefused(BrokerUnreachable):
    """The broker answered and refuses us (a wrong password, say): trying again does not help."""


class MessageRefused(OperationalError):
    """The broker was reached and does not take this very message, now or later; it takes others."""


class NotReplicated(OperationalError):
    """A publication was stored, but fewer replicas confirmed it than ``wait_replicas`` asks for: it may be lost yet."""


class BufferFull(OperationalError):
    """The broker is away, and the buffer for messages (``publish_buffer_size``) has no room for this one."""


class BackendError(CeleriacError):
    """Base of what goes wrong when results are stored or read."""


class ChordsNotSupported(BackendError, NotImplementedError):
    """The result backend cannot count the members of a chord's header, so its body would never run.

    Args:
        backend: The URL of the result backend.
    """

    def __init__(self, backend: str = "") -> None:
        super().__init__(
            f"chords need a result backend that counts their members, which {backend or 'this one'} does not: set "
            "result_backend, for example to redis://localhost:6379/0, or use sqlite:// for both"
        )


class BackendGetMetaError(BackendError):
    """A result could not be read, after all attempts.

    Args:
        *args: The message.
        task_id: Whose result.
    """

    def __init__(self, *args: object, task_id: str = "") -> None:
        super().__init__(*args)
        self.task_id = task_id

    def __repr__(self) -> str:
        return f"{super().__repr__()} task_id:{self.task_id}"


class BackendStoreError(BackendError):
    """A result could not be stored, after all attempts.

    Args:
        *args: The message.
        state: The state that was to be stored.
        task_id: Whose result.
    """

    def __init__(self, *args: object, state: str = "", task_id: str = "") -> None:
        super().__init__(*args)
        self.state = state
        self.task_id = task_id

    def __repr__(self) -> str:
        return f"{super().__repr__()} state:{self.state} task_id:{self.task_id}"


class StoreError(CeleriacError):
    """A store refused or failed; the base of what is wrong with the store itself rather than with the way to it."""


class StoreFull(StoreError):
    """The store has no room left (disk, memory or a configured limit)."""


class StoreReadOnly(StoreError):
    """The store accepts no writes (a replica, a read-only file system, missing permissions)."""


# -------------------------------------------------------------------------------------------------------- serialization


class SerializationError(CeleriacError):
    """Base of what goes wrong between values and bytes."""


class EncodeError(SerializationError):
    """A value cannot be written by the serializer in use."""


class DecodeError(SerializationError):
    """Bytes are not what their content type says."""


class CorruptMessage(DecodeError):
    """A message or record is damaged: a part is missing or contradicts another."""


class SerializerNotInstalled(CeleriacError):
    """No serializer has this name, or the package that it needs is missing."""


class ContentDisallowed(SerializerNotInstalled):
    """The content type is known but ``accept_content`` does not allow it."""


class UnpickleableExceptionWrapper(CeleriacError):
    """Stands for an exception that cannot be pickled; readers try to rebuild the original from it.

    Args:
        exc_module: Module of the exception's class.
        exc_cls_name: Name of that class.
        exc_args: Arguments of the exception, those that cannot be pickled replaced by their text.
        text: The exception as text.
    """

    def __init__(self, exc_module: str, exc_cls_name: str, exc_args: Sequence[Any], text: str | None = None) -> None:
        super().__init__(exc_module, exc_cls_name, tuple(exc_args), text)
        self.exc_module = exc_module
        self.exc_cls_name = exc_cls_name
        self.exc_args = tuple(exc_args)
        self.text = text

    def __str__(self) -> str:
        return str(self.text)


def reraise(tp: type[BaseException], value: BaseException | None, tb: TracebackType | None = None) -> NoReturn:
    """Raise *value* (or a new *tp*) with *tb* as its traceback."""
    raise (tp() if value is None else value).with_traceback(tb)


def _command_exception() -> type[BaseException]:
    """Make the class that derives from click's: children never run commands and need not import click for it."""
    import click

    class CeleryCommandException(click.ClickException):
        """Ends a command with a message and an exit code."""

        def __init__(self, message: str, exit_code: int) -> None:
            super().__init__(message=message)
            self.exit_code = exit_code  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]

        def __reduce__(self) -> tuple[type[BaseException], tuple[str, int]]:
            return type(self), (self.message, self.exit_code)

    CeleryCommandException.__qualname__ = CeleryCommandException.__name__
    return CeleryCommandException


def __getattr__(name: str) -> type[BaseException]:
    if name != "CeleryCommandException":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals().setdefault(name, _command_exception())
    assert isinstance(made, type)
    return made


def _printable(exc: BaseException) -> str:
    """Return the repr of an exception whose own repr may be broken."""
    try:
        return repr(exc)
    except Exception as error:  # user code; whatever it raises, a retry must not fail for it
        return f"<{type(exc).__qualname__}: its repr raised {type(error).__qualname__}>"


# ----------------------------------------------------------------------------------------------------------- wire names

_CELERY: Final = "celery.exceptions"
_BILLIARD: Final = "billiard.exceptions"
_KOMBU: Final = "kombu.exceptions"

#: Where a Celery peer imports each class from. Classes that Celery does not have keep their own module.
_WIRE_MODULES: Final[dict[str, tuple[type[BaseException], ...]]] = {
    _CELERY: (
        CeleryError,
        CeleryWarning,
        AlwaysEagerIgnored,
        DuplicateNodenameWarning,
        DuplicateTaskNameWarning,
        FixupWarning,
        NotConfigured,
        SecurityWarning,
        CPendingDeprecationWarning,
        CDeprecationWarning,
        ImproperlyConfigured,
        SecurityError,
        TaskPredicate,
        Ignore,
        Reject,
        Retry,
        TaskError,
        QueueNotFound,
        IncompleteStream,
        NotRegistered,
        AlreadyRegistered,
        TimeoutError,
        MaxRetriesExceededError,
        TaskRevokedError,
        InvalidTaskError,
        ChordError,
        BackendError,
        BackendGetMetaError,
        BackendStoreError,
        WorkerShutdown,
        WorkerTerminate,
    ),
    _BILLIARD: (SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError, Terminated),
    _KOMBU: (
        OperationalError,
        SerializationError,
        EncodeError,
        DecodeError,
        SerializerNotInstalled,
        ContentDisallowed,
    ),
    "celery.utils.serialization": (UnpickleableExceptionWrapper,),
}
_WIRE_NAMES: Final = {cls: (module, cls.__qualname__) for module, classes in _WIRE_MODULES.items() for cls in classes}
_CLASSES: Final[dict[tuple[str, str], type[BaseException]]] = {
    **{name: cls for cls, name in _WIRE_NAMES.items()},
    # Names under which Celery exports what lives elsewhere, and aliases.
    **{(_CELERY, cls.__qualname__): cls for cls in (*_WIRE_MODULES[_BILLIARD], OperationalError)},
    (_CELERY, "RetryTaskError"): Retry,
    (_CELERY, "SystemTerminate"): WorkerTerminate,
}


def wire_name(cls: type) -> tuple[str, str]:
    """Return the module and the qualified name that results and pickles give for *cls*.

    Subclasses made by users, and every class that Celery does not have, are named as Python names them.
    """
    return _WIRE_NAMES.get(cls) or (cls.__module__, cls.__qualname__)


def class_for(module: str, qualname: str) -> type[BaseException] | None:
    """Return our class of this wire name, or None when the name is none of ours. The inverse of `wire_name`."""
    found = _CLASSES.get((module, qualname))
    if found is None and module == __name__:
        found = globals().get(qualname)
        if not (isinstance(found, type) and issubclass(found, BaseException)):
            return None
    return found
