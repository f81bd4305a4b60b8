"""Records of settlements: what a result backend remembers of follow-ups that the broker, elsewhere, is to publish.

A record is the follow-ups as msgpack, or nothing at all once they are published. See :meth:`Store.record`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from celeriac.exceptions import CorruptMessage
from celeriac.stores.store import Outgoing

__all__ = ["PUBLISHED", "RECORD_LIFETIME", "decode", "decode_message", "encode", "encode_message"]

RECORD_LIFETIME: Final = 86_400.0
"""Seconds that a record is kept after it was stored, and again after it was marked: a copy of a message that the broker
delivers again may lie in a backlog for hours, and a day is how long its result is known, too (result_expires)."""

PUBLISHED: Final = b""
"""The record of follow-ups that the broker has confirmed."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Outgoing]).decode

encode_message: Final = _encode
"""One message, as it stands within a record."""
decode_message: Final = msgspec.msgpack.Decoder(Outgoing).decode
"""One message of a record."""


def encode(follow_ups: Sequence[Outgoing]) -> bytes:
    """The record of follow-ups that are not published yet."""
    return _encode(list(follow_ups))


def decode(record: bytes) -> list[Outgoing]:
    """The follow-ups of a record that are not published yet.

    Raises:
        CorruptMessage: it is no record.
    """
    if record == PUBLISHED:
        return []
    try:
        return _decode(record)
    except msgspec.DecodeError as error:
        raise CorruptMessage(f"the record of a settlement cannot be read: {error}") from None
