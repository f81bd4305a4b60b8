"""Field tables: what is written is read again, by us and by pamqp, and damaged bytes are an error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode

from celeriac.exceptions import CorruptMessage, EncodeError
from celeriac.stores.amqp.table import decode_table, encode_table, short

names = st.text(max_size=60).filter(lambda text: len(text.encode()) <= 255)
times = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(
    lambda time: time.replace(microsecond=0, tzinfo=UTC)
)
decimals = st.integers(-(2**31), 2**31 - 1).flatmap(
    lambda number: st.integers(0, 255).map(lambda places: Decimal(number).scaleb(-places))
)
leaves = (
    st.text()
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary().filter(lambda value: not _is_text(value))
    | times
    | decimals
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
tables = st.dictionaries(names, values, max_size=6)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(tables)
def test_what_is_written_is_read_again(table: dict[str, Any]) -> None:
    raw = encode_table(table)
    assert decode_table(b"abc" + raw + b"def", 3) == (table, 3 + len(raw))


@given(tables)
def test_pamqp_reads_the_same(table: dict[str, Any]) -> None:
    raw = encode_table(table)
    assert decode.field_table(raw) == (len(raw), table)


@given(tables, st.data())
def test_a_table_that_was_cut_off_is_an_error(table: dict[str, Any], data: st.DataObject) -> None:
    raw = encode_table(table)
    with pytest.raises(CorruptMessage):
        decode_table(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(st.binary())
def test_any_bytes_are_a_table_or_an_error(raw: bytes) -> None:
    try:
        _, end = decode_table(raw)
    except CorruptMessage:
        return
    assert end <= len(raw)


@given(tables, st.data())
def test_flipped_bits_never_raise_anything_else(table: dict[str, Any], data: st.DataObject) -> None:
    raw = bytearray(encode_table(table))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decode_table(bytes(raw))
    except CorruptMessage:
        return


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (1, b"I\x00\x00\x00\x01"),
        (-1, b"I\xff\xff\xff\xff"),
        (2**31, b"l\x00\x00\x00\x00\x80\x00\x00\x00"),
        (True, b"t\x01"),
        (None, b"V"),
        (1.5, b"d?\xf8\x00\x00\x00\x00\x00\x00"),
        ("é", b"S\x00\x00\x00\x02\xc3\xa9"),
        (b"\xff", b"S\x00\x00\x00\x01\xff"),
        ((1, 2), b"A\x00\x00\x00\nI\x00\x00\x00\x01I\x00\x00\x00\x02"),
        ({"a": {"b": 1}}, b"F\x00\x00\x00\x0e\x01aF\x00\x00\x00\x07\x01bI\x00\x00\x00\x01"),
        (Decimal("1.25"), b"D\x02\x00\x00\x00}"),
        (Decimal("3E+2"), b"D\x00\x00\x00\x01\x2c"),
        (datetime(2020, 1, 1), b"T\x00\x00\x00\x00^\x0b\xe1\x00"),
        (datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=2))), b"T\x00\x00\x00\x00^\x0b\xc4\xe0"),
    ],
)
def test_values_are_written_with_the_types_of_celery(value: object, raw: bytes) -> None:
    # Recorded from py-amqp 5, but for numbers of 64 bits: it writes L, and reads l as the same.
    assert encode_table({"k": value})[6:] == raw


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"b\xff", -1),
        (b"B\xff", 255),
        (b"s\xff\xff", -1),
        (b"U\xff\xff", -1),
        (b"u\xff\xff", 65535),
        (b"i\xff\xff\xff\xff", 2**32 - 1),
        (b"L" + b"\xff" * 8, -1),
        (b"f?\xc0\x00\x00", 1.5),
        (b"x\x00\x00\x00\x01a", b"a"),
    ],
)
def test_types_of_other_clients_are_read(raw: bytes, value: object) -> None:
    body = b"\x01k" + raw
    assert decode_table(len(body).to_bytes(4, "big") + body)[0] == {"k": value}


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        float("nan"),
        float("inf"),
        2**63,
        Decimal("NaN"),
        Decimal(2**40),
        Decimal("1e-300"),
        datetime(1960, 1, 1),
        {1: 2},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_amqp_does_not_have_is_an_error(value: object) -> None:
    with pytest.raises(EncodeError):
        encode_table({"k": value})


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"k": value}], ids=["list", "table"])
def test_bottomless_values_are_an_error_on_both_sides(wrap: Any) -> None:
    value: Any = 1
    for _ in range(100):
        value = wrap(value)
    with pytest.raises(EncodeError):
        encode_table({"k": value})
    raw = b""
    for _ in range(2000):
        raw = b"A" + len(raw).to_bytes(4, "big") + raw
    raw = b"\x01k" + raw
    with pytest.raises(CorruptMessage):
        decode_table(len(raw).to_bytes(4, "big") + raw)


def test_a_name_longer_than_amqp_allows_is_an_error() -> None:
    assert short("a" * 255) == b"\xff" + b"a" * 255
    for long in ("a" * 256, "é" * 128):
        with pytest.raises(EncodeError):
            short(long)
        with pytest.raises(EncodeError):
            encode_table({long: 1})


def test_subclasses_are_written_as_their_base() -> None:
    class Text(str):
        __slots__ = ()

    class Number(int):
        pass

    assert decode_table(encode_table({"a": Text("b"), "c": Number(3)}))[0] == {"a": "b", "c": 3}
