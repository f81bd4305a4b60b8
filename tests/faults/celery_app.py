"""The app of the fault tests in real Celery, with the very same tasks. Run by the peers' interpreter only.

Celery is given what makes it lose least: acknowledgement after the run, and redelivery when a child is lost.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from celery import Celery  # the peers' environment has it, ours has not

# The file of the tasks says "from celeriac import Celeriac": here that is Celery.
stand_in = ModuleType("celeriac")
stand_in.Celeriac = Celery
sys.modules["celeriac"] = stand_in

from tests.apps.ledger import app, write  # noqa: E402, F401

app.conf.update(
    broker_url=os.environ["CELERIAC_BROKER_URL"],
    result_backend=os.environ["CELERIAC_RESULT_BACKEND"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        name: value for name, value in [("master_name", os.environ.get("FAULTS_MASTER"))] if value is not None
    },
)
