"""Which app and which task are current, here and now.

The current app is set per context (thread or coroutine) with a process-wide default; the current task's request is a
ContextVar, so every coroutine task sees its own. Nothing here imports the app: it is told how to make a fallback.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.context import Context
    from celeriac.app.task import Task

__all__ = [
    "Current",
    "active_apps",
    "current_app",
    "current_context",
    "current_task",
    "set_current_app",
    "set_default_app",
    "shared_constructors",
]

_app: ContextVar[Celeriac | None] = ContextVar("celeriac_current_app", default=None)
_Stack = tuple[tuple["Task[Any, Any]", "Context"], ...]
_requests: ContextVar[_Stack] = ContextVar("celeriac_requests", default=())
_default: list[Celeriac | None] = [None]
_fallback: list[Callable[[], Celeriac]] = []

shared_constructors: list[Callable[[Celeriac], Any]] = []
"""Functions that register one shared task on an app; every app runs them when it is finalised."""

active_apps: WeakSet[Celeriac] = WeakSet()
"""The apps of this process that are in use."""


def current_app() -> Celeriac:
    """The app of this context, else the process's default, else a new fallback app named ``default``."""
    app = _app.get() or _default[0]
    if app is None:
        app = _fallback[0]()
        _default[0] = app
    return app


def set_current_app(app: Celeriac | None) -> None:
    """Make ``app`` current in this context, and the default of those that have none of their own."""
    _app.set(app)
    _default[0] = app


def set_default_app(app: Celeriac | None) -> None:
    """Make ``app`` the process's default."""
    _default[0] = app


def set_fallback(make: Callable[[], Celeriac]) -> None:
    """Tell how to make the fallback app."""
    _fallback[:] = [make]


def forget_app(app: Celeriac) -> None:
    """Stop ``app`` from being active, current or default."""
    active_apps.discard(app)
    if _app.get() is app:
        _app.set(None)
    if _default[0] is app:
        _default[0] = None


def push_request(task: Task[Any, Any], context: Context) -> Any:
    """Enter a request; returns the token for :func:`pop_request`."""
    return _requests.set((*_requests.get(), (task, context)))


def pop_request(token: Any) -> None:
    """Leave the request that was entered last."""
    _requests.reset(token)


def drop_request() -> Context | None:
    """Leave the innermost request, whoever entered it."""
    stack = _requests.get()
    if not stack:
        return None
    _requests.set(stack[:-1])
    return stack[-1][1]


def current_task() -> Task[Any, Any] | None:
    """The task that runs here, None outside of one."""
    stack = _requests.get()
    return stack[-1][0] if stack else None


def current_context() -> Context | None:
    """The request of the task that runs here, None outside of one."""
    stack = _requests.get()
    return stack[-1][1] if stack else None


def current_worker_context() -> Context | None:
    """The innermost request that a worker runs (a task called as a function has none of its own)."""
    for _, context in reversed(_requests.get()):
        if not context.called_directly:
            return context
    return None


def current_worker_task() -> Task[Any, Any] | None:
    """The innermost task that a worker runs."""
    for task, context in reversed(_requests.get()):
        if not context.called_directly:
            return task
    return None


def context_of(task: Task[Any, Any]) -> Context | None:
    """The innermost request of that very task."""
    for running, context in reversed(_requests.get()):
        if running is task:
            return context
    return None


class Current:
    """Stands for whatever is current when it is used, however early it was imported.

    Args:
        look: tells what is current.
    """

    __slots__ = ("_look",)

    _look: Callable[[], Any]

    def __init__(self, look: Callable[[], Any]) -> None:
        object.__setattr__(self, "_look", look)

    @property
    def __class__(self) -> type[Any]:
        return type(self._look())

    @__class__.setter
    def __class__(self, value: type[Any]) -> None:
        raise TypeError("what is current has its own class")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._look(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._look(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._look(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._look()(*args, **kwargs)

    def __bool__(self) -> bool:
        return bool(self._look())

    def __eq__(self, other: object) -> bool:
        return bool(self._look() == (other._look() if type(other) is Current else other))

    def __hash__(self) -> int:
        return hash(self._look())

    def __repr__(self) -> str:
        return repr(self._look())

    def __dir__(self) -> list[str]:
        return dir(self._look())
