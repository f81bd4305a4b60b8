"""Making a task of a function: its name, its class, its options, its annotations (behaviours.md, section B)."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from celeriac.app.autoretry import with_autoretry
from celeriac.app.task import Configured, CoroutineTask, Task
from celeriac.exceptions import DuplicateTaskNameWarning, ImproperlyConfigured

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["adopt_task", "annotate", "make_task", "task_name"]

NOT_ATTRIBUTES: Final = ("lazy", "shared", "filter")
"""Options of the decorators that are about the making of a task, not about the task."""

_RATE = re.compile(r"^\d+(\.\d+)?(/[smh])?$")


def task_name(app: Celeriac, function: Callable[..., Any]) -> str:
    """The name of a function's task that is given none.

    Raises:
        TypeError: the function has no name of its own (a partial, a callable object).
    """
    own = getattr(function, "__name__", None)
    if own is None:
        raise TypeError(f"{function!r} has no name to call its task by: give it one, @app.task(name=...)")
    return app.gen_task_name(own, function.__module__)


def make_task(app: Celeriac, function: Callable[..., Any], options: dict[str, Any]) -> Task[Any, Any]:
    """An instance of a new task class around ``function``; a function that is a task already gives that task."""
    for option in NOT_ATTRIBUTES:
        options.pop(option, None)
    name = options.pop("name", None) or task_name(app, function)
    base, bind = options.pop("base", None), options.pop("bind", False)
    known = app.known_tasks.get(name)
    if known is not None:
        original = getattr(known, "__wrapped__", None)
        if original is not None and (original is function or _same_place(original, function)):
            return known
        warnings.warn(
            f"two functions claim the task name {name!r}: {_place(original)} and {_place(function)}; "
            "the first one keeps it",
            DuplicateTaskNameWarning,
            stacklevel=_users_level(),
        )
        return known
    _check_options(name, options)
    is_coroutine = inspect.iscoroutinefunction(function)
    parents = _bases(app, base, is_coroutine)
    attributes = {
        **options,
        "app": app,
        "name": name,
        "is_coroutine": is_coroutine,
        "abstract": False,
        "__doc__": function.__doc__,
        "__module__": getattr(function, "__module__", __name__),
        "__wrapped__": staticmethod(function),
    }
    own_name = getattr(function, "__name__", name)
    make: Callable[[], Task[Any, Any]] = type(own_name, parents, attributes)
    task = make()
    task.run = partial(function, task) if bind else function  # type: ignore[method-assign]  # the body is the function
    task.__dict__["__name__"] = own_name
    _bind(app, task)
    return task


def adopt_task(app: Celeriac, task: Task[Any, Any]) -> None:
    """Make a task of a class of the user's own a task of the app."""
    cls = type(task)
    task.app = app
    task.name = task.name or app.gen_task_name(cls.__name__, cls.__module__)
    task.is_coroutine = inspect.iscoroutinefunction(task.run)
    options = {name: getattr(cls, name, None) for name in _CHECKED}
    options = {name: value for name, value in options.items() if not isinstance(value, Configured)}
    _check_options(task.name, options)
    for name in _EXCEPTIONS:
        setattr(task, name, options[name])
    _bind(app, task)


def _bind(app: Celeriac, task: Task[Any, Any]) -> None:
    if task.autoretry_for:
        task.run = with_autoretry(task, task.run)  # type: ignore[method-assign]  # the body, retried
    if app.finalized:
        annotate(app, task)
    type(task).on_bound(app)


def _bases(app: Celeriac, base: type[Task[Any, Any]] | None, is_coroutine: bool) -> tuple[type[Any], ...]:
    chosen = base or app.task_cls
    if not is_coroutine or issubclass(chosen, CoroutineTask):
        return (chosen,)
    return (CoroutineTask,) if chosen is Task else (chosen, CoroutineTask)


_EXCEPTIONS: Final = frozenset({"throws", "autoretry_for", "dont_autoretry_for"})
_CHECKED: Final = (*sorted(_EXCEPTIONS), "rate_limit", "soft_time_limit", "time_limit")


def _check_options(name: str, options: dict[str, Any]) -> None:
    for later in ("pydantic", "pydantic_strict", "pydantic_context", "pydantic_dump_kwargs"):
        if options.pop(later, None):
            raise ImproperlyConfigured(f"the task {name!r} asks for {later}=, which this release does not support yet")
    rate = options.get("rate_limit")
    if rate is not None and not isinstance(rate, (int, float)) and not _RATE.match(str(rate)):
        raise ImproperlyConfigured(
            f"the task {name!r} has rate_limit={rate!r}; write a number of calls with /s, /m or /h, such as '10/m'"
        )
    for option in _EXCEPTIONS & options.keys():
        given = options[option]
        classes = options[option] = (given,) if isinstance(given, type) else tuple(given or ())
        if not all(isinstance(one, type) and issubclass(one, BaseException) for one in classes):
            raise ImproperlyConfigured(
                f"the task {name!r} has {option}={given!r}; write a tuple of exception classes, such as (OSError,)"
            )
    soft, hard = options.get("soft_time_limit"), options.get("time_limit")
    if soft is not None and hard is not None and soft > hard:
        raise ValueError(f"the task {name!r} has soft_time_limit={soft} above time_limit={hard}")


def annotate(app: Celeriac, task: Task[Any, Any]) -> None:
    """Apply ``task_annotations`` once: attributes by task name or ``'*'``; ``'@name'`` wraps the attribute.

    It waits for the app to be finalised, or for the first use of the task: the settings need not be complete while
    tasks are defined.
    """
    if task.__dict__.get("_annotated"):
        return
    task.__dict__["_annotated"] = True
    for found in _annotations(app.settings.task_annotations, task):
        for attribute, value in found.items():
            name = attribute.removeprefix("@")
            # On the class, as if they had been written there: functions become methods. The body is the instance's.
            owner = task if name in task.__dict__ else type(task)
            setattr(owner, name, value(getattr(owner, name)) if attribute.startswith("@") else value)
    task.app.sender.forget_defaults()


def _annotations(source: Any, task: Task[Any, Any]) -> list[dict[str, Any]]:
    if not source:
        return []
    if isinstance(source, (list, tuple)):
        return [found for one in source for found in _annotations(one, task)]
    if isinstance(source, dict):
        return [source[key] for key in ("*", task.name) if key in source]
    found = [source.annotate_any() if hasattr(source, "annotate_any") else None, source.annotate(task)]
    return [one for one in found if one]


def _users_level() -> int:
    """How far up the stack, seen from the caller, the code is that is not ours."""
    level = 0
    frame = inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("celeriac."):
        frame = frame.f_back
        level += 1
    return level


def _same_place(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """The same function, imported or defined again."""
    return _place(one) == _place(other)


def _place(function: Callable[..., Any] | None) -> str:
    if function is None:
        return "a class-based task"
    return f"{function.__module__}.{getattr(function, '__qualname__', repr(function))}"
