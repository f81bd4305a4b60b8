"""Messages for RabbitMQ that are wrong in one of many ways: properties, headers and bodies as a client sends them."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from celeriac.ids import new_task_id
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.wire import Publication
from tests.faults.corruptor import BOMB, DEEP

__all__ = ["AmqpCorruptor"]

QUEUE: Final = "celery"
TASK: Final = "tests.apps.ledger.work"
BODY: Final = b"[[0.02], {}, {}]"
PERSISTENT: Final = 2


class AmqpCorruptor:
    """Makes publications that are wrong in one of many ways."""

    def __init__(self, chance: random.Random, bomb: int = BOMB) -> None:
        self._chance = chance
        self._bomb = zlib.compress(b"[" + b" " * bomb + b"]")
        choice = chance.choice
        self.ways: dict[str, Callable[[], Publication]] = {
            "truncated": lambda: self._message(BODY[: chance.randrange(1, len(BODY) - 1)]),
            "noise": lambda: self._message(chance.randbytes(chance.randrange(1, 200))),
            "flipped": self._flipped,
            "no body": lambda: self._message(b""),
            "no properties": lambda: _publication(Properties(), BODY),
            "no headers": lambda: self._message(BODY, headers=None),
            "empty headers": lambda: self._message(BODY, headers={}),
            "no id": lambda: self._with_header("id", None),
            "id of another type": lambda: self._with_header("id", choice([5, True, ["x"], {"x": 1}])),
            "task of another type": lambda: self._with_header("task", choice([["work"], 7, {"work": 1}])),
            "no task": lambda: self._with_header("task", None),
            "eta": lambda: self._with_header("eta", choice(["yesterday", 5, ["x"]])),
            "expires": lambda: self._with_header("expires", choice(["never", {}, [1]])),
            "time limit": lambda: self._with_header("timelimit", choice(["long", [1], [1, 2, 3], 5])),
            "a table of every type": self._every_type,
            "body is no JSON": lambda: self._message(b"[[0.02], {"),
            "body is not UTF-8": lambda: self._message(b'[["\xff\xfe"], {}, {}]'),
            "body of another shape": lambda: self._message(choice([b"5", b"[]", b"{}", b"[1, 2, 3]", b"null"])),
            "arguments of another shape": lambda: self._message(b'["x", [], {}]'),
            "NaN": lambda: self._message(b"[[NaN], {}, {}]"),
            "deep": lambda: self._message(b"[" * DEEP + b"]" * DEEP),
            "content type": lambda: self._message(BODY, content_type="application/x-unknown"),
            "no content type": lambda: self._message(b"\x80\x01", content_type=None),
            "content encoding": lambda: self._message(BODY, content_encoding="klingon"),
            "pickle": lambda: self._message(BODY, content_type="application/x-python-serialize"),
            "compression": lambda: self._with_header("compression", "application/x-zip-of-unknown-kind"),
            "not compressed": lambda: self._with_header("compression", "application/x-gzip"),
            "bomb": lambda: self._with_header("compression", "application/x-gzip", body=self._bomb),
            "protocol 1": lambda: self._message(choice([b"{", b'{"id": 1}', b'{"task": "x"}', b"[]"]), headers={}),
        }

    def make(self, way: str) -> Publication:
        """One message that is wrong in this way."""
        return self.ways[way]()

    def _headers(self, task_id: str) -> dict[str, Any]:
        return {"id": task_id, "task": TASK, "lang": "py", "argsrepr": "(0.02,)", "kwargsrepr": "{}"}

    def _message(self, body: bytes, **changes: Any) -> Publication:
        task_id = new_task_id()
        properties: dict[str, Any] = {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "headers": self._headers(task_id),
            "delivery_mode": PERSISTENT,
            "correlation_id": task_id,
        }
        return _publication(Properties(**properties | changes), body)

    def _with_header(self, name: str, value: object, body: bytes = BODY) -> Publication:
        headers = self._headers(new_task_id())
        if value is None:
            del headers[name]
        else:
            headers[name] = value
        return self._message(body, headers=headers)

    def _every_type(self) -> Publication:
        """Types that JSON has not, where something else is expected."""
        odd = [Decimal("1.5"), datetime.now(UTC), b"\xff\xfe", -(2**40), 1.5, [None, {"x": [b"\x00"]}], {"x": {"y": 1}}]
        headers = self._headers(new_task_id())
        headers[self._chance.choice(["id", "task", "retries", "root_id", "timelimit"])] = self._chance.choice(odd)
        return self._message(BODY, headers=headers)

    def _flipped(self) -> Publication:
        """A byte that no JSON has, at a random place."""
        body = bytearray(json.dumps([[0.02], {}, {"chord": None, "callbacks": None}]).encode())
        body[self._chance.randrange(len(body))] = self._chance.choice(b"\x00\x01\xff\xc0")
        return self._message(bytes(body))


def _publication(properties: Properties, body: bytes) -> Publication:
    return Publication("", QUEUE, properties.encode(), body)
