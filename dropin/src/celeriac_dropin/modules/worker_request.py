"""``celery.worker.request``: what a worker knows of a delivery; its own here, and not to be replaced."""

from __future__ import annotations

from typing import Any

from celeriac_dropin.absences import REQUEST, absent_names, stand_in

__all__ = ["Request"]

Request: Any = stand_in("celery.worker.request", "Request", REQUEST)

__getattr__ = absent_names("celery.worker.request", {"create_request_cls": REQUEST})
