"""The app of the fault tests in real Celery, with the very same tasks. Run by the peers' interpreter only.

Celery is given what makes it lose least: acknowledgement after the run, and redelivery when a child is lost.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from celery import Celery  # the peers' environment has it, ours has not

HEARTBEAT: Final = 2
"""Seconds, for RabbitMQ: the same as Celeriac has in these runs."""

# The file of the tasks says "from celeriac import Celeriac": here that is Celery.
stand_in = ModuleType("celeriac")
stand_in.Celeriac = Celery
sys.modules["celeriac"] = stand_in

from tests.apps.ledger import app, write  # noqa: E402, F401


def address(url: str) -> tuple[str, dict[str, Any]]:
    """A URL of ours as kombu wants it, with the options that it takes elsewhere."""
    parts = urlsplit(url)
    if parts.scheme == "amqp":
        # The heartbeat is a setting there; what RabbitMQ has not confirmed would be lost without a word.
        return ";".join(each.partition("?")[0] for each in url.split(";")), {"confirm_publish": True}
    if parts.scheme != "sentinel":
        return url, {}
    places = ";".join(f"sentinel://{place}{parts.path}" for place in parts.netloc.split(","))
    return places, {"master_name": parse_qs(parts.query)["master_name"][0]}


broker, broker_options = address(os.environ["CELERIAC_BROKER_URL"])
backend, backend_options = address(os.environ["CELERIAC_RESULT_BACKEND"])
app.conf.update(
    broker_url=broker,
    broker_transport_options=broker_options,
    result_backend=backend,
    result_backend_transport_options=backend_options,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_connection_retry_on_startup=True,
    broker_heartbeat=HEARTBEAT,
)
