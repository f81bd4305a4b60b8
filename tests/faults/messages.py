"""Corrupted messages among good ones, and messages that are too large (FAULTS 36, 37).

Run it long by hand:

    python -m tests.faults.messages --seconds 60
"""

from __future__ import annotations

import base64
import json
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import redis

from celeriac.exceptions import CeleriacError
from celeriac.ids import new_task_id
from tests.apps import ledger as ledger_app
from tests.faults.processes import wait_until
from tests.faults.scenario import Place, Producer, Verdict, by_hand

__all__ = ["corrupted", "oversize"]

CHILDREN: Final = "4"
CORRUPTED_A_SECOND: Final = 100
DEEP: Final = 10_000
"""Levels of nesting: more than any recursion limit."""
BOMB: Final = 200 * 1024 * 1024
"""Bytes after decompression: above ``task_max_size``."""
LIMIT: Final = 1024 * 1024


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


def corrupted(place: Place, seconds: float, seed: int = 1) -> Verdict:
    """Each corrupted message ends once, in the dead letters or as a failure, and good ones flow beside them."""
    verdict, ledger, chance = Verdict("corrupted messages"), place.ledger, random.Random(seed)
    corruptor = Corruptor(chance)
    worker = place.worker("-c", CHILDREN)
    wait_until(lambda: len(worker.children()) == int(CHILDREN), 20, "all children are up")
    pids = {process.pid for process in worker.tree()}
    producer = Producer(ledger, seconds, 100, 0.005)
    producer.start()
    sent: Counter[str] = Counter()
    ways = list(corruptor.ways)
    start = time.monotonic()
    with redis.Redis(port=place.redis.port) as client:
        while producer.is_alive():
            if sent.total() < (time.monotonic() - start) * CORRUPTED_A_SECOND:
                way = ways[sent.total() % len(ways)]
                client.lpush("celery", corruptor.make(way))
                sent[way] += 1
            else:
                time.sleep(0.001)
    flowed = len(ledger.ids("end")) / max(1, len(ledger.confirmed))
    verdict.expect_soon(place.settled, 60, "all messages ended")
    verdict.note(corrupted=sent.total(), kept=flowed)
    _judge(place, verdict, sent)
    verdict.expect(worker.process.poll() is None, "the worker died")
    verdict.expect({process.pid for process in worker.tree()} == pids, "children died")
    verdict.expect(flowed >= 0.8, f"only {flowed:.2f} of the good ones were done in time")
    ledger.attempted.update(ledger.ids("start"))  # some corruptions leave a message that can be run, and then it is
    place.judge(verdict, repeated=0)
    return verdict


def _judge(place: Place, verdict: Verdict, sent: Counter[str]) -> None:
    letters: list[Any] = place.ask(lambda store: store.dead_letters(10 * sent.total() + 10))
    payloads = Counter(letter.payload for letter in letters)
    # Short ones may be alike; each must be there as often as it was sent, so the whole number says it all.
    verdict.note(dead=len(letters))
    silent = [letter for letter in letters if not letter.reason.strip()]
    verdict.expect(not silent, f"{len(silent)} dead letters without a reason")
    verdict.expect(len(letters) <= sent.total(), f"{len(letters)} dead letters of {sent.total()}")
    reasons = Counter(letter.reason.split(":")[0] for letter in letters)
    verdict.note(reasons=dict(reasons))
    verdict.expect(len(payloads) > 0, "nothing is among the dead letters")
    ran = Counter(
        event.task_id for event in place.ledger.events("start") if event.task_id not in place.ledger.confirmed
    )
    failed = sent.total() - len(letters) - len(ran)
    verdict.note(ran_all_the_same=len(ran), failed=failed)
    with redis.Redis(port=place.redis.port) as client:
        results = sum(1 for _ in client.scan_iter("celery-task-meta-*", count=1000))
    told = results - len(place.ledger.confirmed) - len(ran)
    verdict.expect(told == failed, f"{failed} neither died nor ran, {told} of them with a failure for the sender")


def oversize(place: Place, seconds: float) -> Verdict:
    """What is above ``task_max_size`` is refused where it is sent; what is just below travels."""
    verdict, ledger = Verdict(f"oversize on {place.broker}"), place.ledger
    with place.also({"CELERIAC_TASK_MAX_SIZE": str(LIMIT)}):
        place.worker("-c", "2")
        for size in (LIMIT, 10 * LIMIT):
            try:
                ledger_app.size.delay("x" * size)
                verdict.problems.append(f"{size} characters were sent")
            except CeleriacError as error:
                verdict.note(refused_as=type(error).__name__)
                verdict.expect("task_max_size" in str(error), f"the error names no setting: {error}")
        verdict.expect(place.settled(), "something was sent")
        end = time.monotonic() + seconds / 4
        while time.monotonic() < end:
            result = ledger_app.size.delay("x" * (LIMIT // 2))
            ledger.confirmed.add(result.id)
            verdict.expect(result.get(timeout=20) == LIMIT // 2, "it came changed")
        place.judge(verdict, repeated=0)
    return verdict


if __name__ == "__main__":
    by_hand(__doc__, {"corrupted": corrupted, "oversize": oversize})
