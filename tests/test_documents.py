"""Result documents."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import documents, states
from celeriac.exceptions import DecodeError, EncodeError

integers = st.integers(-(2**63), 2**63)
values = st.none() | integers | st.text() | st.floats(allow_nan=False) | st.lists(integers, max_size=3)


@given(values, st.sampled_from(sorted(states.ALL_STATES)), st.sampled_from(["json", "msgpack", "pickle", "yaml"]))
def test_a_document_survives_every_serializer(value, state, serializer):
    document = {"status": state, "result": value, "task_id": "a"}
    payload = documents.encode(document, serializer)
    accept = None if serializer != "pickle" else frozenset({"application/x-python-serialize"})
    assert documents.decode(payload, serializer, accept) == document


@given(values, st.sampled_from(sorted(states.ALL_STATES)))
def test_the_status_is_read_without_the_rest(value, state):
    payload = documents.encode({"result": value, "status": state}, "json")
    assert documents.status_of(payload, "json") == state
    assert documents.readiness("json")(payload) is (state in states.READY_STATES)


def test_a_document_with_what_is_no_number_is_read():
    payload = documents.encode({"result": float("nan"), "status": "SUCCESS"}, "json")
    assert documents.status_of(payload, "json") == "SUCCESS"


def test_a_document_without_a_result_has_none():
    assert documents.decode(b'{"status": "SUCCESS"}', "json")["result"] is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"3", b"{}", b'{"status": null}', b'{"status": ["x"]}', b"\xff", b"{"])
def test_what_is_no_document_says_so(payload):
    with pytest.raises(DecodeError):
        documents.decode(payload, "json")
    with pytest.raises(DecodeError):
        documents.status_of(payload, "json")


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_no_document(payload):
    with pytest.raises(DecodeError):
        documents.decode(payload, "json")


def test_a_compressed_document_of_a_celery_worker_is_read():
    payload = documents.COMPRESSED + b"application/x-gzip\x00" + zlib.compress(b'{"status": "SUCCESS", "result": 5}')
    assert documents.decode(payload, "json") == {"status": "SUCCESS", "result": 5}
    assert documents.status_of(payload, "json") == "SUCCESS"
    with pytest.raises(DecodeError, match="zstd"):
        documents.decode(documents.COMPRESSED + b"application/zstd\x00x", "json")
    with pytest.raises(DecodeError):
        documents.decode(documents.COMPRESSED + b"application/x-gzip\x00x", "json")


def test_what_cannot_be_written_says_so():
    with pytest.raises(EncodeError, match="JSON"):
        documents.encode({"status": "SUCCESS", "result": object()}, "json")


def test_the_time_is_aware_and_utc():
    now = datetime.fromisoformat(documents.now())
    assert now.utcoffset() == timedelta(0)


def test_the_state_is_told_of_a_document_that_pickle_wrote():
    payload = documents.encode({"status": "SUCCESS", "result": {1, 2}}, "pickle")
    assert documents.status_of(payload, "pickle") == "SUCCESS"
