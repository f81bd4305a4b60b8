"""``celery.registry``: the tasks of the current app, under an old name."""

from __future__ import annotations

from typing import Any

from celeriac import current
from celeriac_dropin.modules.local import Proxy

__all__ = ["tasks"]


def _tasks() -> Any:
    return current.current_app().tasks


tasks: Any = Proxy(_tasks)
