"""Between the envelope that the rest of Celeriac reads and a message as AMQP carries it.

AMQP carries what kombu's JSON envelope (:mod:`celeriac.envelope`) holds in three parts: properties, a table of headers
and the raw body. A message of ours is on the wire what Celery 5.7 would have sent, so that both share queues; what we
remember about a message travels in headers of our own (:mod:`~celeriac.stores.amqp.names`), which the worker never
sees. No I/O.
"""

from __future__ import annotations

import binascii
from typing import Any, Final

import msgspec

from celeriac import envelope
from celeriac.exceptions import CorruptMessage, DecodeError, EncodeError
from celeriac.serialization.json import decode as decode_typed_json
from celeriac.serialization.json import encode as encode_typed_json
from celeriac.stores.amqp.names import GRANTED, HOLDS, LOSSES, OWN_EXCHANGES, OWN_HEADERS
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.usual import usual_content, usual_payload
from celeriac.stores.amqp.wire import Incoming

__all__ = ["NO_MARKS", "Content", "Marks", "content_of", "payload_of", "read", "remarked", "visible"]

_PROPERTIES: Final = (
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)
"""Of an envelope's properties those that AMQP has; the others are made by kombu's virtual transports for themselves."""
_TYPED: Final = b'"__type__"'
"""In a payload whose headers may hold values that JSON has not (kombu's way of writing them)."""
_FALLBACK_TYPE: Final = "application/data"
_FALLBACK_ENCODING: Final = "binary"


class Content(msgspec.Struct, frozen=True, gc=False):
    """A message as AMQP carries it, its properties encoded."""

    properties: bytes
    body: bytes


class Marks(msgspec.Struct, frozen=True, gc=False):
    """What we remember about a message, see :class:`celeriac.stores.store.Delivery`."""

    losses: int = 0
    holds: int = 0
    granted: bool = False


NO_MARKS: Final = Marks()


def content_of(payload: bytes) -> Content:
    """A message that is to be published.

    Raises:
        CorruptMessage: the payload is no envelope.
        EncodeError: a header's value fits in no AMQP table.
    """
    usual = usual_content(payload)
    if usual is not None:
        return Content(*usual)
    message = envelope.decode(payload)
    headers, given = message.headers, message.properties
    if _TYPED in payload:
        try:
            headers = decode_typed_json(payload)["headers"]
        except DecodeError as error:
            raise CorruptMessage(f"not a task message: {error}") from None
    properties = Properties(
        content_type=message.content_type, content_encoding=message.content_encoding, headers=headers
    )
    for name in _PROPERTIES:
        value = given.get(name)
        if value is not None:
            setattr(properties, name, value)
    if properties.message_id is None:
        # What names this message and no other, however often it is delivered (envelope.identity_of).
        properties.message_id = str(given.get("delivery_tag") or "") or None
    return Content(_encoded(properties), message.body)


def _encoded(properties: Properties) -> bytes:
    try:
        return properties.encode()
    except (ValueError, TypeError, OverflowError) as error:
        raise EncodeError(f"AMQP cannot carry the message's headers or properties: {error}") from None


def read(incoming: Incoming, queue: str = "") -> tuple[bytes, Marks]:
    """A delivery's payload as an envelope, and what we remember about it.

    Args:
        incoming: the delivery.
        queue: where it comes from: what came through exchanges of ours was meant for it.

    What is no message, or one without headers, becomes a payload that admission refuses with a reason.
    """
    is_ours = incoming.exchange.startswith(OWN_EXCHANGES)
    if not (is_ours or incoming.redelivered) and (payload := usual_payload(incoming)) is not None:
        return payload, NO_MARKS
    try:
        properties = Properties.decode(incoming.properties)
    except CorruptMessage:
        return b"", NO_MARKS
    headers = properties.headers or {}
    marks = NO_MARKS
    if not OWN_HEADERS.isdisjoint(headers):
        marks = marks_of(headers)
        headers = visible(headers)
    return payload_of(properties, headers, incoming, queue if is_ours else ""), marks


def visible(headers: dict[str, Any]) -> dict[str, Any]:
    """The headers that a worker sees."""
    return {name: value for name, value in headers.items() if name not in OWN_HEADERS}


def payload_of(properties: Properties, headers: dict[str, Any], incoming: Incoming, queue: str = "") -> bytes:
    """The envelope of a message.

    Args:
        properties: its own.
        headers: those that are seen.
        incoming: how it was addressed; and its body.
        queue: the queue that it is said to be addressed to instead.
    """
    made: dict[str, Any] = {}
    for name in _PROPERTIES:
        value = getattr(properties, name)
        if value is not None:
            made[name] = value
    address: dict[str, Any] = {
        "exchange": "" if queue else incoming.exchange,
        "routing_key": queue or incoming.routing_key,
    }
    if incoming.redelivered:
        address["redelivered"] = True  # as kombu's virtual transports say it (protocol.md, section 4)
    made["delivery_info"] = address
    made["priority"] = properties.priority or 0
    made["body_encoding"] = "base64"
    made["delivery_tag"] = properties.message_id or ""
    written = {
        "body": binascii.b2a_base64(incoming.body, newline=False).decode("ascii"),
        "content-encoding": properties.content_encoding or _FALLBACK_ENCODING,
        "content-type": properties.content_type or _FALLBACK_TYPE,
        "headers": headers,
        "properties": made,
    }
    return encode_typed_json(written)


def marks_of(headers: dict[str, Any]) -> Marks:
    """What we remember about a message with these headers; what makes no sense there counts as nothing."""
    losses, holds = headers.get(LOSSES), headers.get(HOLDS)
    return Marks(
        losses if isinstance(losses, int) else 0, holds if isinstance(holds, int) else 0, bool(headers.get(GRANTED))
    )


def remarked(raw: bytes, marks: Marks, *, expiration: str | None = None, extra: dict[str, Any] | None = None) -> bytes:
    """The encoded properties of a copy of a message, with other marks.

    Args:
        raw: the message's own properties.
        marks: what is to be remembered.
        expiration: of the copy, milliseconds; None keeps the message's, empty is none.
        extra: further headers.

    Raises:
        CorruptMessage: they are no properties.
    """
    properties = Properties.decode(raw)
    headers = visible(properties.headers or {})
    if marks.losses:
        headers[LOSSES] = marks.losses
    if marks.holds:
        headers[HOLDS] = marks.holds
    if marks.granted:
        headers[GRANTED] = True
    headers.update(extra or {})
    properties.headers = headers
    if expiration is not None:
        properties.expiration = expiration or None
    return properties.encode()
