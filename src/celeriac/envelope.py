"""The envelope: one queued message as bytes, the way kombu's virtual transports write it (protocol.md, section 4).

Every store that is not AMQP keeps a message as one such JSON object:

    {"body": <base64 text>, "content-encoding": ..., "content-type": ..., "headers": {...}, "properties": {...}}

Two readers, from cheap to whole: :func:`read_head` parses what admission needs and skips the rest,
:func:`decode` gives the :class:`~celeriac.message.Message` with its body as bytes. Nothing here does I/O.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec

from celeriac.exceptions import CorruptMessage, DecodeError
from celeriac.ids import new_task_id
from celeriac.message import Head, Message, head_of
from celeriac.serialization.json import decode as decode_typed_json
from celeriac.serialization.json import encode as encode_typed_json

__all__ = [
    "PRIORITY_MAX",
    "carries_workflow",
    "decode",
    "encode",
    "identity_of",
    "priority_of",
    "read_head",
    "renewed",
    "reply_to_of",
]

PRIORITY_MAX: Final = 9
"""Virtual transports clamp priorities to 0..9 (protocol.md, section 4)."""


_NOTHING_FOLLOWS: Final = (
    b'{"callbacks": null, "errbacks": null, "chain": null, "chord": null}]',
    b'{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]',
)
"""How the body of a message outside of any workflow ends, as Celery and as msgspec write it."""
_OUT_OF_RANGE: Final = "Number out of range"
"""How msgspec begins to complain of a number that the standard library reads as infinite."""


class _Headed(msgspec.Struct):
    """The envelope as admission reads it: everything else is skipped."""

    headers: Head


class _Tag(msgspec.Struct, frozen=True):
    delivery_tag: str = ""
    reply_to: str | None = None


class _Tagged(msgspec.Struct):
    """The envelope's name for one message: everything else is skipped."""

    properties: _Tag = _Tag()


class _Envelope(msgspec.Struct, rename={"content_type": "content-type", "content_encoding": "content-encoding"}):
    body: str
    headers: dict[str, Any] | None = None
    properties: dict[str, Any] = {}
    content_type: str | None = None
    content_encoding: str | None = None


_decode_head = msgspec.json.Decoder(_Headed).decode
_decode_tagged = msgspec.json.Decoder(_Tagged).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_encode_json = msgspec.json.Encoder().encode


def read_head(payload: bytes) -> Head | None:
    """Read the protocol 2 headers that admission decides by.

    Returns None when the message has no ``task`` header: it may be protocol 1, which :func:`decode` and
    :func:`celeriac.message.upgrade` read.

    Raises:
        CorruptMessage: the payload is not an envelope, or a header has the wrong type.
    """
    try:
        return _decode_head(payload).headers
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        failure = error
    message = decode(payload)
    if message.headers.get("task") is None:
        return None
    try:
        return head_of(message)
    except CorruptMessage:
        raise CorruptMessage(f"not a task message: {failure}") from None


def decode(payload: bytes) -> Message:
    """Read a whole envelope.

    Raises:
        CorruptMessage: the payload is not an envelope, or its body is not what ``body_encoding`` says.
    """
    envelope = _envelope_of(payload)
    properties = envelope.properties
    try:
        if properties.get("body_encoding") == "base64":
            body = binascii.a2b_base64(envelope.body, strict_mode=True)
        else:
            body = envelope.body.encode()
    except ValueError as error:  # damaged base64, text that is no base64 at all, lone surrogates
        raise CorruptMessage(f"not a task message: its body is not what body_encoding says: {error}") from None
    return Message(
        headers=envelope.headers or {},
        properties=properties,
        body=body,
        content_type=envelope.content_type or "application/data",
        content_encoding=envelope.content_encoding or "binary",
    )


def _envelope_of(payload: bytes) -> _Envelope:
    try:
        return _decode_envelope(payload)
    except msgspec.ValidationError as error:
        if not str(error).startswith(_OUT_OF_RANGE):
            raise CorruptMessage(f"not a task message: {error}") from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    # Celery's JSON may hold NaN or Infinity, in a user's header for instance. The standard library reads those too.
    try:
        return msgspec.convert(decode_typed_json(payload), _Envelope)
    except (msgspec.ValidationError, DecodeError) as error:
        raise CorruptMessage(f"not a task message: {error}") from None


def encode(message: Message, exchange: str, routing_key: str, plain: bool = False) -> bytes:
    """Write a message as an envelope.

    Args:
        message: what to write; unknown headers and properties are kept as they are.
        exchange: the exchange it was addressed to, ``""`` for the default one.
        routing_key: the routing key, the queue's name for the default exchange.
        plain: the headers are known to hold plain JSON values only, so the short way may be taken.
    """
    properties = message.properties
    envelope = {
        "body": base64.b64encode(message.body).decode("ascii"),
        "content-encoding": message.content_encoding,
        "content-type": message.content_type,
        "headers": message.headers,
        "properties": {
            **properties,
            "delivery_mode": properties.get("delivery_mode", 2),
            "delivery_info": {"exchange": exchange, "routing_key": routing_key},
            "priority": properties.get("priority") or 0,
            "body_encoding": "base64",
            "delivery_tag": new_task_id(),
        },
    }
    return _encode_json(envelope) if plain else encode_typed_json(envelope)


def priority_of(message: Message) -> int:
    """The message's priority as virtual transports see it: clamped to 0..9, 0 when there is none."""
    priority = message.properties.get("priority")
    if not isinstance(priority, int):
        return 0
    return max(0, min(PRIORITY_MAX, priority))


def identity_of(payload: bytes) -> str:
    """What names this message and no other, however often it is delivered: the tag that each publication makes anew.

    Returns "" for a message without one: a task id can be used again on purpose, so it names no message.
    """
    try:
        return _decode_tagged(payload).properties.delivery_tag
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ""


def reply_to_of(payload: bytes) -> str:
    """The queue that results of this message are sent to, "" when there is none."""
    try:
        return _decode_tagged(payload).properties.reply_to or ""
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ""


def carries_workflow(payload: bytes) -> bool:
    """Whether something may follow from this message's end: a callback, a chain's next step, a chord's body.

    True for what only decoding would tell. It is the end of a JSON body that says that nothing does.
    """
    try:
        message = decode(payload)
    except CorruptMessage:
        return False
    if message.headers.get("compression") or message.content_type != "application/json":
        return True
    return not message.body.rstrip().endswith(_NOTHING_FOLLOWS)


def renewed(payload: bytes) -> bytes:
    """The same call as a new message, with an identity of its own, that says that it was delivered before.

    Raises:
        CorruptMessage: the payload is not an envelope.
    """
    message = decode(payload)
    message.headers["redelivered"] = True  # as Celery's requeued messages have it (protocol.md, section 4)
    info = message.properties.get("delivery_info") or {}
    return encode(message, str(info.get("exchange") or ""), str(info.get("routing_key") or ""))
