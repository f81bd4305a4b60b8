"""``celery.app``: which app is current."""

from __future__ import annotations

from celeriac import shared_task
from celeriac_dropin.absences import absent_names, refused
from celeriac_dropin.modules.app_base import Celery
from celeriac_dropin.modules.app_utils import bugreport
from celeriac_dropin.modules.state import app_or_default, default_app

__all__ = ["Celery", "app_or_default", "bugreport", "default_app", "shared_task"]

_STACK = refused(
    "the running task is a context variable: task.push_request() and task.pop_request() enter and leave one"
)
_TRACING = refused("which app is current is a context variable, so there is nothing to trace")

__getattr__ = absent_names(
    "celery.app",
    {
        "AppPickler": refused("apps are found by name, never pickled with their settings"),
        "disable_trace": _TRACING,
        "enable_trace": _TRACING,
        "pop_current_task": _STACK,
        "push_current_task": _STACK,
    },
)
