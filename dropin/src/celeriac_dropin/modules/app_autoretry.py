"""``celery.app.autoretry``: retrying by exception."""

from __future__ import annotations

from typing import Any

from celeriac.app.autoretry import with_autoretry

__all__ = ["add_autoretry_behaviour"]


def add_autoretry_behaviour(task: Any, **options: Any) -> None:
    """Have a task retry on exceptions: options as of ``@app.task`` (``autoretry_for``, ``retry_backoff``, ...)."""
    for name, value in options.items():
        setattr(task, name, value)
    if task.autoretry_for:
        task.run = with_autoretry(task, task.run)
