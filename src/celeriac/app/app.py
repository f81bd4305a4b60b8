"""The application: configuration, tasks, and the stores that they are sent through."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Literal, ParamSpec, TypeVar, cast, overload

from celeriac import current, serialization
from celeriac.app.loading import Loader
from celeriac.app.making import adopt_task, annotate, make_task, task_name
from celeriac.app.publishing import apublish, batch_buffer, publish
from celeriac.app.registry import TaskRegistry
from celeriac.app.task import Call, CoroutineTask, Task
from celeriac.canvas.signature import Signature
from celeriac.result import AsyncResult
from celeriac.signals import Signal
from celeriac.stores.store import Outgoing, Revocation
from celeriac.telemetry import Telemetry

if TYPE_CHECKING:
    from celeriac.app.buffer import Buffer
    from celeriac.app.connections import Connections
    from celeriac.app.sending import Sender
    from celeriac.result import GroupResult as ResultsOfGroup
    from celeriac.result import ResultBase
    from celeriac.result import ResultSet as SeveralResults
    from celeriac.routing import Queues, Router
    from celeriac.settings.defaults import Flavour
    from celeriac.settings.snapshot import Settings
    from celeriac.stores.store import Store, SyncStore

__all__ = ["Celeriac"]

P = ParamSpec("P")
R = TypeVar("R")

# Inside the class the names Task and AsyncResult are its own.
AnyTask = Task[Any, Any]
AnyResult = AsyncResult[Any]
TypedTask = Task


class Celeriac:
    """A task queue application.

    Args:
        main: its name: the prefix of tasks that are defined in ``__main__``, and the name of its embedded file.
        broker: the broker's URL; the embedded broker when neither this nor the configuration names one.
        backend: the result backend's URL; the broker's own store when neither this nor the configuration names one.
        include: modules with tasks, imported when a worker starts.
        changes: settings by name, as a mapping.
        config_source: an object, a mapping or an import path with settings, as ``config_from_object``.
        namespace: the prefix of setting names in ``config_source``.
        set_as_current: make this the current app.
        autofinalize: let the first use of ``tasks`` finalise the app; else ``finalize()`` must be called.
        strict_typing: check arguments when tasks are sent.
        task_cls: the base class of tasks.
        **settings: any setting by name.
    """

    flavour: ClassVar[Flavour] = "celeriac"

    def __init__(
        self,
        main: str | None = None,
        *,
        broker: str | None = None,
        backend: str | None = None,
        include: Sequence[str] | None = None,
        changes: dict[str, Any] | None = None,
        config_source: Any = None,
        namespace: str | None = None,
        set_as_current: bool = True,
        autofinalize: bool = True,
        strict_typing: bool = True,
        task_cls: type[AnyTask] | None = None,
        **settings: Any,
    ) -> None:
        from celeriac.settings.configuration import Configuration  # here, as below: who only imports needs none of it

        self.main = main
        self.autofinalize = autofinalize
        self.strict_typing = strict_typing
        self.finalized = False
        self._lock = threading.RLock()
        self._buffer: Buffer | None = None
        self._tasks = TaskRegistry()
        self.task_cls = task_cls or Task
        self._routing: tuple[Settings | None, Queues | None, Router | None] = (None, None, None)
        self.on_configure = Signal(name="app.on_configure")
        self.on_after_configure = Signal(name="app.on_after_configure")
        self.on_after_finalize = Signal(name="app.on_after_finalize")
        given = {"broker_url": broker, "result_backend": backend, "include": include}
        values = {**(changes or {}), **settings, **{name: value for name, value in given.items() if value is not None}}
        self.conf = Configuration(self.flavour, values)
        self.conf.on_load(self._configured)
        if config_source is not None:
            self.conf.config_from_object(config_source, namespace=namespace)
        self.telemetry = Telemetry()
        self.loader = Loader(self)
        current.active_apps.add(self)
        if set_as_current:
            self.set_current()

    @cached_property
    def sender(self) -> Sender:
        """What builds and sends messages."""
        from celeriac.app.sending import Sender

        return Sender(self)

    @cached_property
    def connections(self) -> Connections:
        """The stores."""
        from celeriac.app.connections import Connections

        return Connections(self)

    @property
    def buffer(self) -> Buffer | None:
        """What keeps messages while the broker is away; None where nothing does: ``publish_buffer_size`` is 0, or a
        worker runs a task here, whose end must not be recorded before its messages are safe."""
        if not self.settings.publish_buffer_size or current.current_worker_task() is not None:
            return None
        return self._buffer or self._make_buffer()

    def _make_buffer(self) -> Buffer:
        from celeriac.app.buffer import Buffer

        with self._lock:
            if self._buffer is None:
                self._buffer = Buffer(self)
            return self._buffer

    # -- configuration -----------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings now, as a frozen value."""
        return self.conf.snapshot()

    def _configured(self, stage: str) -> None:
        signal = self.on_configure if stage == "before" else self.on_after_configure
        signal.send(sender=self, source=self.conf)

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Take settings from an object, a mapping or an import path; read at first use unless ``force``."""
        self.conf.config_from_object(obj, silent=silent, force=force, namespace=namespace)

    def config_from_envvar(self, variable_name: str, silent: bool = False, force: bool = False) -> None:
        """As ``config_from_object``, with the import path in an environment variable."""
        self.conf.config_from_envvar(variable_name, silent=silent, force=force)

    def add_defaults(self, defaults: Any) -> None:
        """Add settings (a mapping, or a function that returns one) below everything that is set explicitly."""
        self.conf.add_defaults(defaults)

    def set_current(self) -> None:
        """Make this the current app."""
        current.set_current_app(self)

    def set_default(self) -> None:
        """Make this the process's default app."""
        current.set_default_app(self)

    @property
    def queues(self) -> Queues:
        """The declared queues."""
        return self._routed()[0]

    @property
    def router(self) -> Router:
        """Where calls go."""
        return self._routed()[1]

    def _routed(self) -> tuple[Queues, Router]:
        settings = self.settings
        known, queues, router = self._routing
        if known is not settings or queues is None or router is None:
            from celeriac.routing import Queues, Router

            queues = Queues(settings)
            router = Router(settings, queues)
            self._routing = (settings, queues, router)
        return queues, router

    def accepted_results(self) -> frozenset[str]:
        """The content types that results may have."""
        settings = self.settings
        names = settings.result_accept_content or settings.accept_content
        return serialization.accepted((*names, settings.result_serializer))

    # -- tasks -------------------------------------------------------------------------------------------------------

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> CoroutineTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> TypedTask[P, R]: ...
    @overload
    def task(self, /, *, bind: Literal[True], **options: Any) -> BoundTaskMaker: ...
    @overload
    def task(self, /, *, bind: Literal[False] = False, **options: Any) -> TaskMaker: ...
    def task(self, function: Any = None, /, **options: Any) -> Any:
        """Make a function a task; with options, return the decorator that does.

        The options are listed in docs/reference/tasks.md; any other keyword becomes an attribute of the task.
        """
        if function is not None:
            return self._task_from(function, options)
        return lambda later: self._task_from(later, options)

    def _task_from(self, function: Any, options: dict[str, Any]) -> Any:
        if not callable(function):
            raise TypeError(f"@app.task needs a function, not {function!r}; options are given by keyword")
        options = dict(options)
        options.pop("lazy", None)
        shared, filter_ = options.pop("shared", True), options.pop("filter", None)
        if shared:
            current.shared_constructors.append(lambda app: app.add_shared(self, function, options))
        task = self.add_task(function, options)
        return filter_(task) if filter_ is not None else task

    def add_task(self, function: Callable[..., Any], options: dict[str, Any]) -> AnyTask:
        """Make a function a task of this app alone; options as of :meth:`task`."""
        with self._lock:
            task = make_task(self, function, dict(options))
            self._tasks[task.name] = task
            self._forget_defaults()
            return task

    def _forget_defaults(self) -> None:
        if "sender" in self.__dict__:
            self.sender.forget_defaults()

    def add_shared(self, owner: Celeriac, function: Callable[..., Any], options: dict[str, Any]) -> None:
        """Make a function of another app a task of this one too, unless its name is taken."""
        name = options.get("name") or task_name(self, function)
        if owner is not self and name not in self._tasks:
            self.add_task(function, options)

    def register_task(self, task: Any, **options: Any) -> AnyTask:
        """Register a class-based task (an instance or a class)."""
        instance: AnyTask = task(**options) if isinstance(task, type) else task
        with self._lock:
            adopt_task(self, instance)
            self._tasks[instance.name] = instance
            self._forget_defaults()
        return instance

    def gen_task_name(self, name: str, module: str) -> str:
        """The name of a task that names none: ``module.function``, with ``__main__`` as the app's name."""
        return f"{self.main if module in ('__main__', '__mp_main__') and self.main else module}.{name}"

    @property
    def Task(self) -> type[AnyTask]:  # noqa: N802  # Celery's name
        """The base class of this app's tasks."""
        made: Any = type("Task", (self.task_cls,), {"app": self, "__module__": __name__})
        return cast(type[AnyTask], made)

    @property
    def tasks(self) -> TaskRegistry:
        """All tasks by name; finalises the app."""
        if not self.finalized:
            self.finalize(auto=True)
        return self._tasks

    @property
    def known_tasks(self) -> TaskRegistry:
        """The tasks that are defined so far, by name; does not finalise the app."""
        return self._tasks

    def task_named(self, name: str) -> AnyTask:
        """The task of that name.

        Raises:
            NotRegistered: there is none.
        """
        return self.tasks[name]

    def finalize(self, auto: bool = False) -> None:
        """Add the shared tasks; nothing is added by itself afterwards.

        Raises:
            RuntimeError: ``auto`` and the app was made with ``autofinalize=False``.
        """
        with self._lock:
            if self.finalized:
                return
            if auto and not self.autofinalize:
                raise RuntimeError(
                    "the app must be finalised explicitly: call app.finalize() (autofinalize=False was given)"
                )
            self.finalized = True
            from celeriac.app.builtins import add_builtins

            for construct in tuple(current.shared_constructors):
                construct(self)
            add_builtins(self)
            for task in self._tasks.values():
                annotate(self, task)
        self.on_after_finalize.send(sender=self)

    def autodiscover_tasks(
        self,
        packages: Iterable[str] | Callable[[], Iterable[str]] | None = None,
        related_name: str | None = "tasks",
        force: bool = False,
    ) -> None:
        """Import ``<package>.<related_name>`` of each package when tasks are loaded, or now with ``force``."""
        self.loader.autodiscover(packages, related_name, force)

    # -- sending -----------------------------------------------------------------------------------------------------

    def send_task(
        self,
        name: str,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        task_id: str | None = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> AnyResult:
        """Send a call by the task's name; the function need not be known here. Options as ``Task.apply_async``."""
        return self.sender.send(Call(self._known(name), name, args, kwargs, task_id, link, link_error, shadow, options))

    async def asend_task(
        self,
        name: str,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        task_id: str | None = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> AnyResult:
        """As :meth:`send_task`, without blocking the event loop."""
        return await self.sender.asend(
            Call(self._known(name), name, args, kwargs, task_id, link, link_error, shadow, options)
        )

    def _known(self, name: str) -> AnyTask | None:
        if self.settings.task_always_eager:
            from celeriac.app.eager import warn_ignored

            warn_ignored(name)
        return self._tasks.get(name)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Send everything that is called in this block in one round trip at its end; nothing if it raises."""
        buffer: list[Outgoing] = []
        token = batch_buffer.set(buffer)
        try:
            yield
        finally:
            batch_buffer.reset(token)
        if buffer:
            publish(self, buffer, {})

    @asynccontextmanager
    async def abatch(self) -> AsyncIterator[None]:
        """As :meth:`batch`, without blocking the event loop."""
        buffer: list[Outgoing] = []
        token = batch_buffer.set(buffer)
        try:
            yield
        finally:
            batch_buffer.reset(token)
        if buffer:
            await apublish(self, buffer, {})

    @property
    def buffered(self) -> int:
        """Messages that wait in this process's memory because the broker is away, see ``publish_buffer_size``."""
        return 0 if self._buffer is None else len(self._buffer)

    def flush(self, timeout: float | None = None) -> int:
        """Wait until everything that is kept while the broker is away (``publish_buffer_size``) is sent.

        Args:
            timeout: seconds; ``publish_timeout`` when None.

        Returns:
            How many messages are still kept: 0 when all are sent.
        """
        seconds = self.settings.publish_timeout if timeout is None else timeout
        return 0 if self._buffer is None else self._buffer.flush(seconds)

    async def aflush(self, timeout: float | None = None) -> int:
        """As :meth:`flush`, without blocking the event loop."""
        seconds = self.settings.publish_timeout if timeout is None else timeout
        return 0 if self._buffer is None else await self._buffer.aflush(seconds)

    def signature(self, *args: Any, **kwargs: Any) -> Signature:
        """A signature that is sent by this app."""
        kwargs["app"] = self
        return Signature(*args, **kwargs)

    # -- results and control -----------------------------------------------------------------------------------------

    def AsyncResult(self, id: str, **options: Any) -> AnyResult:  # noqa: A002, N802  # Celery's names
        """A handle for the result of a task."""
        return AsyncResult(id, app=self, **options)

    def ResultSet(self, results: Iterable[ResultBase]) -> SeveralResults[Any]:  # noqa: N802  # Celery's name
        """The results of several tasks at once."""
        from celeriac.result import ResultSet

        return ResultSet(results, app=self)

    def GroupResult(  # noqa: N802  # Celery's name
        self,
        id: str | None = None,  # noqa: A002 - the name is Celery's
        results: Iterable[ResultBase] | None = None,
        parent: ResultBase | None = None,
    ) -> ResultsOfGroup[Any]:
        """The results of a group's members."""
        from celeriac.result import GroupResult

        return GroupResult(id, results, parent, app=self)

    def result_of(self, task_id: str, name: str, ignored: bool) -> AnyResult:
        """The handle that sending returns."""
        return AsyncResult(task_id, None, name, self, None, ignored)

    def revoke(self, task_id: str | Sequence[str], terminate: bool = False, signal: str = "SIGTERM") -> None:
        """Tell all workers, those of the future too, never to run these tasks; see ``AsyncResult.revoke``."""
        self.store.revoke(_revocations(task_id, terminate, signal), self.settings.task_revoke_expires)

    async def arevoke(self, task_id: str | Sequence[str], terminate: bool = False, signal: str = "SIGTERM") -> None:
        """As :meth:`revoke`, without blocking the event loop."""
        revocations, lifetime = _revocations(task_id, terminate, signal), self.settings.task_revoke_expires
        await self.connections.call(lambda store: store.revoke(revocations, lifetime))

    # -- stores ------------------------------------------------------------------------------------------------------

    @property
    def store(self) -> SyncStore:
        """The broker and result backend, synchronous."""
        return self.connections.sync()

    @property
    def backend(self) -> SyncStore:
        """What reads and writes results."""
        return self.connections.sync()

    async def async_store(self) -> Store:
        """The broker and result backend of the running event loop."""
        return await self.connections.of_running_loop()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self.connections.close_running_loop()

    def close(self) -> None:
        """Close the synchronous connections, and stop being the current app.

        What is kept while the broker is away is sent first, if that is possible within ``publish_timeout``.
        """
        if self._buffer is not None:
            self._buffer.close()
        self.connections.close()
        current.forget_app(self)

    def __enter__(self) -> Celeriac:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Celeriac:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    # -- programs ----------------------------------------------------------------------------------------------------

    @property
    def current_task(self) -> AnyTask | None:
        """The task that runs here."""
        return current.current_task()

    def start(self, argv: Sequence[str] | None = None) -> None:
        """Run the command line, ``sys.argv`` when none is given."""
        from importlib import import_module

        import_module("celeriac.cli.main").main_for(self, argv)

    def worker_main(self, argv: Sequence[str] | None = None) -> None:
        """Run the command line of a worker; ``argv`` must contain ``worker``.

        Raises:
            ValueError: it does not.
        """
        if argv is not None and "worker" not in argv:
            raise ValueError(f"worker_main() needs 'worker' among its arguments, not {list(argv)}")
        self.start(argv if argv is not None else ["worker"])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.main or '__main__'} at {id(self):#x}>"


class TaskMaker:
    """The type of ``@app.task(...)``: a decorator for functions."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> CoroutineTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> TypedTask[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        """Make the function a task."""
        raise NotImplementedError("a type only")


class BoundTaskMaker:
    """The type of ``@app.task(bind=True, ...)``: a decorator for functions that take the task first."""

    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> CoroutineTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> TypedTask[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        """Make the function a task."""
        raise NotImplementedError("a type only")


def _revocations(task_id: str | Sequence[str], terminate: bool, signal: str) -> list[Revocation]:
    ids = [task_id] if isinstance(task_id, str) else task_id
    return [Revocation(str(one), terminate, signal) for one in ids]


current.set_fallback(lambda: Celeriac("default", set_as_current=False))
