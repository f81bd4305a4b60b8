"""Making a task of a function: its name, its class, its options, its annotations (behaviours.md, section B)."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from celeriac.app.autoretry import with_autoretry
from celeriac.app.task import CoroutineTask, Task
from celeriac.exceptions import DuplicateTaskNameWarning, ImproperlyConfigured

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["annotate", "make_task", "task_name"]

_RATE = re.compile(r"^\d+(\.\d+)?(/[smh])?$")


def task_name(app: Celeriac, function: Callable[..., Any]) -> str:
    """The name of a function's task that is given none."""
    return app.gen_task_name(function.__name__, function.__module__)


def make_task(app: Celeriac, function: Callable[..., Any], options: dict[str, Any]) -> Task[Any, Any]:
    """An instance of a new task class around ``function``; a function that is a task already gives that task."""
    name = options.pop("name", None) or task_name(app, function)
    base, bind = options.pop("base", None), options.pop("bind", False)
    known = app._tasks.get(name)
    if known is not None:
        original = getattr(known, "__wrapped__", None)
        if original is not None and (original is function or _same_place(original, function)):
            return known
        warnings.warn(
            f"two functions claim the task name {name!r}: {_place(original)} and {_place(function)}; the first one keeps it",
            DuplicateTaskNameWarning,
            stacklevel=4,
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
        "__module__": function.__module__,
        "__wrapped__": staticmethod(function),
    }
    make: Callable[[], Task[Any, Any]] = type(function.__name__, parents, attributes)
    task = make()
    task.run = partial(function, task) if bind else function  # type: ignore[method-assign]  # the body is the function
    task.__dict__["__name__"] = function.__name__
    if task.autoretry_for:
        task.run = with_autoretry(task, task.run)  # type: ignore[method-assign]  # the body, retried
    annotate(app, task)
    type(task).on_bound(app)
    return task


def _bases(app: Celeriac, base: type[Task[Any, Any]] | None, is_coroutine: bool) -> tuple[type[Any], ...]:
    chosen = base or app._task_cls
    if not is_coroutine or issubclass(chosen, CoroutineTask):
        return (chosen,)
    return (CoroutineTask,) if chosen is Task else (chosen, CoroutineTask)


def _check_options(name: str, options: dict[str, Any]) -> None:
    for later in ("pydantic", "pydantic_strict", "pydantic_context", "pydantic_dump_kwargs"):
        if options.pop(later, None):
            raise ImproperlyConfigured(f"the task {name!r} asks for {later}=, which this release does not support yet")
    rate = options.get("rate_limit")
    if rate is not None and not isinstance(rate, (int, float)) and not _RATE.match(str(rate)):
        raise ImproperlyConfigured(
            f"the task {name!r} has rate_limit={rate!r}; write a number of calls with /s, /m or /h, such as '10/m'"
        )
    soft, hard = options.get("soft_time_limit"), options.get("time_limit")
    if soft is not None and hard is not None and soft > hard:
        raise ValueError(f"the task {name!r} has soft_time_limit={soft} above time_limit={hard}")


def annotate(app: Celeriac, task: Task[Any, Any]) -> None:
    """Apply ``task_annotations``: attributes by task name or ``'*'``; ``'@name'`` wraps the attribute."""
    for found in _annotations(app.settings.task_annotations, task):
        for attribute, value in found.items():
            if attribute.startswith("@"):
                wrapped = getattr(task, attribute[1:])
                setattr(task, attribute[1:], value(wrapped))
            else:
                setattr(task, attribute, value)


def _annotations(source: Any, task: Task[Any, Any]) -> list[dict[str, Any]]:
    if not source:
        return []
    if isinstance(source, (list, tuple)):
        return [found for one in source for found in _annotations(one, task)]
    if isinstance(source, dict):
        return [source[key] for key in ("*", task.name) if key in source]
    found = [source.annotate_any() if hasattr(source, "annotate_any") else None, source.annotate(task)]
    return [one for one in found if one]


def _same_place(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """The same function, imported or defined again."""
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def _place(function: Callable[..., Any] | None) -> str:
    if function is None:
        return "a class-based task"
    return f"{function.__module__}.{function.__qualname__}"
