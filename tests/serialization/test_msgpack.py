"""MessagePack as msgpack 1.2 under kombu 5.7 writes and reads it; its bytes are recorded here."""

from __future__ import annotations

import enum
from collections import OrderedDict
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import DecodeError, EncodeError
from celeriac.serialization import msgpack
from tests.serialization.values import binary_safe, nested


class Letter(str, enum.Enum):  # noqa: UP042 - StrEnum differs: its str() is its value
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


class Structure(msgspec.Struct):
    a: int = 1


class Fraction(float):
    """A number that is not quite a built-in one."""


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        ((1, 2), b"\x92\x01\x02"),
        ({"a": b"x"}, b"\x81\xa1a\xc4\x01x"),
        (2**64 - 1, b"\xcf" + b"\xff" * 8),
        (-(2**63), b"\xd3\x80" + bytes(7)),
        ("\xe9", b"\xa2\xc3\xa9"),
        (bytearray(b"a"), b"\xc4\x01a"),
        (memoryview(b"a"), b"\xc4\x01a"),
        ([[1, 1], {}, {"callbacks": None}], b"\x93\x92\x01\x01\x80\x81\xa9callbacks\xc0"),
        (Letter.A, b"\xa1a"),
        (Number.ONE, b"\x01"),
        ([True, OrderedDict(a=Fraction(1.5))], b"\x92\xc3\x81\xa1a\xcb?\xf8" + bytes(6)),
    ],
)
def test_the_bytes_are_those_of_kombu(value: Any, payload: bytes) -> None:
    assert msgpack.encode(value) == payload


@pytest.mark.parametrize(
    "value",
    [
        datetime(2020, 1, 1),
        datetime(2020, 1, 1, tzinfo=UTC),
        date(2020, 1, 1),
        timedelta(1),
        UUID(int=5),
        Decimal(1),
        {1, 2},
        10**30,
        object(),
        "\ud800",
        Structure(),
        nested(10**4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_kombu_refuses_is_refused(value: Any) -> None:
    for wrapped in (value, [value], {"a": value}):
        with pytest.raises(EncodeError):
            msgpack.encode(wrapped)


@given(binary_safe)
def test_values_round_trip(value: Any) -> None:
    assert msgpack.decode(msgpack.encode(value)) == value


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    with pytest.raises(DecodeError, match="deep"):
        msgpack.decode(b"\x91" * 10**5)


@given(st.binary(max_size=50))
def test_arbitrary_bytes_raise_nothing_but_decode_error(payload: bytes) -> None:
    with suppress(DecodeError):
        msgpack.decode(payload)
