"""Whatever comes from the broker is run or refused: nothing else happens to the process that reads it."""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import envelope
from celeriac.app.runner import Doomed, Refused, TaskRunner
from celeriac.app.trace import Trace
from celeriac.exceptions import CorruptMessage
from celeriac.message import Head, Message
from celeriac.pools.pool import Kind, Work
from tests.app.harness import caught, make_app

APP = make_app(accept_content=["json", "yaml"], task_max_size=100_000)


@APP.task(name="echo", bind=True)
def echo(self, *args, **kwargs):
    """Say what it was called with."""
    return [args, kwargs, self.request.id]


RUNNER = TaskRunner(APP, "test@here", True)


def load(payload: bytes) -> Any:
    return RUNNER.load(Work(1, payload, "celery"))


def sent(**options: Any) -> bytes:
    with caught(APP) as messages:
        echo.apply_async((1, "two"), {"three": [3.0, None]}, **options)
    return messages[0].payload


VALID = [
    sent(),
    sent(countdown=10, expires=20, priority=3, time_limit=5, soft_time_limit=4),
    sent(headers={"x_own": {"a": 1}}, stamped_headers=["s"], stamps={"s": [1]}),
    sent(compression="gzip"),
    sent(serializer="yaml"),
    sent(link=echo.s(), link_error=echo.s(), chain=[dict(echo.s())]),
]

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("echo")
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def check(payload: bytes) -> None:
    """Admission and a child read it; both answer with a value or with our own error, and what can run runs."""
    try:
        head = envelope.read_head(payload)
    except CorruptMessage:
        pass
    else:
        assert head is None or isinstance(head, Head)
    with contextlib.suppress(CorruptMessage):
        assert isinstance(envelope.decode(payload), Message)
    job = load(payload)
    assert isinstance(job, (Trace, Doomed, Refused))
    if isinstance(job, Refused):
        assert job.run().kind is Kind.REJECT
        assert job.run().text


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(payload):
    check(payload)


@given(values)
def test_arbitrary_json_is_refused(value):
    check(json.dumps(value).encode())


parts = ["headers", "properties", "body", "content-type", "content-encoding"]


@given(st.sampled_from(VALID), st.sampled_from(parts), values)
def test_an_envelope_with_another_part_is_run_or_refused(payload, part, value):
    whole = json.loads(payload)
    whole[part] = value
    check(json.dumps(whole).encode())


@given(st.sampled_from(VALID), st.sampled_from(["headers", "properties"]), st.data())
def test_an_envelope_with_another_header_or_property_is_run_or_refused(payload, part, data):
    whole = json.loads(payload)
    name = data.draw(st.sampled_from(sorted(whole[part])) | st.text(max_size=10) | st.sampled_from(dir(dict)))
    if data.draw(st.booleans()):
        whole[part][name] = data.draw(values)
    else:
        whole[part].pop(name, None)
    check(json.dumps(whole).encode())


@given(
    values | st.tuples(values, values, values) | st.fixed_dictionaries({"task": leaves, "id": leaves, "args": values})
)
def test_any_body_is_run_or_refused(body):
    for payload in (VALID[0], json.dumps({**json.loads(VALID[0]), "headers": {}}).encode()):
        whole = json.loads(payload)
        whole["body"] = base64.b64encode(json.dumps(body).encode()).decode()
        check(json.dumps(whole).encode())


@given(st.sampled_from(VALID), st.data())
def test_a_damaged_envelope_is_run_or_refused(payload, data):
    position = data.draw(st.integers(0, len(payload) - 1))
    length = data.draw(st.integers(0, 8))
    check(payload[:position] + data.draw(st.binary(max_size=8)) + payload[position + length :])


@given(st.sampled_from(VALID), st.integers(0, 2000))
def test_an_envelope_that_is_cut_off_is_refused(payload, length):
    check(payload[: min(length, len(payload) - 1)])


@given(st.sampled_from(VALID), st.binary(max_size=100))
def test_a_body_of_arbitrary_bytes_is_refused(payload, body):
    whole = json.loads(payload)
    whole["body"] = base64.b64encode(body).decode()
    check(json.dumps(whole).encode())


# ---------------------------------------------------------------------------------------------------- known hostilities


def with_body(body: bytes, **headers: Any) -> bytes:
    whole = json.loads(VALID[0])
    whole["body"] = base64.b64encode(body).decode()
    whole["headers"].update(headers)
    return json.dumps(whole).encode()


DEEP = b"[" * 200_000
HOSTILE = {
    "deep JSON": DEEP,
    "deep header": b'{"headers": {"task": "echo", "id": "a", "x": ' + DEEP + b"}}",
    "deep body": with_body(b"[" + DEEP + b"]" * 200_000 + b", {}, {}]"),
    "deep object": with_body(b'[{"a":' * 100_000),
    "zip bomb": with_body(zlib.compress(b" " * 50_000_000), compression="application/x-gzip"),
    "unknown compression": with_body(b"[[], {}, {}]", compression="application/x-nothing"),
    "compression that is no text": with_body(b"[[], {}, {}]", compression=["gzip"]),
    "not compressed": with_body(b"[[], {}, {}]", compression="gzip"),
    "invalid UTF-8": with_body(b'[["\xff\xfe"], {}, {}]'),
    "invalid UTF-8 outside": b'{"headers": {"task": "\xff"}}',
    "lone surrogate": b'{"headers": {"task": "echo", "id": "a"}, "body": "\\ud800", "properties": {}}',
    "body that is no base64": json.dumps({**json.loads(VALID[0]), "body": "\u00fc%%%"}).encode(),
    "huge integer": b'{"headers": {"task": "echo", "id": "a", "retries": '
    + b"9" * 10_000
    + b'}, "body": "", "properties": {}}',
    "huge float": b'{"headers": {"task": "echo", "id": "a", "retries": 1e999999}, "body": "", "properties": {}}',
    "two elements": with_body(b"[[], {}]"),
    "four elements": with_body(b"[[], {}, {}, {}]"),
    "arguments that are no list": with_body(b'["ab", {}, {}]'),
    "keywords that are no mapping": with_body(b"[[], [], {}]"),
    "workflow that is no mapping": with_body(b"[[], {}, 3]"),
    "callbacks that are no list": with_body(b'[[], {}, {"callbacks": 3}]'),
    "pickle": json.dumps(
        {
            **json.loads(VALID[0]),
            "body": base64.b64encode(pickle.dumps(((), {}, {}))).decode(),
            "content-type": "application/x-python-serialize",
            "content-encoding": "binary",
        }
    ).encode(),
    "unknown content type": json.dumps({**json.loads(VALID[0]), "content-type": "application/x-nothing"}).encode(),
    "task that is no text": with_body(b"[[], {}, {}]", task=["echo"]),
    "id that is no text": with_body(b"[[], {}, {}]", id=3),
    "protocol 1 with odd limits": json.dumps(
        {
            **json.loads(VALID[0]),
            "headers": {},
            "body": base64.b64encode(b'{"task": "echo", "id": "a", "timelimit": 3}').decode(),
        }
    ).encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_only_a_defect_or_an_attacker_sends_is_refused_with_a_reason(name):
    job = load(HOSTILE[name])
    assert isinstance(job, Refused)
    outcome = job.run()
    assert outcome.kind is Kind.REJECT
    assert len(outcome.text) > len("CorruptMessage: ")
    check(HOSTILE[name])


def test_a_header_of_the_callers_own_hides_nothing_of_the_request():
    own = {"get": 1, "children": 2, "_follow_ups": [3], "is_eager": True, "called_directly": True, "x_own": 4}
    job = load(sent(headers=own))
    context = job.context
    assert context.headers == own
    assert (context.x_own, context.is_eager, context.called_directly) == (4, False, False)
    assert callable(context.get)
    assert context.follow_ups == []
    assert context.children == []


def test_odd_delivery_information_is_passed_over():
    whole = json.loads(VALID[0])
    whole["properties"]["delivery_info"] = ["odd"]
    outcome = load(json.dumps(whole).encode()).run()
    assert outcome.kind is Kind.SUCCESS


def test_a_task_knows_whether_its_message_was_delivered_before():
    def told(payload: bytes, losses: int = 0) -> bool:
        return RUNNER.load(Work(1, payload, "celery", losses)).context.delivery_info["redelivered"]

    marked = json.loads(VALID[0])
    marked["properties"]["delivery_info"]["redelivered"] = True
    assert [told(VALID[0]), told(VALID[0], losses=1)] == [False, True]
    assert [told(envelope.renewed(VALID[0])), told(json.dumps(marked).encode())] == [True, True]


def test_an_unregistered_task_is_refused_by_its_name():
    with caught(APP) as messages:
        APP.send_task("proj.far")
    assert "proj.far" in load(messages[0].payload).run().text


def test_a_message_to_be_failed_fails_without_running():
    work = Work(1, VALID[0], "celery", verdict="time_limit", hard=5.0)
    outcome = RUNNER.load(work).run()
    assert (outcome.kind, outcome.state) == (Kind.FAILURE, "FAILURE")
    assert "TimeLimitExceeded(5.0" in outcome.text
    lost = RUNNER.load(Work(1, VALID[0], "celery", verdict="lost", reason="signal 9")).run()
    assert "signal 9" in lost.text
