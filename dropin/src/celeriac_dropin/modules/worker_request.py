"""``celery.worker.request``: what a worker knows of a delivery; its own here, and not to be replaced."""

from __future__ import annotations

from celeriac_dropin.absences import REQUEST, absent_names

__getattr__ = absent_names("celery.worker.request", {"Request": REQUEST, "create_request_cls": REQUEST})
