"""The Celery side: ``celery -A tests.interop.theirs worker``. Run by the peers' interpreter only."""

from __future__ import annotations

from celery import Celery  # the peers' environment has it, ours has not

from tests.interop.tasks import configuration, register

app = Celery("interop")
app.conf.update(configuration())
register(app, "celery")
