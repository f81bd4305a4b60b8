"""``celery.worker``: a worker that a program starts by itself."""

from __future__ import annotations

from celeriac_dropin.modules.apps_worker import Worker

__all__ = ["WorkController"]

WorkController = Worker
