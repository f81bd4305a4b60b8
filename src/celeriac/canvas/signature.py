"""A signature: one call of a task as a value, to be sent, linked or put into messages (protocol.md, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from celeriac.current import current_app
from celeriac.ids import new_task_id

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.result import AsyncResult

__all__ = ["Signature", "as_data", "maybe_signature", "signature"]


PINNED: Final = ("group_id", "stamped_headers", "stamps")
"""Options that a signature keeps once it has them."""


class Signature(dict[str, Any]):
    """A mapping with the keys task, args, kwargs, options, subtask_type and immutable.

    Args:
        task: a task, a task's name, or another signature's mapping to copy.
        type: the task, where ``task`` is its name only.
        args: positional arguments.
        kwargs: keyword arguments.
        options: options of ``apply_async``.
        immutable: ignore arguments that are given later (a callback does not get its parent's result).
        app: the app that sends it; the current one when there is none.
    """

    _app: Celeriac | None = None

    def __init__(
        self,
        task: Any = None,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        type: Any = None,  # noqa: A002 - the name is Celery's
        subtask_type: str | None = None,
        immutable: bool = False,
        app: Celeriac | None = None,
        **extra: Any,
    ) -> None:
        self._app = app
        if isinstance(task, Mapping):
            super().__init__(task)
            self["options"] = dict(task.get("options") or {})
            if app is None and isinstance(task, Signature):
                task.lend_app(self)
            return
        if task is not None and not isinstance(task, str):
            type, task = task, task.name  # noqa: A001 - the name is Celery's
        if app is None:
            self._app = getattr(type, "app", None)
        super().__init__(
            task=task,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options=dict(options or {}, **extra),
            subtask_type=subtask_type,
            immutable=immutable,
        )

    @property
    def app(self) -> Celeriac:
        """The app that sends it."""
        return self._app or current_app()

    def lend_app(self, other: Signature) -> None:
        """Let another signature be sent by the app that this one was made for, if it was made for any."""
        other.of_app(self._app)

    def of_app(self, app: Celeriac | None) -> Signature:
        """Let that app send it; returns itself."""
        self._app = app
        return self

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self["task"])

    @property
    def args(self) -> Any:
        """Positional arguments."""
        return self.get("args") or ()

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments."""
        return self.get("kwargs") or {}

    @property
    def options(self) -> dict[str, Any]:
        """Options of ``apply_async``."""
        return self.setdefault("options", {})  # type: ignore[no-any-return]  # a mapping's values are Any

    @property
    def subtask_type(self) -> str | None:
        """``"chain"``, ``"group"`` or ``"chord"``; None for a call of one task."""
        return self.get("subtask_type")

    @property
    def immutable(self) -> bool:
        """Arguments that are given later are ignored."""
        return bool(self.get("immutable", False))

    @property
    def id(self) -> str | None:
        """The id that it is sent under, once frozen."""
        return self.options.get("task_id")

    def merged(
        self, args: Any = (), kwargs: dict[str, Any] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Arguments and options for a call: partial arguments are prepended, unless it is immutable.

        Options of the call win, but not over a group's id and stamps that it has (behaviours.md, I.121).
        """
        own = self.options
        merged_options = {**own, **(options or {})}
        if options:
            stamps = own.get("stamped_headers") or ()
            merged_options.update((name, own[name]) for name in (*PINNED, *stamps) if own.get(name) is not None)
        if self.immutable:
            return tuple(self.args), dict(self.kwargs), merged_options
        return (*(args or ()), *self.args), {**self.kwargs, **(kwargs or {})}, merged_options

    def clone(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Signature:
        """A copy, with arguments and options merged in."""
        new_args, new_kwargs, new_options = self.merged(args, kwargs, options)
        copy = type(self)(dict(self), app=self._app)
        copy.update(args=new_args, kwargs=new_kwargs, options=new_options)
        return copy

    partial = clone

    def replace(
        self, args: Any = None, kwargs: dict[str, Any] | None = None, options: dict[str, Any] | None = None
    ) -> Signature:
        """A copy in which what is given stands in place of what there was."""
        copy = self.clone()
        for key, value in (("args", args), ("kwargs", kwargs), ("options", options)):
            if value is not None:
                copy[key] = value
        return copy

    def set(self, immutable: bool | None = None, **options: Any) -> Signature:
        """Change options in place; returns itself."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Say whether arguments that are given later are ignored."""
        self["immutable"] = immutable

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> AsyncResult[Any]:
        """Give it its id now, unless it has one, and its place in a workflow; returns the result that it will have."""
        options = self.options
        if options.get("task_id") is None:
            options["task_id"] = _id or new_task_id()
        place = {
            "group_id": group_id,
            "chord": chord,
            "root_id": root_id,
            "parent_id": parent_id,
            "group_index": group_index,
        }
        for name, value in place.items():
            if value is not None:
                options.setdefault(name, value)
        return self.app.AsyncResult(options["task_id"], task_name=self.task)

    def apply_async(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> AsyncResult[Any]:
        """Send it, with arguments prepended and options merged."""
        new_args, new_kwargs, new_options = self.merged(args, kwargs, options)
        task = self.app.tasks.get(self.task)
        if task is not None:
            return task.apply_async(new_args, new_kwargs, **new_options)
        return self.app.send_task(self.task, new_args, new_kwargs, **new_options)

    async def aapply_async(
        self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any
    ) -> AsyncResult[Any]:
        """Send it without blocking the event loop."""
        new_args, new_kwargs, new_options = self.merged(args, kwargs, options)
        task = self.app.tasks.get(self.task)
        if task is not None:
            return await task.aapply_async(new_args, new_kwargs, **new_options)
        return await self.app.asend_task(self.task, new_args, new_kwargs, **new_options)

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Send it with these arguments."""
        return self.apply_async(args, kwargs)

    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Send it with these arguments without blocking the event loop."""
        return await self.aapply_async(args, kwargs)

    def apply(self, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any) -> Any:
        """Run it here and now; returns an EagerResult."""
        new_args, new_kwargs, new_options = self.merged(args, kwargs, options)
        return self.app.task_named(self.task).apply(new_args, new_kwargs, **new_options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        new_args, new_kwargs, _ = self.merged(args, kwargs)
        return self.app.task_named(self.task)(*new_args, **new_kwargs)

    def link(self, callback: Signature) -> Signature:
        """Add a callback that gets the result; returns the callback."""
        return self._append("link", callback)

    def link_error(self, errback: Signature) -> Signature:
        """Add a callback for failures; returns the callback."""
        return self._append("link_error", errback)

    def on_error(self, errback: Signature) -> Signature:
        """As link_error, but returns itself, for chaining calls."""
        self.link_error(errback)
        return self

    def _append(self, option: str, value: Signature) -> Signature:
        linked = self.options.get(option)
        values = list(linked) if isinstance(linked, (list, tuple)) else [linked] if linked else []
        if value not in values:
            values.append(value)
        self.options[option] = values
        return value

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """The call as text, with further arguments merged in."""
        all_args, all_kwargs, _ = self.merged(args, kwargs)
        arguments = [repr(value) for value in all_args]
        arguments += [f"{name}={value!r}" for name, value in all_kwargs.items()]
        return f"{self.task}({', '.join(arguments)})"

    def __invert__(self) -> Any:
        return self.apply_async().get()

    def __repr__(self) -> str:
        return self.reprcall()

    def __copy__(self) -> Signature:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Signature:
        copy = type(self)(deepcopy(dict(self), memo), app=self._app)
        memo[id(self)] = copy
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


def as_data(value: Any) -> Any:
    """A value in which every signature, however deep, is the plain mapping that peers of any kind can read."""
    if isinstance(value, Signature) or type(value) is dict:
        return {key: as_data(part) for key, part in value.items()}
    if type(value) is list or type(value) is tuple:
        return type(value)(as_data(part) for part in value)
    return value


def signature(task: Any, *args: Any, **kwargs: Any) -> Signature:
    """Make a signature, or copy one from its mapping."""
    if isinstance(task, Mapping):
        app = kwargs.pop("app", None)
        if args or kwargs:
            raise TypeError("a copy of a signature takes no arguments; merge them in with clone(args, kwargs)")
        return Signature(task, app=app).clone()
    return Signature(task, *args, **kwargs)


def maybe_signature(value: Any, app: Celeriac | None = None) -> Signature | None:
    """A signature from a mapping or a signature; None stays None."""
    if value is None:
        return None
    if isinstance(value, Signature):
        return value if app is None else value.of_app(app)
    return Signature(value, app=app)
