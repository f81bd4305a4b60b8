"""Records of settlements: that what follows from a message is published already, or is to be published by a broker.

A backend whose broker is elsewhere keeps the follow-ups as msgpack, or nothing at all once they are published, see
:meth:`Store.record`. A store that publishes in the step that settles writes only the second kind: then a copy of the
message, which somebody else put into the queue, ends without a second line of successors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from celeriac.exceptions import CorruptMessage
from celeriac.stores.store import Disposition, Outgoing, Settlement

__all__ = [
    "COPY_LIFETIME",
    "PUBLISHED",
    "RECORD_LIFETIME",
    "decode",
    "decode_message",
    "encode",
    "encode_message",
    "is_followed_once",
]

RECORD_LIFETIME: Final = 86_400.0
"""Seconds that a record is kept after it was stored, and again after it was marked: a copy of a message that the broker
delivers again may lie in a backlog for hours, and a day is how long its result is known, too (result_expires)."""

COPY_LIFETIME: Final = 3600.0
"""Seconds that a store which publishes as it settles remembers that it did. Its copies come from a publication whose
reply was lost, and lie side by side in the queue, or from a Celery worker that restored what it held for too long (by
default after an hour), and are served first; the price is about 180 bytes of Redis for each message with follow-ups."""

PUBLISHED: Final = b""
"""The record of follow-ups that the broker has confirmed."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Outgoing]).decode

encode_message: Final = _encode
"""One message, as it stands within a record."""
decode_message: Final = msgspec.msgpack.Decoder(Outgoing).decode
"""One message of a record."""


def is_followed_once(settlement: Settlement) -> bool:
    """Whether a copy of its message, settled too, is to publish nothing and to store nothing.

    Not if the message goes to the dead letters: it may be replayed, and what follows from it then counts.
    """
    return bool(
        (settlement.follow_ups or settlement.effects is not None)
        and settlement.identity
        and settlement.disposition in (Disposition.ACKNOWLEDGE, Disposition.NONE)
    )


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
