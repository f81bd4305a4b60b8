"""Entries of ``unacked``, ours and those of Celery workers, as values (protocol.md, section 5.1). No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from celeriac.envelope import PRIORITY_MAX

__all__ = ["Entry", "priority_of", "read_entry"]


class Entry(msgspec.Struct, frozen=True):
    """A delivery as the server keeps it.

    Attributes:
        payload: the encoded message, untouched.
        exchange: ``""`` for the default exchange, whose routing keys are queues.
        routing_key: where it was addressed to.
    """

    payload: bytes
    exchange: str
    routing_key: str


class _Properties(msgspec.Struct):
    priority: Any = 0


class _Envelope(msgspec.Struct):
    properties: _Properties = msgspec.field(default_factory=_Properties)


_decode_entry = msgspec.json.Decoder(tuple[msgspec.Raw, str, str]).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def read_entry(entry: bytes) -> Entry | None:
    """Read an entry; None when it is not one.

    Ours hold the envelope as it was published, which need not be JSON.
    """
    try:
        raw, exchange, routing_key = _decode_entry(entry)
        return Entry(bytes(raw), exchange, routing_key)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    payload, separator, queue = entry.rpartition(b',"","')
    if not separator or not payload.startswith(b"["):
        return None
    try:
        return Entry(payload[1:], "", msgspec.json.decode(b'"' + queue[:-1], type=str))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def priority_of(payload: bytes) -> int:
    """The priority that an envelope says, 0 when it says none."""
    try:
        priority = _decode_envelope(payload).properties.priority
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    return max(0, min(PRIORITY_MAX, priority)) if isinstance(priority, int) else 0
