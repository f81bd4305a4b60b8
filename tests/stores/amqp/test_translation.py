"""Between envelopes and messages as AMQP carries them: Celery's on the wire, ours in the worker."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import envelope
from celeriac.exceptions import CorruptMessage, EncodeError
from celeriac.message import Message
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.translation import Marks, content_of, payload_of, read, remarked
from celeriac.stores.amqp.usual import usual_content, usual_payload
from celeriac.stores.amqp.wire import Incoming

ID = "8409d47a-b583-4c89-9316-6124e63bdfa8"
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


def headers(**changes: Any) -> dict[str, Any]:
    """The headers of a call, in the order in which Celery sends them."""
    return {
        "lang": "py", "task": "app.add", "id": ID, "shadow": None, "eta": None, "expires": None, "group": None,
        "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": ID, "parent_id": None,
        "argsrepr": "(1, 2)", "kwargsrepr": "{}", "origin": "gen1@here", "ignore_result": False,
        "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {}, **changes,
    }  # fmt: skip


def properties(**changes: Any) -> Properties:
    values = {
        "content_type": "application/json", "content_encoding": "utf-8", "headers": headers(), "delivery_mode": 2,
        "priority": 0, "correlation_id": ID, "reply_to": "", **changes,
    }  # fmt: skip
    return Properties(**values)


def incoming(raw: bytes, body: bytes = b"[[], {}, {}]", exchange: str = "", key: str = "celery") -> Incoming:
    return Incoming(1, b"tag", 1, False, exchange, key, raw, body)


def long_way(message: Incoming) -> bytes:
    found = Properties.decode(message.properties)
    return payload_of(found, found.headers or {}, message)


@given(
    task=TEXTS, args=TEXTS, kwargs=TEXTS, origin=TEXTS, retries=st.integers(0, 300), ignored=st.booleans(),
    parent=st.none() | st.uuids().map(str), reply=st.just("") | st.uuids().map(str), priority=st.integers(0, 255),
    message_id=st.none() | st.uuids().map(str), body=st.binary(max_size=50), key=TEXTS,
)  # fmt: skip
def test_the_short_way_gives_what_the_long_way_gives(
    task: str, args: str, kwargs: str, origin: str, retries: int, ignored: bool, parent: str | None, reply: str,
    priority: int, message_id: str | None, body: bytes, key: str,
) -> None:  # fmt: skip
    found = headers(
        task=task, argsrepr=args, kwargsrepr=kwargs, origin=origin, retries=retries, ignore_result=ignored,
        parent_id=parent,
    )  # fmt: skip
    raw = properties(headers=found, reply_to=reply, priority=priority, message_id=message_id).encode()
    message = incoming(raw, body, key=key)
    short = usual_payload(message)
    plain = all(character.isascii() and character.isprintable() for character in task + args + kwargs + origin)
    if plain and not set(task + args + kwargs + origin) & {'"', "\\"} and retries < 256:
        assert short is not None, "what is usual must not take the long way"
    if short is not None:
        assert json.loads(short) == json.loads(long_way(message))


@given(cut=st.integers(0, 400), change=st.integers(0, 255))
def test_damaged_properties_never_become_another_message(cut: int, change: int) -> None:
    raw = bytearray(properties().encode())
    at = cut % len(raw)
    raw[at] ^= change
    message = incoming(bytes(raw))
    short = usual_payload(message)
    if short is not None:
        assert json.loads(short) == json.loads(long_way(message))


def test_what_is_no_message_becomes_a_payload_that_admission_refuses() -> None:
    payload, marks = read(incoming(b"\xff\xff nonsense"))
    with pytest.raises(CorruptMessage):
        envelope.read_head(payload)
    assert marks == Marks()


def test_a_message_is_on_the_wire_what_celery_sends() -> None:
    sent = Message(
        headers(), {"correlation_id": ID, "reply_to": "", "delivery_mode": 2, "priority": 3, "expiration": "60000"},
        b'[[1], {}, {"chord": null}]',
    )  # fmt: skip
    content = content_of(envelope.encode(sent, "", "celery"))
    found = Properties.decode(content.properties)
    assert content.body == b'[[1], {}, {"chord": null}]'
    assert (found.content_type, found.content_encoding) == ("application/json", "utf-8")
    assert (found.delivery_mode, found.priority, found.expiration) == (2, 3, "60000")
    assert (found.correlation_id, found.reply_to) == (ID, "")
    assert found.headers == headers()
    assert list(found.headers or {}) == list(headers())


def test_a_message_keeps_its_identity_on_its_way() -> None:
    payload = envelope.encode(Message(headers(), {}, b"[]"), "", "celery")
    content = content_of(payload)
    assert envelope.identity_of(payload)
    assert envelope.identity_of(read(incoming(content.properties))[0]) == envelope.identity_of(payload)


def test_headers_of_types_that_json_lacks_are_carried_as_py_amqp_does() -> None:
    own = {"at": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "price": Decimal("1.25"), "deep": [{"x": None}]}
    content = content_of(envelope.encode(Message(headers(**own), {}, b"[]"), "", "celery"))
    found = Properties.decode(content.properties).headers or {}
    assert found["price"] == Decimal("1.25")
    assert found["deep"] == [{"x": None}]
    assert found["at"].timestamp() == own["at"].timestamp()  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [2**64, float("inf"), float("nan")])
def test_a_header_that_amqp_cannot_carry_is_an_error_at_the_sender(value: float) -> None:
    with pytest.raises(EncodeError):
        content_of(envelope.encode(Message(headers(own=value), {}, b"[]"), "", "celery"))


def test_what_is_remembered_travels_in_headers_that_the_worker_does_not_see() -> None:
    raw = remarked(properties().encode(), Marks(losses=2, holds=3, granted=True))
    payload, marks = read(incoming(raw))
    assert marks == Marks(2, 3, True)
    assert envelope.decode(payload).headers == headers()


def test_a_copy_with_nothing_to_remember_is_the_message_itself() -> None:
    raw = properties().encode()
    assert remarked(remarked(raw, Marks(losses=1)), Marks()) == raw


@given(
    task=TEXTS, args=TEXTS, kwargs=TEXTS, origin=TEXTS, retries=st.integers(0, 2**31 - 1), ignored=st.booleans(),
    parent=st.none() | st.uuids().map(str), reply=st.just("") | st.uuids().map(str), priority=st.integers(0, 12),
    body=st.binary(max_size=50), key=TEXTS,
)  # fmt: skip
def test_the_short_way_publishes_what_the_long_way_publishes(
    task: str, args: str, kwargs: str, origin: str, retries: int, ignored: bool, parent: str | None, reply: str,
    priority: int, body: bytes, key: str,
) -> None:  # fmt: skip
    found = headers(
        task=task, argsrepr=args, kwargsrepr=kwargs, origin=origin, retries=retries, ignore_result=ignored,
        parent_id=parent,
    )  # fmt: skip
    given = {"correlation_id": ID, "reply_to": reply, "delivery_mode": 2, "priority": priority}
    payload = envelope.encode(Message(found, given, body), "", key, plain=True)
    written = usual_content(payload)
    texts = task + args + kwargs + origin + key
    plain = all(character.isascii() and character.isprintable() for character in texts)
    if plain and not set(texts) & {'"', "\\"} and retries < 10**9 and priority < 10:
        assert written is not None, "what is usual must not take the long way"
    spaced = payload.replace(b'{"body":', b'{ "body":', 1)
    assert usual_content(spaced) is None
    assert content_of(payload) == content_of(spaced)


@given(at=st.integers(0, 2000), change=st.integers(1, 255))
def test_a_changed_payload_is_published_as_the_long_way_does_or_refused(at: int, change: int) -> None:
    given = {"correlation_id": ID, "reply_to": "", "delivery_mode": 2, "priority": 3}
    payload = bytearray(envelope.encode(Message(headers(), given, b"[[], {}, {}]"), "", "celery", plain=True))
    payload[at % len(payload)] ^= change
    written = usual_content(bytes(payload))
    if written is not None:
        content = content_of(b" " + bytes(payload))
        assert written == (content.properties, content.body)
