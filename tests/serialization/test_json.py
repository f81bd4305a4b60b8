"""JSON as Celery and kombu write and read it; the bytes of kombu 5.7 are recorded here."""

from __future__ import annotations

import dataclasses
import enum
import json as standard_json
import math
import sys
import types
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import DecodeError, EncodeError
from celeriac.serialization import json
from tests.serialization.values import any_text, nested, plain, with_typed


class WithMethod:
    def __json__(self) -> Any:
        return {"x": (1, UUID(int=5))}


class Number(enum.IntEnum):
    ONE = 1


class Letter(str, enum.Enum):  # noqa: UP042 - StrEnum differs: its str() is its value
    A = "a"


class Moment(datetime):
    """A subclass, as pendulum and freezegun make them."""


Pair = namedtuple("Pair", "x y")

#: A value, the bytes that kombu 5.7.0 writes for it.
WRITTEN_BY_KOMBU: list[tuple[Any, bytes]] = [
    (
        [[1, 1], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
        b'[[1, 1], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]',
    ),
    (
        datetime(2020, 1, 2, 3, 4, 5, 678),
        b'{"__type__": "datetime", "__value__": "2020-01-02T03:04:05.000678"}',
    ),
    (
        datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC),
        b'{"__type__": "datetime", "__value__": "2020-01-02T03:04:05+00:00"}',
    ),
    (date(2020, 1, 2), b'{"__type__": "date", "__value__": "2020-01-02"}'),
    (time(1, 2, 3), b'{"__type__": "time", "__value__": "01:02:03"}'),
    (time(1, 2, 3, tzinfo=UTC), b'{"__type__": "time", "__value__": "01:02:03+00:00"}'),
    (Decimal("1.50"), b'{"__type__": "decimal", "__value__": "1.50"}'),
    (UUID(int=5), b'{"__type__": "uuid", "__value__": {"hex": "00000000000000000000000000000005"}}'),
    (b"abc", b'{"__type__": "bytes", "__value__": "abc"}'),
    (b"\xff\x00", b'{"__type__": "base64", "__value__": "/wA="}'),
    ({"a": b"xx"}, b'{"a": {"__type__": "bytes", "__value__": "xx"}}'),
    ([datetime(2020, 1, 1)], b'[{"__type__": "datetime", "__value__": "2020-01-01T00:00:00"}]'),
    ("\xe9\u2028\U0001f600", b'"\\u00e9\\u2028\\ud83d\\ude00"'),
    ("\ud800", b'"\\ud800"'),
    (10**30, b"1000000000000000000000000000000"),
    (1e300, b"1e+300"),
    (math.inf, b"Infinity"),
    ({"1": 5, "1.5": 3, "null": 4}, b'{"1": 5, "1.5": 3, "null": 4}'),
]

#: Our bytes, which kombu 5.7.0 was seen to read as this value.
READ_BY_KOMBU: list[tuple[Any, bytes]] = [
    (
        [[1, 1], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
        b'[[1,1],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]',
    ),
    ("\xe9\u2028\U0001f600", b'"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80"'),
    ("\ud800", b'"\\ud800"'),
    ([1e300, 1e16, -0.0, 1e-07, -math.inf], b"[1e+300,1e+16,-0.0,1e-07,-Infinity]"),
    (10**30, b"1000000000000000000000000000000"),
    (datetime(2020, 1, 2, 3, 4, 5, 678), b'{"__type__":"datetime","__value__":"2020-01-02T03:04:05.000678"}'),
    (datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC), b'{"__type__":"datetime","__value__":"2020-01-02T03:04:05+00:00"}'),
    (date(2020, 1, 2), b'{"__type__":"date","__value__":"2020-01-02"}'),
    (time(1, 2, 3), b'{"__type__":"time","__value__":"01:02:03"}'),
    (Decimal("1.50"), b'{"__type__":"decimal","__value__":"1.50"}'),
    (UUID(int=5), b'{"__type__":"uuid","__value__":{"hex":"00000000000000000000000000000005"}}'),
    (b"abc", b'{"__type__":"bytes","__value__":"abc"}'),
    (b"\xff\x00", b'{"__type__":"base64","__value__":"/wA="}'),
]


@pytest.mark.parametrize(("value", "payload"), WRITTEN_BY_KOMBU)
def test_what_kombu_writes_is_read(value: Any, payload: bytes) -> None:
    assert json.decode(payload) == value


@pytest.mark.parametrize(("value", "payload"), READ_BY_KOMBU)
def test_what_is_written_is_what_kombu_was_seen_to_read(value: Any, payload: bytes) -> None:
    assert json.encode(value) == payload
    assert json.decode(payload) == value


@pytest.mark.parametrize(
    ("value", "read_back"),
    [
        ((1, (2,)), [1, [2]]),
        ({1: 2, 1.5: 3, None: 4, False: 5}, {"1": 2, "1.5": 3, "null": 4, "false": 5}),
        ({Letter.A: 1, Number.ONE: 2}, {"a": 1, "1": 2}),
        ([Number.ONE, Letter.A], [1, "a"]),
        (Pair(1, 2), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (WithMethod(), {"x": [1, UUID(int=5)]}),
        (Moment(2020, 1, 1), datetime(2020, 1, 1)),
    ],
)
def test_values_become_what_kombu_makes_of_them(value: Any, read_back: Any) -> None:
    assert json.decode(json.encode(value)) == read_back


@dataclasses.dataclass
class Record:
    a: int = 1


class Structure(msgspec.Struct):
    a: int = 1


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        frozenset(),
        timedelta(days=1),
        Record(),
        Structure(),
        Colour.RED,
        object(),
        1j,
        range(3),
        bytearray(b"a"),
        memoryview(b"a"),
        ValueError("x"),
        {(1, 2): 3},
        {b"key": 1},
        {UUID(int=5): 1},
        {date(2020, 1, 1): 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_kombu_refuses_is_refused(value: Any) -> None:
    for wrapped in (value, [value], {"a": value}):
        with pytest.raises(EncodeError):
            json.encode(wrapped)


def test_an_error_names_the_place_of_what_cannot_be_written() -> None:
    with pytest.raises(EncodeError, match=r"at \[0\]\['when'\]\[1\] .*builtins\.set.*task_serializer"):
        json.encode([{"when": [1, {2}]}])


def test_a_failing_json_method_is_an_encode_error() -> None:
    class Broken:
        def __json__(self) -> Any:
            raise KeyError("boo")

    with pytest.raises(EncodeError, match="boo"):
        json.encode(Broken())


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = [1]
    value.append(value)
    with pytest.raises(EncodeError):
        json.encode(value)


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    with pytest.raises(EncodeError, match="deep"):
        json.encode(nested(10**5))
    for payload in (b"[" * 10**5 + b"]" * 10**5, b'{"a":' * 10**5 + b"1" + b"}" * 10**5, b"[" * 10**5):
        with pytest.raises(DecodeError, match="deep"):
            json.decode(payload)
        with pytest.raises(DecodeError, match="deep"):
            json.decode(b'{"__type__":' + payload + b"}")


def test_moderate_nesting_round_trips() -> None:
    assert json.decode(json.encode(nested(100))) == nested(100)


@pytest.mark.parametrize("number", [b"NaN", b"[Infinity, -Infinity, 1e999]"])
def test_numbers_that_json_does_not_have_are_understood(number: bytes) -> None:
    assert repr(json.decode(number)) == repr(standard_json.loads(number))


def test_nan_is_written_as_nan_and_not_as_null() -> None:
    assert json.encode({"x": [math.nan]}) == b'{"x":[NaN]}'


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[1,]",
        b"\xff",
        b'"\xff"',
        b"\xef\xbb\xbf1",
        b'{"__type__":"foo","__value__":1}',
        b'{"__type__":"timedelta","__value__":1}',
        b'{"__type__":[1],"__value__":1}',
        b'{"__type__":null,"__value__":1}',
        b'{"__type__":"datetime","__value__":"x"}',
        b'{"__type__":"datetime","__value__":5}',
        b'{"__type__":"uuid","__value__":"00000000000000000000000000000005"}',
        b'{"__type__":"uuid","__value__":{"no":1}}',
        b'{"__type__":"decimal","__value__":"x"}',
        b'{"__type__":"base64","__value__":"\xc3\xa9"}',
        b"1" * 5000,
    ],
)
def test_damaged_json_is_a_decode_error(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        json.decode(payload)


def test_a_dictionary_that_only_resembles_a_typed_value_is_left_alone() -> None:
    for value in ({"__type__": "bytes"}, {"__type__": "bytes", "__value__": "x", "z": 1}, {"__value__": 1}):
        assert json.decode(json.encode(value)) == value


def test_a_date_may_come_with_a_time() -> None:
    assert json.decode(b'{"__type__":"date","__value__":"2020-01-01T00:00:00"}') == date(2020, 1, 1)
    assert json.decode(b'{"__type__":"datetime","__value__":"2020-01-01T00:00:00Z"}') == datetime(
        2020, 1, 1, tzinfo=UTC
    )


def test_lazy_strings_of_django_become_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class Promise:
        def __str__(self) -> str:
            return "translated"

    functional = types.ModuleType("django.utils.functional")
    functional.Promise = Promise  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "django.utils.functional", functional)
    assert json.encode(["a", Promise()]) == b'["a","translated"]'


def test_registered_types_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "_encoders", dict(json._encoders))
    monkeypatch.setattr(json, "_decoders", dict(json._decoders))
    json.register_type(timedelta, "duration", timedelta.total_seconds, lambda seconds: timedelta(seconds=seconds))
    payload = json.encode([timedelta(days=1)])
    assert payload == b'[{"__type__":"duration","__value__":86400.0}]'
    assert json.decode(payload) == [timedelta(days=1)]


@given(plain)
def test_plain_values_mean_what_the_standard_library_says(value: Any) -> None:
    payload = json.encode(value)
    assert repr(standard_json.loads(payload)) == repr(standard_json.loads(standard_json.dumps(value)))
    assert repr(json.decode(standard_json.dumps(value).encode())) == repr(value)


@given(with_typed)
def test_typed_values_round_trip(value: Any) -> None:
    assert json.decode(json.encode(value)) == value


key = st.none() | st.booleans() | st.integers() | st.floats() | any_text


@given(st.dictionaries(key, st.integers()))
def test_keys_become_the_text_that_the_standard_library_makes_of_them(value: dict[Any, int]) -> None:
    assert json.decode(json.encode(value)) == standard_json.loads(standard_json.dumps(value))


json_like = st.text(alphabet='[]{}:,"\\u0123456789.eE+-nul tf\x01é', max_size=30).map(str.encode)
damaged = st.builds(
    lambda value, at, byte: (lambda text: text[:at] + byte + text[at + 1 :])(json.encode(value)),
    with_typed,
    st.integers(0, 50),
    st.binary(max_size=1),
)


@given(st.binary(max_size=50) | json_like | damaged)
def test_arbitrary_bytes_are_read_as_the_standard_library_reads_them(payload: bytes) -> None:
    try:
        value = json.decode(payload)
    except DecodeError:
        try:
            expected = standard_json.loads(payload.decode("utf-8"))
        except ValueError:
            return
        assert "__type__" in repr(expected)
    else:
        if b"__type__" not in payload:
            assert repr(value) == repr(standard_json.loads(payload.decode("utf-8")))
