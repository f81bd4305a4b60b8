"""A program that sends tasks, told what to do by lines of JSON on its standard input.

The same file serves Celeriac's client and, run by the interpreter that has Celery, Celery's. Each request is
``{"do": <method>, ...}``, each answer ``{"value": ...}`` or ``{"error": <type>, "text": ...}``. An id is written to the
ledger before it is sent (``try``) and once the client has returned (``sent``).
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
import uuid
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

APP = importlib.import_module(os.environ["FAULTS_APP"])
PREFIX = "tests.apps.ledger."
BATCH = 1000
"""Messages that are sent at once where a client can do so."""
PAUSE = 0.001
"""Seconds between two looks at the clock while the rate is kept."""


class Sender:
    """What a scenario can ask for."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._errors: Counter[str] = Counter()
        self._texts: dict[str, str] = {}
        self._slowest = 0.0
        self._done = 0

    def send(self, task: str, args: list[Any], options: dict[str, Any]) -> str:
        """Send one; what the client raises is raised."""
        task_id = str(uuid.uuid4())
        APP.write("try", task_id)
        begun = time.monotonic()
        try:
            APP.app.send_task(PREFIX + task, tuple(args), task_id=task_id, **options)
        finally:
            self._slowest = max(self._slowest, time.monotonic() - begun)
        APP.write("sent", task_id)
        return task_id

    def send_linked(self, task: str, args: list[Any], link: str) -> str:
        """Send one with a task that is to be called with its result."""
        task_id = str(uuid.uuid4())
        signature = APP.app.signature(PREFIX + link, args=(task_id,), immutable=True)
        APP.write("try", task_id)
        APP.app.send_task(PREFIX + task, tuple(args), task_id=task_id, link=signature)
        APP.write("sent", task_id)
        return task_id

    def flood(self, count: int, due: float) -> None:
        """Send tasks that are all due at that time, seconds since the epoch."""
        eta = datetime.fromtimestamp(due, UTC)
        batch = getattr(APP.app, "batch", nullcontext)
        for start in range(0, count, BATCH):
            with batch():
                for _ in range(min(BATCH, count - start)):
                    APP.app.send_task(PREFIX + "flood", (), eta=eta, ignore_result=True)

    def load(self, task: str, args: list[Any], options: dict[str, Any], count: int | None, rate: float | None) -> None:
        """Send ``count`` of them in the background, ``rate`` a second (None: as fast as it goes)."""
        self._over.clear()
        self._thread = threading.Thread(target=self._load, args=(task, args, options, count, rate), daemon=True)
        self._thread.start()

    def _load(self, task: str, args: list[Any], options: dict[str, Any], count: int | None, rate: float | None) -> None:
        begun, sent = time.monotonic(), 0
        while not self._over.is_set() and (count is None or sent < count):
            if rate is not None and sent >= (time.monotonic() - begun) * rate:
                time.sleep(PAUSE)
                continue
            sent += 1
            try:
                self.send(task, args, options)
            except Exception as error:  # whatever a client raises is counted by its type
                self._errors[type(error).__name__] += 1
                self._texts.setdefault(type(error).__name__, str(error))
            self._done = sent

    def stop(self) -> None:
        """End the load."""
        self._over.set()

    def join(self, timeout: float) -> dict[str, Any]:
        """Wait until the load is over; returns what came of it."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self.figures()

    def figures(self) -> dict[str, Any]:
        """What came of the load until now."""
        running = self._thread is not None and self._thread.is_alive()
        return {
            "running": running,
            "sent": self._done,
            "errors": dict(self._errors),
            "texts": self._texts,
            "slowest": self._slowest,
        }

    def fresh(self) -> None:
        """Forget the slowest call and the errors of before."""
        self._slowest = 0.0
        self._errors.clear()
        self._texts.clear()

    def get(self, task_id: str, timeout: float) -> Any:
        """A result."""
        return APP.app.AsyncResult(task_id).get(timeout=timeout)


def main() -> None:
    """Answer until the input ends."""
    sender = Sender()
    for line in sys.stdin:
        request = json.loads(line)
        begun = time.monotonic()
        try:
            answer = {"value": getattr(sender, request.pop("do"))(**request)}
        except Exception as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        answer["took"] = time.monotonic() - begun
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
