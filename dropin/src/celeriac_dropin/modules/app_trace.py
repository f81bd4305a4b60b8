"""``celery.app.trace``: what runs one call of a task. Integrations wrap :func:`build_tracer`.

Importing this module has workers ask this module's ``build_tracer`` for each task, once per process, as Celery's do.
What it returns is called once per call with ``(task_id, args, kwargs, request)``. Around it, the request is entered and
left, and what follows from the call's end happens: an exception that the body raises passes through it. Of a task that
is ``async def`` it gives the coroutine, which runs after it has returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celeriac import current
from celeriac.app import tracer as engine
from celeriac.app.task import CoroutineTask, Task
from celeriac_dropin.absences import absent_names, refused
from celeriac_dropin.modules.utils_objects import mro_lookup

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["build_tracer", "get_task_name", "task_has_custom", "traceback_clear"]

_original = engine.build_tracer


class TaskTracer:
    """Runs the body of one task.

    Args:
        task: that one. Its body is looked up at the first call, since integrations replace it before.
    """

    def __init__(self, task: Task[Any, Any]) -> None:
        self.task = task
        self._body: Callable[..., Any] | None = None

    def __call__(self, uuid: str | None, args: Any, kwargs: Any, request: Any = None) -> Any:
        """Run one call; returns what the body returns, raises what it raises."""
        body = self._body
        if body is None:
            body = self._body = _original(self.task.app, self.task).body
        return body(*args, **kwargs)


def build_tracer(name: str, task: Task[Any, Any], *args: Any, **options: Any) -> Callable[..., Any]:
    """What runs calls of a task.

    Args:
        name: of the task.
        task: the task.
        *args, **options: as Celery's; the task knows what they say.
    """
    return TaskTracer(task)


def _asked(app: Celeriac, task: Task[Any, Any], hostname: str | None = None, describe: bool = True) -> engine.Tracer:
    """The engine's tracer, whose body is what :func:`build_tracer` gives if somebody has wrapped that."""
    wrapped = build_tracer(task.name, task, app.loader, hostname, app=app)
    tracer = _original(app, task, hostname, describe)
    if not isinstance(wrapped, TaskTracer):

        def body(*args: Any, **kwargs: Any) -> Any:
            context = current.context_of(task)
            return wrapped(None if context is None else context.id, args, kwargs, context)

        tracer.body = body
    return tracer


engine.build_tracer = _asked


def task_has_custom(task: Task[Any, Any], attr: str) -> bool:
    """A task's class defines an attribute itself, or inherits it from a class that is not Celeriac's."""
    owner = mro_lookup(type(task), attr, stop={Task, CoroutineTask, object})
    return owner is not None and not owner.__module__.startswith("celeriac.")


def get_task_name(request: Any, default: str) -> str:
    """The name to show of a request's task."""
    return getattr(request, "shadow", None) or default


def traceback_clear(exc: BaseException | None = None) -> None:
    """Let go of what the frames of an exception's traceback hold."""
    import sys
    import traceback

    traceback.clear_frames(exc.__traceback__ if exc is not None else sys.exc_info()[2])


_OTHERWISE = refused("a call ends in one settlement, which the worker makes; task.apply() runs a task here")
_PREPARED = refused("a worker's processes are prepared by the worker")
__getattr__ = absent_names(
    "celery.app.trace",
    {
        **dict.fromkeys(("TraceInfo", "fast_trace_task", "get_log_policy", "trace_task", "trace_task_ret"), _OTHERWISE),
        **dict.fromkeys(("reset_worker_optimizations", "setup_worker_optimizations"), _PREPARED),
    },
)
