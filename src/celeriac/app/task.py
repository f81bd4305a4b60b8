"""Task: a function that can be sent. Everything an option leaves open is read from the settings when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, ParamSpec, TypeVar, overload

from celeriac import current
from celeriac.app.arguments import ArgumentChecker
from celeriac.app.context import Context
from celeriac.app.retrying import retry
from celeriac.canvas.signature import Signature
from celeriac.exceptions import MaxRetriesExceededError, OperationalError, Retry
from celeriac.result import AsyncResult, EagerResult

if TYPE_CHECKING:
    from datetime import datetime

    from celeriac.app.app import Celeriac
    from celeriac.result import ResultBase

__all__ = ["Call", "CoroutineTask", "Task"]

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")


class Call(NamedTuple):
    """One call on its way: what ``apply_async`` was given. ``task`` is None where only its name is known."""

    task: Task[Any, Any] | None
    name: str
    args: Any
    kwargs: Any
    task_id: str | None
    link: Any
    link_error: Any
    shadow: str | None
    options: dict[str, Any]


NO_REQUEST = Context()
"""What ``task.request`` is outside of a request."""


class Configured(Generic[V]):
    """An option that falls back to a setting as long as neither the class nor the instance gives it."""

    def __init__(self, setting: str) -> None:
        self.setting = setting

    @overload
    def __get__(self, instance: None, owner: type) -> Configured[V]: ...
    @overload
    def __get__(self, instance: Task[Any, Any], owner: type) -> V: ...
    def __get__(self, instance: Task[Any, Any] | None, owner: type) -> Any:
        if instance is None:
            return self
        return getattr(instance.app.settings, self.setting)


class Task(Generic[P, R]):
    """A registered function; ``delay`` and ``apply_async`` send it, calling it runs it here.

    Subclass it for behaviour that several tasks share, and pass it as ``base=``. Class attributes are defaults of
    the options; those set to None, or not at all, come from the settings.
    """

    app: Celeriac
    name: str = ""
    abstract: ClassVar[bool] = True

    typing: bool = True
    max_retries: int | None = 3
    default_retry_delay: float = 180
    trail: bool = True
    send_events: bool = True
    throws: Sequence[type[BaseException]] = ()
    expires: Any = None
    resultrepr_maxsize: int = 1024
    shadow: str | None = None

    autoretry_for: Sequence[type[BaseException]] = ()
    dont_autoretry_for: Sequence[type[BaseException]] = ()
    retry_kwargs: dict[str, Any] = {}  # noqa: RUF012  # a default that subclasses replace
    retry_backoff: bool | int = False
    retry_backoff_max: float = 600
    retry_jitter: bool = True

    queue: Any = None
    exchange: Any = None
    routing_key: str | None = None
    delivery_mode: int | str | None = None
    compression: Any = Configured[str | None]("task_compression")

    serializer: Any = Configured[str]("task_serializer")
    priority: Any = Configured[int | None]("task_default_priority")
    rate_limit: Any = Configured[str | float | None]("task_default_rate_limit")
    time_limit: Any = Configured[float | None]("task_time_limit")
    soft_time_limit: Any = Configured[float | None]("task_soft_time_limit")
    ignore_result: Any = Configured[bool]("task_ignore_result")
    store_errors_even_if_ignored: Any = Configured[bool]("task_store_errors_even_if_ignored")
    store_eager_result: Any = Configured[bool]("task_store_eager_result")
    track_started: Any = Configured[bool]("task_track_started")
    acks_late: Any = Configured[bool]("task_acks_late")
    reject_on_worker_lost: Any = Configured[bool | None]("task_reject_on_worker_lost")
    acks_on_failure_or_timeout: Any = Configured[bool]("task_acks_on_failure_or_timeout")
    acks_on_failure: Any = Configured[bool | None]("task_acks_on_failure")
    acks_on_timeout: Any = Configured[bool | None]("task_acks_on_timeout")

    MaxRetriesExceededError = MaxRetriesExceededError
    OperationalError = OperationalError

    is_coroutine: bool = False
    _checker: ArgumentChecker | None = None

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The body; a class-based task defines it."""
        raise NotImplementedError(f"the task {self.name!r} defines no run()")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the body here, with a request of its own; no retries, no result."""
        token = current.push_request(self, Context(args=args, kwargs=kwargs))
        try:
            return self.run(*args, **kwargs)  # type: ignore[no-any-return]  # what the body returns
        finally:
            current.pop_request(token)

    @property
    def request(self) -> Context:
        """The call that runs now; an empty one outside of a call."""
        return current.context_of(self) or NO_REQUEST

    def push_request(self, *args: Any, **kwargs: Any) -> None:
        """Enter a request made of these values."""
        current.push_request(self, Context(*args, **kwargs))

    def pop_request(self) -> Context | None:
        """Leave the innermost request."""
        return current.drop_request()

    # -- sending -----------------------------------------------------------------------------------------------------

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send it with these arguments.

        Raises:
            TypeError: the arguments do not match the function's signature.
            OperationalError: the broker cannot be reached within ``publish_timeout``.
        """
        return self.apply_async(args, kwargs)

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send it with these arguments, without blocking the event loop."""
        return await self.aapply_async(args, kwargs)

    def apply_async(
        self,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Send it.

        Args:
            args, kwargs: the arguments.
            task_id: an id of your own.
            producer: accepted as Celery does, and must be None: the app owns its connections.
            link, link_error: signatures (one or a list) sent after success or failure.
            shadow: a name to show instead of the task's.
            **options: countdown (seconds), eta, expires (seconds or datetime), retry, retry_policy, time_limit,
                soft_time_limit, queue, exchange, routing_key, priority, serializer, compression, headers,
                ignore_result, add_to_parent, and the others that docs/reference/calling.md lists.

        Raises:
            TypeError: the arguments do not match the function's signature, or an option is unknown.
            ValueError: ``soft_time_limit`` is above ``time_limit``.
            OperationalError: the broker cannot be reached within ``publish_timeout``.
        """
        self._check_call(args, kwargs, producer)
        app = self.app
        if app.settings.task_always_eager:
            from celeriac.app.eager import send_eagerly

            return send_eagerly(self, args, kwargs, task_id, link, link_error, options)
        if shadow is None:
            shadow = self.shadow_name(args, kwargs, options)
        return app.sender.send(Call(self, self.name, args, kwargs, task_id, link, link_error, shadow, options))

    async def aapply_async(
        self,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """As :meth:`apply_async`, without blocking the event loop."""
        self._check_call(args, kwargs, producer)
        app = self.app
        if app.settings.task_always_eager:
            from celeriac.app.eager import asend_eagerly

            return await asend_eagerly(self, args, kwargs, task_id, link, link_error, options)
        if shadow is None:
            shadow = self.shadow_name(args, kwargs, options)
        return await app.sender.asend(Call(self, self.name, args, kwargs, task_id, link, link_error, shadow, options))

    def _check_call(self, args: Any, kwargs: dict[str, Any] | None, producer: Any) -> None:
        if producer is not None:
            raise TypeError("producer= is not supported: the app owns its connections; leave it out")
        if self.typing and self.app.strict_typing:
            if self._checker is None:
                self._checker = ArgumentChecker(self.run, self.name)
            self._checker.check(args or (), kwargs or {})

    def shadow_name(self, args: Any, kwargs: Any, options: dict[str, Any]) -> str | None:
        """Another name for logs and monitors; override it."""
        return self.shadow

    def apply(
        self,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        link: Any = None,
        link_error: Any = None,
        task_id: str | None = None,
        retries: int | None = None,
        throw: bool | None = None,
        **options: Any,
    ) -> EagerResult[R]:
        """Run it here and now, with a request, retries and callbacks; returns its result.

        Args:
            throw: raise the task's exception; None asks ``task_eager_propagates``.
        """
        from celeriac.app.eager import apply_eagerly

        return apply_eagerly(
            self,
            args,
            kwargs,
            link=link,
            link_error=link_error,
            task_id=task_id,
            retries=retries,
            throw=throw,
            options=options,
        )

    def retry(
        self,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """Run this call again later: ``raise self.retry(...)``.

        The new message and the acknowledgement of this one are one step, so a crash can neither lose nor double it.

        Args:
            args, kwargs: other arguments; the same as now when None.
            exc: raised when the retries are used up, instead of MaxRetriesExceededError.
            throw: raise Retry here; else return it.
            eta, countdown: when; ``default_retry_delay`` seconds from now when None.
            max_retries: instead of the task's, once.
            **options: options of ``apply_async`` for the new message.

        Raises:
            Retry: always, when ``throw``; it tells the worker what happened.
            MaxRetriesExceededError: the retries are used up and ``exc`` is None.
        """
        return retry(self, args, kwargs, exc, throw, eta, countdown, max_retries, options)

    def replace(self, sig: Any, visitor: Any = None) -> Any:
        """Let a signature run in this call's stead: ``raise self.replace(sig)``.

        It has this call's id, its place in a chain, group or chord, its callbacks and its errbacks. It is sent with the
        acknowledgement of this call, in one step. A group becomes a chord whose body returns the list of its results.

        Args:
            sig: what runs instead.
            visitor: stamps it.

        Raises:
            Ignore: always, in a worker: this call has no result of its own. Eagerly its value is returned.
            ImproperlyConfigured: it is an empty chain, or has a chord of its own.
        """
        from celeriac.app.replacing import replace

        return replace(self, sig, visitor)

    def add_to_chord(self, sig: Any, lazy: bool = False) -> Any:
        """Add a member to the chord whose header this call is a member of; the body waits for it too.

        It is sent with the acknowledgement of this call, in one step.

        Args:
            sig: the new member.
            lazy: do not send it: you will.

        Returns:
            Its result; the signature, when ``lazy``.

        Raises:
            ValueError: this call is no member of a chord.
        """
        from celeriac.app.replacing import add_to_chord

        return add_to_chord(self, sig, lazy)

    def chunks(self, it: Any, n: int) -> Any:
        """This task for many items (its arguments), in parts of ``n`` items, a message each."""
        from celeriac.canvas.maps import chunks

        return chunks(self.s(), it, n, app=self.app)

    def map(self, it: Any) -> Any:
        """This task for each item, in one message."""
        from celeriac.canvas.maps import xmap

        return xmap(self.s(), it, app=self.app)

    def starmap(self, it: Any) -> Any:
        """This task for each item (its arguments), in one message."""
        from celeriac.canvas.maps import xstarmap

        return xstarmap(self.s(), it, app=self.app)

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None, **extra: Any
    ) -> None:
        """Store a state of your own, such as ``update_state(state="PROGRESS", meta={"done": 3})``."""
        self.app.sender.store_state(self, task_id or self.request.id, state, meta)

    def AsyncResult(self, task_id: str, **options: Any) -> AsyncResult[R]:  # noqa: N802  # Celery's name
        """A handle for the result of a call of this task."""
        return self.app.AsyncResult(task_id, task_name=self.name, **options)

    # -- signatures --------------------------------------------------------------------------------------------------

    def signature(
        self, args: Any = None, kwargs: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **more: Any
    ) -> Signature:
        """This task with ``(args, kwargs, options)`` as a value."""
        return Signature(self, args, kwargs, options, app=self.app, **more)

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        """This task with these arguments as a value."""
        return Signature(self, args, kwargs, app=self.app)

    def si(self, *args: Any, **kwargs: Any) -> Signature:
        """As :meth:`s`, immutable: arguments that are given later are ignored."""
        return Signature(self, args, kwargs, immutable=True, app=self.app)

    def signature_from_request(
        self,
        request: Context | None = None,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        queue: str | None = None,
        **options: Any,
    ) -> Signature:
        """The call of a request as a value."""
        request = self.request if request is None else request
        execution = {**request.as_execution_options(), **options}
        delivery = request.delivery_info or {}
        if queue is not None:
            execution["queue"] = queue
        elif not request.is_eager:
            execution.setdefault("queue", delivery.get("queue") or delivery.get("routing_key"))
        return self.signature(
            request.args if args is None else args, request.kwargs if kwargs is None else kwargs, execution
        )

    subtask_from_request = signature_from_request

    # -- hooks -------------------------------------------------------------------------------------------------------

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Called before the body."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Called after a success."""

    def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called when the call is retried."""

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called after a failure."""

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Called after a success or a failure."""

    @classmethod
    def on_bound(cls, app: Celeriac) -> None:
        """Called when the class is bound to an app."""

    def add_trail(self, result: ResultBase) -> ResultBase:
        """Remember a result as one of this call's children."""
        if self.trail:
            self.request.children.append(result)
        return result

    @property
    def backend(self) -> Any:
        """What reads and writes results."""
        return self.app.backend

    def __repr__(self) -> str:
        return f"<@task: {self.name} of {self.app.main}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _task_by_name, (self.name,)


class CoroutineTask(Task[P, R]):
    """A task whose body is ``async def``; only calling it differs: that gives the coroutine."""

    is_coroutine = True

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]
        """Run the body here, with a request of its own; no retries, no result."""
        token = current.push_request(self, Context(args=args, kwargs=kwargs))
        try:
            return await self.run(*args, **kwargs)  # type: ignore[no-any-return]  # what the body returns
        finally:
            current.pop_request(token)


def _task_by_name(name: str) -> Task[Any, Any]:
    return current.current_app().tasks[name]
