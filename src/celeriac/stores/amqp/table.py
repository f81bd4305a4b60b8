"""Field tables: the headers of a message and the arguments of a declaration, to and from bytes.

Written as RabbitMQ reads them (https://www.rabbitmq.com/amqp-0-9-1-errata, section 3), and with the types that Celery
peers write and expect: whole numbers as ``I`` or ``l``, bytes and text as ``S``, times as ``T`` in whole seconds, UTC.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from celeriac.exceptions import CorruptMessage, EncodeError

__all__ = ["decode_table", "encode_table", "short"]

_DEEPEST: Final = 64
"""Tables within tables; more is an attack or a defect, and would end in a RecursionError."""
_LONGEST_NAME: Final = 255
_KNOWN_NAMES: Final = 4096
"""Names that are remembered, encoded and decoded; programs use few."""

_LENGTH: Final = struct.Struct(">I")
_INT: Final = struct.Struct(">ci")
_LONG: Final = struct.Struct(">cq")
_DOUBLE: Final = struct.Struct(">cd")
_TIME: Final = struct.Struct(">cQ")
_DECIMAL: Final = struct.Struct(">cBi")
_TAGGED: Final = struct.Struct(">cI")
_INT_RANGE: Final = range(-(2**31), 2**31)
_LONG_RANGE: Final = range(-(2**63), 2**63)
_MOST_PLACES: Final = 255

_names: dict[str, bytes] = {}
_decoded_names: dict[bytes, str] = {}


def short(text: str) -> bytes:
    """A short string: one byte of length, then UTF-8.

    Raises:
        EncodeError: it is longer than 255 bytes.
    """
    encoded = text.encode(errors="surrogateescape")
    if len(encoded) > _LONGEST_NAME:
        raise EncodeError(f"{text[:40]!r}... is {len(encoded)} bytes long; AMQP allows {_LONGEST_NAME} here")
    return bytes((len(encoded),)) + encoded


def encode_table(table: Mapping[str, Any], depth: int = 0) -> bytes:
    """A table with its length in front.

    Raises:
        EncodeError: a value has a type that AMQP tables do not have, or is too large or too deep.
    """
    if depth > _DEEPEST:
        raise EncodeError(f"headers nest deeper than {_DEEPEST} levels")
    parts: list[bytes] = []
    for name, value in table.items():
        key = _names.get(name)
        parts.append(_name(name) if key is None else key)
        kind = type(value)
        if kind is str:
            text = value.encode()
            parts.append(_TAGGED.pack(b"S", len(text)))
            parts.append(text)
        elif value is None:
            parts.append(b"V")
        else:
            parts.append(_encode(value, depth))
    body = b"".join(parts)
    return _LENGTH.pack(len(body)) + body


def _name(name: object) -> bytes:
    if type(name) is not str:
        raise EncodeError(f"the names of headers are text; {name!r} is not")
    encoded = short(name)
    if len(_names) < _KNOWN_NAMES:
        _names[name] = encoded
    return encoded


def _encode(value: Any, depth: int) -> bytes:
    """A value with its type in front."""
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        encoder = next((known for kind, known in _ENCODERS.items() if isinstance(value, kind)), None)
    if encoder is None:
        raise EncodeError(
            f"a header cannot be {type(value).__name__}: AMQP has text, bytes, numbers, times, lists and tables"
        )
    return encoder(value, depth)


def _encode_int(value: int, depth: int) -> bytes:
    value = int(value)  # of a subclass, `in range` would count
    if value in _INT_RANGE:
        return _INT.pack(b"I", value)
    if value in _LONG_RANGE:
        return _LONG.pack(b"l", value)
    raise EncodeError(f"the number {value} in a header needs more than 64 bits")


def _encode_text(value: str, depth: int) -> bytes:
    return _encode_bytes(value.encode(), depth)


def _encode_bytes(value: bytes | bytearray, depth: int) -> bytes:
    return _TAGGED.pack(b"S", len(value)) + value


def _encode_time(value: datetime, depth: int) -> bytes:
    """A time without a zone is UTC, as peers take it."""
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    seconds = int(value.timestamp())
    if seconds < 0:
        raise EncodeError(f"{value} in a header: AMQP has no times before 1970")
    return _TIME.pack(b"T", seconds)


def _encode_float(value: float, depth: int) -> bytes:
    if not math.isfinite(value):
        raise EncodeError(f"the number {value} in a header: RabbitMQ closes the connection that brings one")
    return _DOUBLE.pack(b"d", value)


def _encode_decimal(value: Decimal, depth: int) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise EncodeError(f"the number {value} in a header has no digits")
    number = int("".join(map(str, digits))) * (-1 if sign else 1) * 10 ** max(exponent, 0)
    if -exponent > _MOST_PLACES or number not in _INT_RANGE:
        raise EncodeError(f"the decimal number {value} in a header needs more than 32 bits")
    return _DECIMAL.pack(b"D", max(-exponent, 0), number)


def _encode_list(value: list[Any] | tuple[Any, ...], depth: int) -> bytes:
    if depth > _DEEPEST:
        raise EncodeError(f"headers nest deeper than {_DEEPEST} levels")
    body = b"".join([_encode(each, depth + 1) for each in value])
    return _TAGGED.pack(b"A", len(body)) + body


_ENCODERS: Final[dict[type, Callable[[Any, int], bytes]]] = {
    str: _encode_text,
    bool: lambda value, depth: b"t\x01" if value else b"t\x00",
    int: _encode_int,
    float: _encode_float,
    type(None): lambda value, depth: b"V",
    list: _encode_list,
    tuple: _encode_list,
    dict: lambda value, depth: b"F" + encode_table(value, depth + 1),
    bytes: _encode_bytes,
    bytearray: _encode_bytes,
    datetime: _encode_time,
    Decimal: _encode_decimal,
}
"""Of each type; ``bool`` stands before ``int``, which it is too."""


# --------------------------------------------------------------------------------------------------------------- decode


def decode_table(raw: bytes, position: int = 0) -> tuple[dict[str, Any], int]:
    """Read a table.

    Args:
        raw: bytes that hold it.
        position: where it begins, at its length.

    Returns:
        The table, and the position behind it. Times are aware, in UTC; text that is not UTF-8 stays bytes.

    Raises:
        CorruptMessage: these are not the bytes of a table.
    """
    try:
        return _decode_table(raw, position, 0)
    except (struct.error, IndexError, KeyError, UnicodeDecodeError, OverflowError, ValueError) as error:
        raise CorruptMessage(f"the headers are no AMQP table: {error}") from None


def _decode_table(raw: bytes, position: int, depth: int) -> tuple[dict[str, Any], int]:
    (size,) = _LENGTH.unpack_from(raw, position)
    position += 4
    end = position + size
    if end > len(raw) or depth > _DEEPEST:
        raise ValueError("a length is wrong" if end > len(raw) else "too deep")
    table: dict[str, Any] = {}
    names, length_at = _decoded_names, _LENGTH.unpack_from
    while position < end:
        start = position + 1
        position = start + raw[position]
        key = raw[start:position]
        name = names.get(key)
        if name is None:
            name = _remember(key)
        code = raw[position]
        if code == 83:  # S
            start = position + 5
            position = start + length_at(raw, position + 1)[0]
            text = raw[start:position]
            try:
                table[name] = text.decode()
            except UnicodeDecodeError:
                table[name] = text
        elif code == 86:  # V
            table[name] = None
            position += 1
        else:
            table[name], position = _DECODERS[code](raw, position + 1, depth)
    if position != end:
        raise ValueError("a length is wrong")
    return table, end


def _remember(key: bytes) -> str:
    name = key.decode()
    if len(_decoded_names) < _KNOWN_NAMES:
        _decoded_names[key] = name
    return name


_Decoder = Callable[[bytes, int, int], tuple[Any, int]]


def _fixed(layout: str, convert: Callable[..., Any] | None = None) -> _Decoder:
    """A decoder of values of one size."""
    form = struct.Struct(layout)
    unpack, size = form.unpack_from, form.size

    def decode(raw: bytes, position: int, depth: int) -> tuple[Any, int]:
        values = unpack(raw, position)
        return (values[0] if convert is None else convert(*values)), position + size

    return decode


def _decode_text(raw: bytes, position: int, depth: int) -> tuple[str | bytes, int]:
    found, end = _decode_bytes(raw, position, depth)
    try:
        return found.decode(), end
    except UnicodeDecodeError:
        return found, end


def _decode_bytes(raw: bytes, position: int, depth: int) -> tuple[bytes, int]:
    start = position + 4
    end = start + _LENGTH.unpack_from(raw, position)[0]
    if end > len(raw):
        raise ValueError("a length is wrong")
    return raw[start:end], end


def _decode_list(raw: bytes, position: int, depth: int) -> tuple[list[Any], int]:
    (size,) = _LENGTH.unpack_from(raw, position)
    position += 4
    end = position + size
    if end > len(raw) or depth > _DEEPEST:
        raise ValueError("a length is wrong" if end > len(raw) else "too deep")
    values: list[Any] = []
    while position < end:
        value, position = _DECODERS[raw[position]](raw, position + 1, depth + 1)
        values.append(value)
    if position != end:
        raise ValueError("a length is wrong")
    return values, end


def _decode_nothing(raw: bytes, position: int, depth: int) -> tuple[None, int]:
    return None, position


def _time_of(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except OSError as error:  # beyond what the C library knows
        raise ValueError(str(error)) from None


_DECODERS: Final[dict[int, _Decoder]] = {
    ord("S"): _decode_text,
    ord("V"): _decode_nothing,
    ord("t"): _fixed(">?"),
    ord("b"): _fixed(">b"),
    ord("B"): _fixed(">B"),
    ord("s"): _fixed(">h"),
    ord("U"): _fixed(">h"),
    ord("u"): _fixed(">H"),
    ord("I"): _fixed(">i"),
    ord("i"): _fixed(">I"),
    ord("l"): _fixed(">q"),
    ord("L"): _fixed(">q"),
    ord("f"): _fixed(">f"),
    ord("d"): _fixed(">d"),
    ord("D"): _fixed(">Bi", lambda places, number: Decimal(number).scaleb(-places)),
    ord("T"): _fixed(">Q", _time_of),
    ord("x"): _decode_bytes,
    ord("A"): _decode_list,
    ord("F"): lambda raw, position, depth: _decode_table(raw, position, depth + 1),
}
