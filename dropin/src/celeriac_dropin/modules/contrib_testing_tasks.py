"""``celery.contrib.testing.tasks``: a task to ask workers with."""

from __future__ import annotations

from celeriac import shared_task

__all__ = ["ping"]


@shared_task(name="celery.ping")
def ping() -> str:
    """Answer."""
    return "pong"
