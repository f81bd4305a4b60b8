"""Entries of ``unacked``, ours and Celery's."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from celeriac.stores.redis.claiming import is_ours, tail_of
from celeriac.stores.redis.entries import Entry, priority_of, read_entry

queues = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.binary().filter(lambda payload: not payload.startswith(b'",')), queues)
def test_our_entry_gives_back_any_payload_untouched(payload: bytes, queue: str) -> None:
    assert read_entry(b"[" + payload + tail_of(queue)) == Entry(payload, "", queue)


@given(st.dictionaries(st.text(), st.integers()), queues, queues)
def test_an_entry_of_kombu_is_read(envelope: dict[str, int], exchange: str, routing_key: str) -> None:
    try:
        text = json.dumps([envelope, exchange, routing_key])
        text.encode()
    except UnicodeEncodeError:
        return
    found = read_entry(text.encode())
    assert found is not None
    assert (json.loads(found.payload), found.exchange, found.routing_key) == (envelope, exchange, routing_key)


def test_what_is_no_entry_is_none() -> None:
    for entry in (b"", b"[]", b"text", b'{"a": 1}', b'[{}, ""]', b'x,"","q"]', b'[x,"","\xff"]'):
        assert read_entry(entry) is None


def test_the_priority_is_that_of_the_properties() -> None:
    assert priority_of(b'{"properties": {"priority": 7}}') == 7
    assert priority_of(b'{"properties": {"priority": 99}}') == 9
    for payload in (b"", b"{}", b'{"properties": {}}', b'{"properties": {"priority": null}}', b"[1]", b"\xff"):
        assert priority_of(payload) == 0


def test_our_claims_are_known_from_delivery_tags() -> None:
    assert is_ours(b"0123456789abcdef:000000000001")
    for tag in (b"69daedc8-4548-4b1a-ace9-0d8c045c7fa1", b"0123456789abcdef:", b"0123456789abcdef", b"abc:1", b""):
        assert not is_ours(tag)
