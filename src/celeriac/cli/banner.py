"""What a worker prints when it starts (behaviours.md, M.189)."""

from __future__ import annotations

import logging
import os
import platform
from typing import TYPE_CHECKING

import click

import celeriac
from celeriac.cli.places import results_place, transport_place

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.worker.worker import Worker

__all__ = ["banner"]


def banner(worker: Worker) -> str:
    """The banner of a worker that is about to run; its tasks are listed where INFO is logged."""
    app, options = worker.app, worker.options
    shape = f"{options.children} x {options.capacity}" if options.capacity > 1 else f"{options.children}"
    rows = [
        ("app", f"{app.main or '__main__'} ({options.app_path})"),
        ("transport", transport_place(app)),
        ("results", results_place(app)),
        ("concurrency", f"{shape} ({options.pool})"),
        ("guarantee", _guarantee(worker)),
        ("queues", ", ".join(worker.queues)),
    ]
    lines = [
        "",
        f" {click.style(options.hostname, bold=True)}  celeriac v{celeriac.__version__}",
        f" {platform.platform()}  Python {platform.python_version()}  pid {os.getpid()}",
        "",
        *(f"   {name:<12} {value}" for name, value in rows),
        "",
    ]
    if logging.getLogger("celeriac.worker").isEnabledFor(logging.INFO):
        lines += [" [tasks]", *(f"   . {name}" for name in _names(app)), ""]
    return "\n".join(lines)


def _guarantee(worker: Worker) -> str:
    """How many tasks are acknowledged when."""
    tasks = worker.app.tasks
    late = sum(1 for name in _names(worker.app) if tasks[name].acks_late)
    early = len(_names(worker.app)) - late
    parts = [
        (late, f"at least once (late acknowledgement): {late} {_plural(late)}"),
        (early, f"at most once (early acknowledgement): {early} {_plural(early)}"),
    ]
    return "; ".join(text for count, text in parts if count) or "no tasks are registered"


def _plural(count: int) -> str:
    return "task" if count == 1 else "tasks"


def _names(app: Celeriac) -> list[str]:
    """The names of the user's tasks."""
    return sorted(name for name in app.tasks if not name.startswith(("celery.", "celeriac.")))
