"""The app of a ``celeryconfig`` module, for commands that are given none: the processes of a worker find it here."""

from __future__ import annotations

from celeriac_dropin.modules.app_base import Celery

__all__ = ["app"]

app = Celery("default", loader="default", set_as_current=False)
app.set_default()
