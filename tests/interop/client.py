"""A client of Celery, told what to do by lines of JSON on its standard input. Run by the peers' interpreter only.

Each request is ``{"do": <method>, ...}``; each answer is ``{"value": ...}`` or ``{"error": <type>, "text": ...}``.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import celery
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from tests.interop.canvas import build
from tests.interop.theirs import app


class Client:
    """What a test can ask for."""

    def __init__(self) -> None:
        self._restoring = threading.Event()
        self._ended = threading.Event()

    def send(self, task: str, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]) -> str:
        """Send a task; links are ``[task, args, kwargs, immutable]``."""
        for name in ("link", "link_error"):
            if name in options:
                task_name, link_args, link_kwargs, immutable = options[name]
                options[name] = app.signature(task_name, link_args, link_kwargs, immutable=immutable)
        return str(app.send_task(task, args, kwargs, **options).id)

    def canvas(self, plan: list[Any], timeout: float) -> Any:
        """The value of a workflow."""
        return build(celery, app, plan).apply_async().get(timeout=timeout)

    def get(self, task_id: str, timeout: float) -> Any:
        """A result, as a value or as the error that getting it raises."""
        return AsyncResult(task_id, app=app).get(timeout=timeout)

    def state(self, task_id: str) -> str:
        return str(AsyncResult(task_id, app=app).state)

    def revoke(self, task_id: str) -> None:
        app.control.revoke(task_id)

    def restore(self, on: bool) -> None:
        """Do again and again what a Celery worker does now and then: restore what is older than the time-out."""
        if on:
            self._restoring.set()
            threading.Thread(target=self._restore, daemon=True).start()
        else:
            self._restoring.clear()
            self._ended.wait(10)

    def _restore(self) -> None:
        with app.connection() as connection:
            channel = connection.default_channel
            while self._restoring.is_set():
                channel.qos.restore_visible(interval=1)
                self._ended.wait(0.2)
        self._ended.set()


def main() -> None:
    """Answer until the input ends."""
    client = Client()
    for line in sys.stdin:
        request = json.loads(line)
        method = getattr(client, request.pop("do"))
        try:
            answer = {"value": method(**request)}
        except (Exception, TaskRevokedError) as error:
            answer = {"error": type(error).__name__, "text": str(error), "args": [str(each) for each in error.args]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
