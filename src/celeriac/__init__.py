"""Celeriac: a distributed task queue with Celery's API.

>>> from celeriac import Celeriac
>>> app = Celeriac("proj")
>>> @app.task
... def add(x: int, y: int) -> int:
...     return x + y
>>> add.delay(2, 2).get(timeout=10)  # with a worker running: celeriac -A proj worker
4
"""

from typing import TYPE_CHECKING, Any

from celeriac.app.app import Celeriac
from celeriac.app.shared import shared_task
from celeriac.app.task import Task
from celeriac.canvas.signature import Signature, maybe_signature, signature
from celeriac.result import AsyncResult, EagerResult

if TYPE_CHECKING:
    current_app: Celeriac
    current_task: Task[Any, Any] | None

__version__ = "0.1.0"

__all__ = [
    "AsyncResult",
    "Celeriac",
    "EagerResult",
    "Signature",
    "Task",
    "__version__",
    "current_app",
    "current_task",
    "maybe_signature",
    "shared_task",
    "signature",
]


def __getattr__(name: str) -> Any:
    from celeriac import current

    if name == "current_app":
        return current.current_app()
    if name == "current_task":
        return current.current_task()
    raise AttributeError(f"module 'celeriac' has no attribute {name!r}")
