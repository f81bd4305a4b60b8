"""``celery.worker.worker``: a worker that a program starts by itself."""

from __future__ import annotations

from celeriac_dropin.modules.worker import WorkController

__all__ = ["WorkController"]
