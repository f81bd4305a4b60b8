"""``celery._state``: which app and which task are current (internal to Celery, and used by integrations)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from celeriac import current, current_app, current_task
from celeriac.app.app import Celeriac
from celeriac.current import Current, set_current_app, set_default_app, shared_constructors
from celeriac.result.blocking import assert_will_not_block

__all__ = [
    "app_or_default",
    "connect_on_app_finalize",
    "current_app",
    "current_task",
    "default_app",
    "get_current_app",
    "get_current_task",
    "get_current_worker_task",
    "set_default_app",
    "task_join_will_block",
]

get_current_app = current.current_app
get_current_task = current.current_task
get_current_worker_task = current.current_worker_task
default_app = cast(Celeriac, Current(current.current_app))


def app_or_default(app: Celeriac | None = None) -> Celeriac:
    """The app that is given, else the current one."""
    return current.current_app() if app is None else app


def connect_on_app_finalize(callback: Callable[[Celeriac], Any]) -> Callable[[Celeriac], Any]:
    """Call a function with every app when it is finalised; also a decorator."""
    shared_constructors.append(callback)
    return callback


def task_join_will_block() -> bool:
    """Waiting for a result is refused here."""
    try:
        assert_will_not_block()
    except RuntimeError:
        return True
    return False


_get_current_app = get_current_app
_set_current_app = set_current_app
_get_active_apps = current.active_apps
