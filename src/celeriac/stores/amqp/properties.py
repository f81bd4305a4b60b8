"""The properties of a message: basic's content header (AMQP 0-9-1, section 1.8.1)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import msgspec

from celeriac.exceptions import CorruptMessage, EncodeError
from celeriac.stores.amqp.table import decode_table, encode_table, short

__all__ = ["Properties"]

_FLAGS: Final = struct.Struct(">H")
_TIMESTAMP: Final = struct.Struct(">Q")
_MORE_FLAGS: Final = 1
"""The bit that announces another word of flags; there are only fourteen properties."""


class Properties(msgspec.Struct):
    """All properties of a message; None is absent.

    Attributes:
        timestamp: seconds since the epoch.
        expiration: text of milliseconds.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    headers: dict[str, Any] | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None

    def encode(self) -> bytes:
        """Flags and values, as ``Publication.properties`` takes them.

        Raises:
            EncodeError: AMQP has no room or no type for a value.
        """
        flags = 0
        parts = [b""]
        for name, flag, encoder in _ENCODERS:
            value = getattr(self, name)
            if value is not None:
                flags |= flag
                parts.append(encoder(value))
        parts[0] = _FLAGS.pack(flags)
        return b"".join(parts)

    @classmethod
    def decode(cls, raw: bytes) -> Properties:
        """Read ``Incoming.properties``.

        Raises:
            CorruptMessage: they are no properties.
        """
        found = cls()
        try:
            (flags,) = _FLAGS.unpack_from(raw)
            if flags & _MORE_FLAGS:
                raise ValueError("unknown flags")
            position = 2
            for name, flag, decoder in _DECODERS:
                if flags & flag:
                    value, position = decoder(raw, position)
                    setattr(found, name, value)
        except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
            raise CorruptMessage(f"the properties of the message are damaged: {error}") from None
        if position != len(raw):
            raise CorruptMessage("the properties of the message are damaged: a length is wrong")
        return found


def _octet(value: int) -> bytes:
    try:
        return bytes((value,))
    except (ValueError, TypeError):
        raise EncodeError(f"priority and delivery mode are 0 to 255, not {value!r}") from None


def _time(value: int) -> bytes:
    try:
        return _TIMESTAMP.pack(value)
    except struct.error:
        raise EncodeError(f"a timestamp is whole seconds since 1970, not {value!r}") from None


def _read_text(raw: bytes, position: int) -> tuple[str, int]:
    start = position + 1
    end = start + raw[position]
    return raw[start:end].decode(), end


def _read_octet(raw: bytes, position: int) -> tuple[int, int]:
    return raw[position], position + 1


def _read_time(raw: bytes, position: int) -> tuple[int, int]:
    return _TIMESTAMP.unpack_from(raw, position)[0], position + _TIMESTAMP.size


_Read = Callable[[bytes, int], tuple[Any, int]]
_KINDS: Final[dict[str, tuple[Callable[[Any], bytes], _Read]]] = {
    "headers": (encode_table, decode_table),
    "delivery_mode": (_octet, _read_octet),
    "priority": (_octet, _read_octet),
    "timestamp": (_time, _read_time),
}
"""How those are written and read that are not short strings."""

_FIELDS: Final = [
    (name, 1 << (15 - place), *_KINDS.get(name, (short, _read_text)))
    for place, name in enumerate(Properties.__struct_fields__)
]
"""In the order of the specification: the first has the highest flag."""
_ENCODERS: Final = [(name, flag, encoder) for name, flag, encoder, _ in _FIELDS]
_DECODERS: Final = [(name, flag, decoder) for name, flag, _, decoder in _FIELDS]
