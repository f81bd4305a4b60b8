"""What is fixed about running one task, looked up once per task and process instead of once per call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celeriac.app.task import CoroutineTask, Task

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["Tracer", "build_tracer"]


class Tracer:
    """How calls of one task run in this process.

    Attributes:
        body: what is called: ``run``, or the task itself where a class customises ``__call__``.
        before_start, on_success, after_return: the task's own hooks, None where it has none.
    """

    __slots__ = (
        "after_return",
        "app",
        "before_start",
        "body",
        "describe",
        "hostname",
        "ignore_result",
        "is_coroutine",
        "max_repr",
        "name",
        "on_success",
        "store_errors",
        "task",
        "throws",
        "track_started",
    )

    def __init__(self, app: Celeriac, task: Task[Any, Any], hostname: str | None, describe: bool) -> None:
        self.app = app
        self.task = task
        self.name = task.name
        self.hostname = hostname
        self.describe = describe
        self.is_coroutine = task.is_coroutine
        self.body: Callable[..., Any] = task if _calls_itself(task) else task.run
        self.ignore_result = bool(task.ignore_result)
        self.track_started = bool(task.track_started)
        self.store_errors = bool(task.store_errors_even_if_ignored)
        self.throws = tuple(task.throws)
        self.max_repr = task.resultrepr_maxsize
        self.before_start = _own_hook(task, "before_start")
        self.on_success = _own_hook(task, "on_success")
        self.after_return = _own_hook(task, "after_return")


def build_tracer(app: Celeriac, task: Task[Any, Any], hostname: str | None = None, describe: bool = True) -> Tracer:
    """Make the tracer of a task. Called through this module at run time, so that integrations can wrap it."""
    return Tracer(app, task, hostname, describe)


def _calls_itself(task: Task[Any, Any]) -> bool:
    call = type(task).__call__
    return call is not Task.__call__ and call is not CoroutineTask.__call__


def _own_hook(task: Task[Any, Any], name: str) -> Callable[..., Any] | None:
    """The task's hook of that name, None where it only inherits the empty one."""
    hook: Callable[..., Any] = getattr(task, name)
    return None if getattr(hook, "__func__", None) is getattr(Task, name) else hook
