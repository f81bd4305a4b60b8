"""What Celery has and this release has not: how that is said, and what to do instead.

Nothing exists here that does nothing: a name that is not there raises. It does so in the way of the place where it is
missing, so that programs that try (``except ImportError``, ``hasattr``) find out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, NoReturn

__all__ = [
    "MEMBERS",
    "Absence",
    "AbsentMember",
    "NameNotProvided",
    "NotProvided",
    "absence_of",
    "absent_names",
    "is_module",
    "later",
    "missing",
    "refused",
    "stand_in",
]

LATER: Final = "later"
REFUSED: Final = "refused"


class Absence(NamedTuple):
    """Why something is not here.

    Attributes:
        state: ``later`` (a later release has it) or ``refused`` (no release will).
        reason: why, and what to do instead; a sentence.
    """

    state: str
    reason: str

    def sentence(self, name: str) -> str:
        """What an error says of ``name``."""
        when = "is not in this release" if self.state == LATER else "is not provided"
        return f"{name} {when}: {self.reason}"


def later(reason: str) -> Absence:
    """A later release has it."""
    return Absence(LATER, reason)


def refused(reason: str) -> Absence:
    """No release will have it."""
    return Absence(REFUSED, reason)


class NotProvided(AttributeError):
    """An attribute of Celery that an object here has not, with what to do instead."""

    def __init__(self, name: str, absence: Absence) -> None:
        super().__init__(absence.sentence(name), name=name.rpartition(".")[2])
        self.absence = absence


class AbsentMember:
    """Says in the place of a member why it is not here."""

    def __init__(self, absence: Absence) -> None:
        self.absence = absence
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"{owner.__name__}.{name}"

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise NotProvided(self._name, self.absence)


class _Absent(type):
    """The class of stand-ins."""

    absence: Absence

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotProvided(f"{cls.__module__}.{cls.__qualname__}", cls.absence)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"type object {cls.__qualname__!r} has no attribute {name!r}")
        raise NotProvided(f"{cls.__module__}.{cls.__qualname__}.{name}", cls.absence)


def stand_in(module: str, name: str, absence: Absence, methods: tuple[str, ...] = ()) -> Any:
    """A class that can be imported, derived from and asked for with ``isinstance``, and that says when it is used that
    it is not here. For classes that integrations import and do not need.

    Args:
        module: Celery's name of the module.
        name: of the class.
        absence: why it is not here.
        methods: those that integrations wrap; calling one says the same.
    """

    def say(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotProvided(f"{module}.{name}", absence)

    attributes = {"__module__": module, "absence": absence, "__doc__": absence.sentence(name)}
    return _Absent(name, (), {**attributes, **dict.fromkeys(methods, say)})


class NameNotProvided(ImportError):
    """A name of Celery that a module here has not, with what to do instead."""

    def __init__(self, name: str, absence: Absence) -> None:
        super().__init__(absence.sentence(name), name=name)
        self.absence = absence


BEAT: Final = later(
    "periodic tasks come with a later release; until then Celery's own beat can send to our workers "
    "(CELERIAC_DROPIN=0 celery beat)"
)
EVENTS: Final = later("events come with a later release; signals and logs tell what a worker does until then")
CONTROL: Final = later(
    "remote control of running workers comes with a later release; revoking works, and the commands of celeriac "
    "(queues, dead, result, doctor) show what the broker holds"
)
BOOTSTEPS: Final = refused(
    "our worker is not built of bootsteps; connect to the signals worker_init, worker_ready, worker_process_init and "
    "worker_shutdown, or run your own consumer in a process of its own with app.connection_for_read()"
)
WORKER_PARTS: Final = refused("our worker has other parts inside; connect to the signals of celery.signals")
GREEN: Final = later("the pools gevent and eventlet come with a later release; -P threads or -P asyncio run many tasks")
SECURITY: Final = later("signed messages come with a later release; keep the broker behind TLS and passwords")
BACKENDS: Final = later(
    "result backends of other packages come with a later release; the stores of Celeriac keep results, chosen by the "
    "URL of result_backend: redis://, sqlite://, memory:// or rpc://"
)
MULTI: Final = later("celery multi comes with a later release; let systemd or your container platform start workers")
MESSAGES: Final = refused("the engine builds and sends messages in one step; use app.send_task() or task.apply_async()")
MOVING: Final = later(
    "moving messages between brokers comes with a later release; Celery's own does it on the same queues "
    "(CELERIAC_DROPIN=0 celery migrate)"
)
COMMANDS: Final = later("this command comes with a later release")
PRIVATE: Final = refused("it is a part of Celery's own machinery, which is not ours")

_MODULES: Final[Mapping[str, Absence]] = {
    "celery.app.backends": BACKENDS,
    "celery.app.builtins": refused("app.finalize() adds the built-in tasks"),
    "celery.app.events": EVENTS,
    "celery.apps.beat": BEAT,
    "celery.apps.multi": MULTI,
    "celery.backends": BACKENDS,
    "celery.bin.beat": BEAT,
    "celery.bin.events": EVENTS,
    "celery.bin.multi": MULTI,
    "celery.bin": COMMANDS,
    "celery.bootsteps": BOOTSTEPS,
    "celery.concurrency.eventlet": GREEN,
    "celery.concurrency.gevent": GREEN,
    "celery.concurrency": refused("pools are chosen by name: -P prefork, threads, asyncio or solo"),
    "celery.contrib": PRIVATE,
    "celery.contrib.migrate": MOVING,
    "celery.events": EVENTS,
    "celery.security": SECURITY,
    "celery.worker.control": CONTROL,
    "celery.worker": WORKER_PARTS,
}
"""By the name of a module, or of the package that it is in."""


_BOUND: Final = refused("a task belongs to its app from its making on; attributes that are None come from the settings")
_WORKFLOW: Final = refused("workflows are stored and sent in another way")
_LOOKED_UP: Final = refused("app.conf finds a setting by its name, and origin() tells who has set it")
REQUEST: Final = refused(
    "a delivery's way through the worker is the engine's; the hooks of the task (before_start, on_failure, ...) and "
    "the signals task_received, task_revoked and task_unknown tell of it"
)

MEMBERS: Final[Mapping[tuple[str, str], Mapping[str, Absence]]] = {
    ("celeriac.app.task", "Task"): {
        "Request": REQUEST,
        "Strategy": REQUEST,
        "add_around": _BOUND,
        "annotate": _BOUND,
        "bind": _BOUND,
        "from_config": _BOUND,
        "on_replace": refused("replace() is one step with the end of the call; override replace() itself"),
        "request_stack": refused("the running calls are a context variable; self.request is the innermost one"),
        "send_event": EVENTS,
        "start_strategy": REQUEST,
    },
    ("celeriac.app.registry", "TaskRegistry"): {
        "filter_types": refused("tasks have no types; regular() gives those that users wrote"),
        "periodic": refused("tasks have no types; what beat sends are ordinary tasks"),
    },
    ("celeriac.canvas", "Signature"): {"election": CONTROL},
    ("celeriac.canvas", "Chain"): {"prepare_steps": _WORKFLOW},
    ("celeriac.result", "AsyncResult"): {
        "revoke_by_stamped_headers": CONTROL,
        "throw": refused("a result is no promise of one's own: its task alone ends it"),
    },
    ("celeriac.settings.configuration", "Configuration"): {
        "find_option": _LOOKED_UP,
        "find_value_for_key": _LOOKED_UP,
        "maybe_warn_deprecated_settings": refused("old names are warned of when they are read"),
    },
}
"""Of classes that are Celeriac's own, by module and class: members of Celery's that they have not."""


def absence_of(module: str) -> Absence:
    """Why a module of Celery is not here."""
    name = module
    while name:
        if name in _MODULES:
            return _MODULES[name]
        name = name.rpartition(".")[0]
    return PRIVATE


def is_module(name: str) -> bool:
    """There is such a module of Celery: it is here, or its absence is known."""
    from celeriac_dropin.table import TABLE

    return name in TABLE or name in _MODULES


def missing(name: str, absence: Absence) -> NoReturn:
    """Raise what an attribute of an object raises that is not here."""
    raise NotProvided(name, absence)


def absent_names(module: str, names: Mapping[str, Absence]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that says of some names why they are not here.

    ``from module import name`` shows only errors that are no AttributeError, so these are ImportErrors.

    Args:
        module: Celery's name for it.
        names: what is missing, and why.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807  # it is one
        if name in names:
            raise NameNotProvided(f"{module}.{name}", names[name])
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return __getattr__
