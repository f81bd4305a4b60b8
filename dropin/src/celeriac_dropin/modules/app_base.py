"""``celery.app.base``: the application class with Celery's defaults, arguments and attributes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import Any, ClassVar, cast

from celeriac import current, signals
from celeriac.app.app import Celeriac
from celeriac.app.task import Task
from celeriac.exceptions import UnsupportedOption
from celeriac.ids import new_task_id, reply_queue
from celeriac.settings.defaults import Flavour
from celeriac.signals import Signal
from celeriac_dropin.absences import BEAT, BOOTSTEPS, EVENTS, SECURITY, absent_names, later, missing, refused
from celeriac_dropin.brokers import Brokers
from celeriac_dropin.modules.app_amqp import AMQP
from celeriac_dropin.modules.app_control import Control
from celeriac_dropin.modules.app_log import Logging
from celeriac_dropin.modules.app_utils import appstr, bugreport
from celeriac_dropin.modules.loaders import get_loader_cls
from celeriac_dropin.modules.loaders_base import BaseLoader
from celeriac_dropin.modules.utils_imports import symbol_by_name

__all__ = ["App", "Celery"]

AnyTask = Task[Any, Any]  # inside the class the name Task is its own

_PARTS = ("amqp_cls", "backend_cls", "control_cls", "events_cls", "log_cls", "registry_cls")
"""Attributes by which a subclass of Celery's application exchanges its parts."""

_ABSENT = {
    **dict.fromkeys(_PARTS, refused("the parts of the app are our own, and not exchanged by class")),
    "Beat": BEAT,
    "add_periodic_task": BEAT,
    "events": EVENTS,
    "setup_security": SECURITY,
    "steps": BOOTSTEPS,
    "user_options": later("options of your own for commands come with a later release"),
}
"""Attributes of Celery's application that are not here."""


class Celery(Brokers, Celeriac):
    """A task queue application with Celery's defaults.

    Args:
        main: its name: the prefix of tasks that are defined in ``__main__``.
        loader: ``app``, ``default`` or the import path or class of a loader; ``CELERY_LOADER`` wins.
        backend: the result backend's URL.
        amqp, events, log, control: must be None: these parts are our own.
        set_as_current: make this the current app.
        tasks: tasks to begin with, by name.
        broker: the broker's URL.
        include: modules with tasks, imported when a worker starts.
        changes: settings by name, as a mapping.
        config_source: an object, a mapping or an import path with settings.
        fixups: integrations, as import paths of functions that take the app.
        task_cls: the base class of tasks, or its import path.
        autofinalize: let the first use of ``tasks`` finalise the app.
        namespace: the prefix of setting names in ``config_source``.
        strict_typing: check arguments when tasks are sent.
        config_source_silent: a ``config_source`` that cannot be imported counts as empty.
        **kwargs: any setting by name.

    Raises:
        UnsupportedOption: an argument asks for what is not there.
    """

    flavour: ClassVar[Flavour] = "celery"
    builtin_fixups: ClassVar[Iterable[Any]] = ("celery.fixups.django:fixup",)
    """Integrations that look whether they are wanted, for every app."""
    loader_cls: Any = None

    def __init__(
        self,
        main: str | None = None,
        loader: Any = None,
        backend: Any = None,
        amqp: Any = None,
        events: Any = None,
        log: Any = None,
        control: Any = None,
        set_as_current: bool = True,
        tasks: Mapping[str, AnyTask] | None = None,
        broker: str | None = None,
        include: Sequence[str] | None = None,
        changes: Mapping[str, Any] | None = None,
        config_source: Any = None,
        fixups: Iterable[Any] | None = None,
        task_cls: Any = None,
        autofinalize: bool = True,
        namespace: str | None = None,
        strict_typing: bool = True,
        config_source_silent: bool = False,
        **kwargs: Any,
    ) -> None:
        for name, given in (("amqp", amqp), ("events", events), ("log", log), ("control", control)):
            if given is not None:
                raise UnsupportedOption(f"Celery({name}=...) is not supported: this part of the app is our own")
        if backend is not None and not isinstance(backend, str):
            raise UnsupportedOption(
                f"Celery(backend={backend!r}): result backends are chosen by URL, such as redis://localhost"
            )
        for name in _PARTS:
            if hasattr(type(self), name):
                raise UnsupportedOption(f"{type(self).__name__}.{name} is not supported: this part is our own")
        task_cls = task_cls or getattr(type(self), "task_cls", None)
        super().__init__(
            main,
            broker=broker,
            backend=backend,
            include=[include] if isinstance(include, str) else include,
            changes=dict(changes or {}),
            set_as_current=set_as_current,
            autofinalize=autofinalize,
            strict_typing=strict_typing,
            task_cls=None if task_cls is None else symbol_by_name(task_cls),
            **kwargs,
        )
        self._custom_task_cls = task_cls is not None
        self.loader_cls = get_loader_cls(os.environ.get("CELERY_LOADER") or loader or type(self).loader_cls or "app")
        self.loader = self.loader_cls(self)
        if config_source is not None:
            self.conf.config_from_object(config_source, silent=config_source_silent, namespace=namespace)
        self.fixups = [symbol_by_name(fixup)(self) for fixup in (self.builtin_fixups if fixups is None else fixups)]
        for task in (tasks or {}).values():
            self.register_task(task)
        self.on_init()

    def on_init(self) -> None:
        """Called at the end of the constructor, for subclasses."""

    @property
    def has_custom_task_cls(self) -> bool:
        """The program chose a base class of its own."""
        return self._custom_task_cls

    # -- tasks -------------------------------------------------------------------------------------------------------

    @cached_property
    def Task(self) -> type[AnyTask]:  # noqa: N802  # Celery's name
        """The base class of this app's tasks."""
        return self.create_task_cls()

    def create_task_cls(self) -> type[AnyTask]:
        """Make a base class of tasks that are bound to this app."""
        return cast(type[AnyTask], self.subclass_with_self(self.task_cls, name="Task"))

    def subclass_with_self(
        self,
        Class: Any,  # noqa: N803  # Celery's name
        name: str | None = None,
        attribute: str = "app",
        reverse: str | None = None,
        keep_reduce: bool = False,
        **kw: Any,
    ) -> type[Any]:
        """A subclass of a class (or of the one at an import path) that has this app as an attribute."""
        base = symbol_by_name(Class)
        attributes = {attribute: self, "__module__": base.__module__, "__doc__": base.__doc__, **kw}
        return type(name or base.__name__, (base,), attributes)

    def autodiscover_tasks(
        self,
        packages: Iterable[str] | Callable[[], Iterable[str]] | None = None,
        related_name: str | None = "tasks",
        force: bool = False,
    ) -> None:
        """As Celeriac's; without packages the fix-ups are asked for them: Django's installed apps."""
        super().autodiscover_tasks(self._packages if packages is None else packages, related_name, force)

    def _packages(self) -> list[str]:
        return [name for fixup in self.fixups if fixup is not None for name in fixup.autodiscover_tasks()]

    @property
    def annotations(self) -> list[Any]:
        """``task_annotations``, prepared."""
        from celeriac_dropin.modules.app_annotations import prepare

        return prepare(self.conf.task_annotations)

    @property
    def current_worker_task(self) -> AnyTask | None:
        """The task that a worker runs here, not one that was called as a function."""
        return current.current_worker_task()

    def type_checker(self, fun: Callable[..., Any], bound: bool = False) -> Callable[..., None]:
        """A function that checks arguments against a function's signature; raises TypeError."""
        import inspect

        signature = inspect.signature(fun)

        def check(*args: Any, **kwargs: Any) -> None:
            signature.bind(*((None, *args) if bound else args), **kwargs)

        return check

    # -- configuration -----------------------------------------------------------------------------------------------

    def config_from_cmdline(self, argv: Iterable[str], namespace: str = "celery") -> None:
        """Take settings from arguments such as ``worker.concurrency=4``, whose dots stand for underscores."""
        self.conf.update(cast(BaseLoader, self.loader).cmdline_config_parser(argv, namespace))

    def prepare_config(self, c: Any) -> Any:
        """For subclasses; the configuration as it is."""
        return c

    def either(self, default_key: str, *defaults: Any) -> Any:
        """The first of the values that is not None, else the setting."""
        for value in defaults:
            if value is not None:
                return value
        return self.conf[default_key]

    def select_queues(self, queues: str | Iterable[str] | None = None) -> None:
        """Consume these queues only."""
        if queues is not None:
            self.queues.select(queues)

    @property
    def timezone(self) -> tzinfo:
        """The time zone of schedules and of what is shown."""
        zone = self.settings.timezone
        return UTC if zone is None else zone

    def uses_utc_timezone(self) -> bool:
        """The time zone is UTC."""
        return self.timezone.utcoffset(None) == UTC.utcoffset(None) or str(self.timezone) == "UTC"

    def now(self) -> datetime:
        """The time now, aware, in the app's time zone."""
        return datetime.now(UTC).astimezone(self.timezone)

    # -- parts -------------------------------------------------------------------------------------------------------

    @cached_property
    def amqp(self) -> AMQP:
        """Queues, routes and kombu's classes."""
        return AMQP(self)

    @cached_property
    def control(self) -> Control:
        """What tells workers something."""
        return Control(self)

    @cached_property
    def log(self) -> Logging:
        """What sets up logging."""
        return Logging(self)

    @cached_property
    def on_after_fork(self) -> Signal:
        """Sent in each child of a worker, after it has started."""
        signal = Signal(name="app.on_after_fork")
        signals.worker_process_init.connect(lambda **_: signal.send(sender=self), weak=False)
        return signal

    @property
    def oid(self) -> str:
        """The id of this process, as a sender of messages."""
        return reply_queue()

    @cached_property
    def thread_oid(self) -> str:
        """An id of this app in this process."""
        return new_task_id()

    @property
    def Worker(self) -> Callable[..., Any]:  # noqa: N802  # Celery's name
        """A worker of this app: ``app.Worker(concurrency=4).start()``."""
        from celeriac_dropin.modules.apps_worker import Worker

        return cast(Callable[..., Any], self.subclass_with_self(Worker))

    WorkController = Worker

    def bugreport(self) -> str:
        """What to write into a report of a bug: versions and settings."""
        return bugreport(self)

    # -- programs ----------------------------------------------------------------------------------------------------

    def start(self, argv: Sequence[str] | None = None) -> int:  # type: ignore[override]  # Celery's returns
        """Run the command line, ``sys.argv`` when none is given; returns its exit code."""
        from celeriac_dropin.modules.main import run

        return run(sys.argv[1:] if argv is None else argv, self)

    def worker_main(self, argv: Sequence[str] | None = None) -> int:  # type: ignore[override]  # Celery's returns
        """Run the command line of a worker; ``argv`` (or ``sys.argv``) must contain ``worker``.

        Raises:
            ValueError: it does not.
        """
        arguments = list(sys.argv[1:] if argv is None else argv)
        if "worker" not in arguments:
            raise ValueError(f"worker_main() needs 'worker' among its arguments, not {arguments}")
        return self.start(arguments)

    def __getattr__(self, name: str) -> Any:
        absence = _ABSENT.get(name)
        if absence is not None:
            missing(f"app.{name}", absence)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {appstr(self)}>"


App = Celery

__getattr__ = absent_names(
    "celery.app.base",
    {
        "PendingConfiguration": refused("app.conf is lazy by itself, and one object from the beginning"),
        "pydantic_wrapper": later("@app.task(pydantic=True) comes with a later release"),
    },
)
