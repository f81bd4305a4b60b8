"""The envelope: one queued message as bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.envelope import PRIORITY_MAX, decode, encode, identity_of, priority_of, read_head, renewed
from celeriac.exceptions import CorruptMessage
from celeriac.message import Message

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
headers = st.dictionaries(st.text(), plain, max_size=4).map(lambda own: {**own, "task": "t", "id": "a"})


@given(headers, st.dictionaries(st.text(), plain, max_size=3), st.binary(), st.booleans())
def test_a_message_survives_the_way_through_the_envelope(own, properties, body, short):
    properties = {name: value for name, value in properties.items() if name != "priority"}
    message = Message(own, properties, body, "application/data", "binary")
    back = decode(encode(message, "exchange", "key", plain=short))
    assert (back.headers, back.body) == (own, body)
    assert (back.content_type, back.content_encoding) == ("application/data", "binary")
    assert {name: back.properties[name] for name in properties.keys() - back.properties.keys()} == {}
    assert back.properties["delivery_info"] == {"exchange": "exchange", "routing_key": "key"}


def test_it_is_written_as_kombu_writes_it():
    message = Message({"task": "t", "id": "a"}, {"correlation_id": "a", "priority": None}, b"[]")
    whole = json.loads(encode(message, "", "celery"))
    assert list(whole) == ["body", "content-encoding", "content-type", "headers", "properties"]
    tag = whole["properties"].pop("delivery_tag")
    assert len(tag) == 36
    assert whole["body"] == "W10="
    assert whole["properties"] == {
        "correlation_id": "a",
        "priority": 0,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        "body_encoding": "base64",
    }


def test_each_copy_has_a_tag_of_its_own():
    message = Message({}, {}, b"")
    tags = {json.loads(encode(message, "", "q"))["properties"]["delivery_tag"] for _ in range(3)}
    assert len(tags) == 3


def test_a_message_is_named_by_its_tag():
    payload = encode(Message({"task": "t", "id": "a"}, {}, b"[]"), "", "q")
    assert identity_of(payload) == json.loads(payload)["properties"]["delivery_tag"]


@pytest.mark.parametrize("properties", [{}, {"delivery_tag": 7}, {"delivery_tag": None}, None, []])
def test_a_message_without_a_tag_has_no_name(properties):
    assert identity_of(json.dumps({"body": "", "headers": {}, "properties": properties}).encode()) == ""
    assert identity_of(b'{"body": ""}') == identity_of(b"\xff") == identity_of(b"[" * 100_000) == ""


@given(headers, st.binary())
def test_a_renewed_message_differs_in_its_name_and_says_that_it_was_delivered_before(own, body):
    payload = encode(Message(own, {"correlation_id": "a", "priority": 3}, body), "exchange", "key")
    again = renewed(payload)
    assert identity_of(again) not in ("", identity_of(payload))
    expected = json.loads(payload)
    expected["headers"]["redelivered"] = True
    assert json.loads(again.replace(identity_of(again).encode(), identity_of(payload).encode())) == expected


def test_a_body_that_is_text_is_read_as_utf_8():
    payload = json.dumps({"body": "ü", "headers": {}, "properties": {"body_encoding": "utf-8"}}).encode()
    assert decode(payload).body == "ü".encode()


def test_headers_that_hold_no_number_are_read_as_celery_reads_them():
    payload = encode(Message({"task": "t", "id": "a", "x": float("nan")}, {}, b"[]"), "", "q")
    assert b"NaN" in payload
    assert read_head(payload).task == "t"
    assert decode(payload).body == b"[]"


def test_typed_values_in_headers_are_written():
    import datetime

    payload = encode(Message({"task": "t", "id": "a", "x": datetime.date(2030, 1, 1)}, {}, b"[]"), "", "q")
    assert json.loads(payload)["headers"]["x"] == {"__type__": "date", "__value__": "2030-01-01"}


def test_the_head_is_what_admission_decides_by():
    headers = {"task": "t", "id": "a", "eta": "2030-01-01T00:00:00", "timelimit": [20, 10.5], "retries": 2, "x": object}
    headers["x"] = [1]
    head = read_head(encode(Message(headers, {}, b""), "", "q"))
    assert (head.task, head.id, head.eta, head.timelimit, head.retries) == ("t", "a", headers["eta"], [20, 10.5], 2)


def test_a_message_without_a_task_header_may_be_of_protocol_1():
    for own in ({}, {"compression": "gzip"}, {"task": None}, None):
        payload = json.dumps({"body": "", "headers": own, "properties": {}}).encode()
        assert read_head(payload) is None


@pytest.mark.parametrize(
    "own",
    [
        {"task": 3, "id": "a"},
        {"task": "t"},
        {"task": "t", "id": 3},
        {"task": "t", "id": "a", "retries": "many"},
        {"task": "t", "id": "a", "timelimit": 3},
        {"task": "t", "id": "a", "eta": 12},
        [],
    ],
)
def test_a_header_of_the_wrong_type_is_corrupt(own):
    payload = json.dumps({"body": "", "headers": own, "properties": {}}).encode()
    with pytest.raises(CorruptMessage, match="not a task message"):
        read_head(payload)


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"{}", b'{"body": 3}', b"\xff", b'{"body": ""'])
def test_what_is_no_envelope_is_corrupt(payload):
    with pytest.raises(CorruptMessage):
        decode(payload)
    with pytest.raises(CorruptMessage):
        read_head(payload)


@pytest.mark.parametrize(
    ("priority", "clamped"), [(None, 0), (0, 0), (5, 5), (255, PRIORITY_MAX), (-3, 0), ("high", 0), (2.5, 0)]
)
def test_priorities_are_clamped(priority, clamped):
    assert priority_of(Message({}, {"priority": priority}, b"")) == clamped
