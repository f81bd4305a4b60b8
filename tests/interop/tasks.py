"""The tasks that both kinds of workers have, word for word: the same functions, under the same names."""

from __future__ import annotations

import os
import time
from typing import Any

__all__ = ["QUEUE", "configuration", "register"]

QUEUE = "celery"


def configuration() -> dict[str, Any]:
    """The settings that both apps have."""
    url = os.environ.get("INTEROP_URL", "redis://127.0.0.1:1/0")
    settings: dict[str, Any] = {} if url.startswith("redis") else of_rabbitmq()
    return {
        "broker_url": url,
        "result_backend": os.environ.get("INTEROP_RESULTS", url),
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {"visibility_timeout": float(os.environ.get("INTEROP_VISIBILITY", "3600"))},
        **settings,
    }


def of_rabbitmq() -> dict[str, Any]:
    """The settings that are for RabbitMQ only."""
    quorum = os.environ.get("INTEROP_QUEUE_TYPE") == "quorum"
    return {
        "task_default_queue_type": "quorum" if quorum else "classic",
        "task_queue_max_priority": None if quorum else 10,
        "broker_transport_options": {},
    }


def write(event: str, task_id: str) -> None:
    """Append one event of a task to the ledger, in one write."""
    line = f"{event} {task_id} {os.getpid()} {time.monotonic():.6f}\n"
    descriptor = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def register(app: Any, kind: str) -> None:
    """Register the tasks with an app.

    Args:
        app: of either kind.
        kind: ``celery`` or ``celeriac``: what the tasks say about who ran them.
    """

    @app.task(name="interop.add", bind=True)
    def add(self, x, y=0):
        return {"sum": x + y, "by": kind}

    @app.task(name="interop.work", bind=True)
    def work(self, seconds=0.02):
        write("start", self.request.id)
        time.sleep(seconds)
        write("end", self.request.id)
        return kind

    @app.task(name="interop.fail", bind=True)
    def fail(self, name, *args):
        errors = {"ValueError": ValueError, "KeyError": KeyError, "Custom": Custom}
        raise errors[name](*args)

    @app.task(name="interop.retry", bind=True, max_retries=5)
    def retry(self, times):
        write(f"run-{kind}", self.request.id)
        if self.request.retries < times:
            raise self.retry(countdown=0.05)
        return self.request.retries

    @app.task(name="interop.give_up", bind=True, max_retries=1)
    def give_up(self):
        write("run", self.request.id)
        raise self.retry(countdown=0.05, exc=ValueError("in vain"))

    @app.task(name="interop.silent", bind=True, ignore_result=True)
    def silent(self):
        write("end", self.request.id)
        return "nobody hears this"

    register_workflow_tasks(app, kind)
    register_members(app, kind)


def register_members(app: Any, kind: str) -> None:
    """Register the tasks that workflows are made of."""

    @app.task(name="interop.plus", bind=True)
    def plus(self, x, y):
        write(f"plus-{kind}", self.request.id)
        return x + y

    @app.task(name="interop.total", bind=True)
    def total(self, values):
        write("total", self.request.id)
        return sum(values)

    @app.task(name="interop.same")
    def same(value):
        return value

    @app.task(name="interop.instead", bind=True)
    def instead(self, x):
        raise self.replace(app.signature("interop.plus", args=(x, 100)))


def register_workflow_tasks(app: Any, kind: str) -> None:
    """Register the tasks that others call, and that call others."""

    @app.task(name="interop.linked", bind=True)
    def linked(self, parent, label="link"):
        write(label, self.request.parent_id or self.request.root_id)
        return {"parent": parent, "by": kind}

    @app.task(name="interop.failed")
    def failed(task_id):
        """One argument: it is sent, and gets the id of what failed."""
        write("errback", task_id)

    @app.task(name="interop.failed_with")
    def failed_with(request, exc, traceback):
        """Three arguments: the worker calls it where the task failed."""
        write(f"errback-{type(exc).__name__}", request.id)

    @app.task(name="interop.request", bind=True)
    def request(self, *args, **kwargs):
        known = self.request
        return {
            "id": known.id,
            "args": list(known.args),
            "kwargs": known.kwargs,
            "retries": known.retries,
            "root_id": known.root_id,
            "parent_id": known.parent_id,
            "queue": known.delivery_info["routing_key"],
            "priority": known.delivery_info["priority"],
            "correlation_id": known.correlation_id,
            "by": kind,
        }

    @app.task(name="interop.sends", bind=True)
    def sends(self, x):
        """A task that sends another one: parent and root travel on."""
        child = app.send_task("interop.request", (x,))
        return [child.id, kind]


class Custom(Exception):
    """An exception that both sides can import."""
