"""Celeriac: a distributed task queue with Celery's API.

>>> from celeriac import Celeriac
>>> app = Celeriac("proj")
>>> @app.task
... def add(x: int, y: int) -> int:
...     return x + y
>>> add.delay(2, 2).get(timeout=10)  # with a worker running: celeriac -A proj worker
4
"""

from typing import Any, cast

from celeriac import current
from celeriac.app.app import Celeriac
from celeriac.app.shared import shared_task
from celeriac.app.task import Task
from celeriac.canvas import (
    Signature,
    StampingVisitor,
    chain,
    chord,
    chunks,
    group,
    maybe_signature,
    signature,
    xmap,
    xstarmap,
)
from celeriac.result import AsyncResult, EagerResult

current_app = cast(Celeriac, current.Current(current.current_app))
current_task = cast("Task[Any, Any] | None", current.Current(current.current_task))

__version__ = "0.1.0"

__all__ = [
    "AsyncResult",
    "Celeriac",
    "EagerResult",
    "Signature",
    "StampingVisitor",
    "Task",
    "__version__",
    "chain",
    "chord",
    "chunks",
    "current_app",
    "current_task",
    "group",
    "maybe_signature",
    "shared_task",
    "signature",
    "xmap",
    "xstarmap",
]
