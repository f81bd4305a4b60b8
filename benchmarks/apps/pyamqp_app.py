"""py-amqp by itself: a message of the size of a Celery task, published and confirmed."""
# mypy: disable-error-code="import-not-found,import-untyped"
# pyright: reportMissingImports=false

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import amqp

from benchmarks.apps import BROKER
from benchmarks.apps.sender import Sender

BODY = b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
TASK_ID = "4cc7438e-afd4-4f8f-a2f3-f46567e7ca77"
HEADERS: dict[str, object] = {
    "lang": "py",
    "task": "benchmarks.apps.celery_app.noop",
    "id": TASK_ID,
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "root_id": TASK_ID,
    "parent_id": None,
    "argsrepr": "()",
    "kwargsrepr": "{}",
    "origin": "gen1@localhost",
    "ignore_result": False,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}
"""The headers of a Celery task (protocol.md, section 1)."""


class PyAmqpSender(Sender):
    """`basic_publish_confirm` on one channel."""

    def __init__(self) -> None:
        place = urlsplit(BROKER)
        self.connection = amqp.Connection(
            host=f"{place.hostname}:{place.port}",
            userid=place.username,
            password=place.password,
            virtual_host=unquote(place.path[1:]) or "/",
            confirm_publish=True,
        )
        self.connection.connect()
        self.channel = self.connection.channel()
        self.channel.queue_declare("celery", durable=True, auto_delete=False)

    def send(self) -> object:
        """Send one."""
        message = amqp.Message(
            BODY,
            content_type="application/json",
            content_encoding="utf-8",
            application_headers=HEADERS,
            delivery_mode=2,
            correlation_id=TASK_ID,
        )
        return self.channel.basic_publish_confirm(message, routing_key="celery")

    def call(self) -> object:
        """Nothing answers."""
        raise NotImplementedError("py-amqp is measured publishing only")

    def send_stamp(self, reference: float) -> object:
        """Nothing runs."""
        raise NotImplementedError("py-amqp is measured publishing only")

    def send_at(self, due: float) -> object:
        """Nothing is scheduled."""
        raise NotImplementedError("py-amqp is measured publishing only")


def sender() -> Sender:
    """The client's side."""
    return PyAmqpSender()
