"""Messages that are wrong in one of many ways."""

from __future__ import annotations

import base64
import json
import random
import zlib
from collections.abc import Callable
from typing import Any, Final

from celeriac.ids import new_task_id

__all__ = ["Corruptor"]

DEEP: Final = 10_000
"""Levels of nesting: more than any recursion limit."""
BOMB: Final = 200 * 1024 * 1024
"""Bytes after decompression: above ``task_max_size``."""


class Corruptor:
    """Makes messages that are wrong in one of many ways."""

    def __init__(self, chance: random.Random, bomb: int = BOMB) -> None:
        self._chance = chance
        self._bomb = zlib.compress(b"[" + b" " * bomb + b"]")
        self.ways: dict[str, Callable[[], bytes]] = {
            "truncated": self._truncated,
            "noise": lambda: chance.randbytes(chance.randrange(1, 200)),
            "not an object": lambda: chance.choice([b"[]", b"1", b"null", b'"text"', b"{}", b""]),
            "flipped": self._flipped,
            "no body": lambda: self._envelope(body=None),
            "no headers": lambda: self._envelope(headers=None),
            "headers of another type": lambda: self._envelope(headers=[1, 2]),
            "no properties": lambda: self._envelope(properties=None),
            "no id": lambda: self._with_header("id", None),
            "id of another type": lambda: self._with_header("id", 5),
            "task of another type": lambda: self._with_header("task", ["work"]),
            "eta": lambda: self._with_header("eta", "yesterday"),
            "time limit": lambda: self._with_header("timelimit", "long"),
            "base64": lambda: self._envelope(body="*not base64*"),
            "body is no JSON": lambda: self._body(b"[[0.02], {"),
            "body is not UTF-8": lambda: self._body(b'[["\xff\xfe"], {}, {}]'),
            "body of another shape": lambda: self._body(chance.choice([b"5", b"[]", b"{}", b"[1, 2, 3]", b"null"])),
            "arguments of another shape": lambda: self._body(b'["x", [], {}]'),
            "NaN": lambda: self._body(b"[[NaN], {}, {}]"),
            "deep": lambda: self._body(b"[" * DEEP + b"]" * DEEP),
            "content type": lambda: self._envelope(**{"content-type": "application/x-unknown"}),
            "content encoding": lambda: self._envelope(**{"content-encoding": "klingon"}),
            "pickle": lambda: self._envelope(**{"content-type": "application/x-python-serialize"}),
            "compression": lambda: self._with_header("compression", "application/x-zip-of-unknown-kind"),
            "not compressed": lambda: self._with_header("compression", "application/x-gzip"),
            "bomb": lambda: self._compressed(self._bomb),
            "protocol 1": lambda: self._protocol_1(chance.choice(["{", '{"id": 1}', '{"task": "x"}', "[]"])),
        }

    def make(self, way: str) -> bytes:
        """One message that is wrong in this way."""
        return self.ways[way]()

    def _parts(self) -> dict[str, Any]:
        task_id = new_task_id()
        body = base64.b64encode(b"[[0.02], {}, {}]").decode()
        return {
            "body": body,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "id": task_id,
                "task": "tests.apps.ledger.work",
                "lang": "py",
                "argsrepr": "(0.02,)",
                "kwargsrepr": "{}",
            },
            "properties": {
                "correlation_id": task_id,
                "delivery_info": {"exchange": "", "routing_key": "celery"},
                "delivery_tag": new_task_id(),
                "priority": 0,
                "body_encoding": "base64",
            },
        }

    def _envelope(self, **changes: Any) -> bytes:
        parts = self._parts()
        for name, value in changes.items():
            if value is None:
                del parts[name]
            else:
                parts[name] = value
        return json.dumps(parts).encode()

    def _with_header(self, name: str, value: object) -> bytes:
        headers = self._parts()["headers"] | {name: value}
        return self._envelope(headers=headers)

    def _body(self, body: bytes) -> bytes:
        return self._envelope(body=base64.b64encode(body).decode())

    def _compressed(self, body: bytes) -> bytes:
        headers = self._parts()["headers"] | {"compression": "application/x-gzip"}
        return self._envelope(headers=headers, body=base64.b64encode(body).decode())

    def _protocol_1(self, body: str) -> bytes:
        return self._envelope(headers={}, body=base64.b64encode(body.encode()).decode())

    def _truncated(self) -> bytes:
        whole = self._envelope()
        return whole[: self._chance.randrange(1, len(whole) - 1)]

    def _flipped(self) -> bytes:
        """A byte that no JSON has, at a random place."""
        whole = bytearray(self._envelope())
        whole[self._chance.randrange(len(whole))] = self._chance.choice(b"\x00\x01\xff\xc0")
        return bytes(whole)
