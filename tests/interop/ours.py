"""The Celeriac side: ``celeriac -A tests.interop.ours worker``."""

from __future__ import annotations

import os

from celeriac import Celeriac
from tests.interop.tasks import configuration, register

app = Celeriac("interop", set_as_current=False)
app.conf.update(configuration())
app.conf.update(task_workflow_embed=True)  # workers of Celery's are among ours
app.conf.update(worker_lease=float(os.environ.get("INTEROP_LEASE", "15")))
register(app, "celeriac")
