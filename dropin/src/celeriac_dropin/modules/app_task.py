"""``celery.app.task``: the task class and the request."""

from __future__ import annotations

from typing import Any, Final

from celeriac.app.context import Context
from celeriac.app.task import Task

__all__ = ["BaseTask", "Context", "Task", "TaskType", "extract_exec_options"]

BaseTask = Task
TaskType = type

_OPTIONS: Final = (
    *("queue", "routing_key", "exchange", "priority", "expires", "serializer", "delivery_mode", "compression"),
    *("time_limit", "soft_time_limit", "immediate", "mandatory"),
)


def extract_exec_options(obj: Any) -> dict[str, Any]:
    """The options of ``apply_async`` that a task's attributes give: those that are not None."""
    values = {name: getattr(obj, name, None) for name in _OPTIONS}
    return {name: value for name, value in values.items() if value is not None}
