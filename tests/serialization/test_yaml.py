"""YAML by PyYAML's safe loader and dumper, as kombu uses them; its text is recorded here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import DecodeError, EncodeError, SerializerNotInstalled
from celeriac.serialization import yaml
from tests.serialization.values import binary_safe, nested

#: Written after a lone scalar by PyYAML's dumper in Python and not by the one in C.
END_OF_DOCUMENT = b"...\n"


@pytest.fixture
def without_pyyaml(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "yaml", None)
    yaml._library.cache_clear()
    yield
    yaml._library.cache_clear()


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        ([1, 2], b"- 1\n- 2\n"),
        ({"a": b"x"}, b"a: !!binary |\n  eA==\n"),
        (datetime(2020, 1, 1), b"2020-01-01 00:00:00\n...\n"),
        (datetime(2020, 1, 1, tzinfo=UTC), b"2020-01-01 00:00:00+00:00\n...\n"),
        (date(2020, 1, 2), b"2020-01-02\n...\n"),
        (10**30, b"1000000000000000000000000000000\n...\n"),
        ({1, 2}, b"!!set\n1: null\n2: null\n"),
        ({1: 2}, b"1: 2\n"),
        ("\xe9", b'"\\xE9"\n'),
        ([[1, 1], {}, {"callbacks": None}], b"- - 1\n  - 1\n- {}\n- callbacks: null\n"),
    ],
)
def test_the_text_is_that_of_kombu(value: Any, payload: bytes) -> None:
    assert yaml.encode(value).removesuffix(END_OF_DOCUMENT) == payload.removesuffix(END_OF_DOCUMENT)
    assert yaml.decode(payload) == value


def test_tuples_become_lists() -> None:
    assert yaml.encode((1, (2,))) == yaml.encode([1, [2]])


def test_dictionaries_keep_their_order() -> None:
    assert list(yaml.decode(yaml.encode({"b": 1, "a": 2}))) == ["b", "a"]


@pytest.mark.parametrize(
    "value", [timedelta(1), UUID(int=5), Decimal(1), object(), ValueError("x")], ids=lambda value: type(value).__name__
)
def test_what_safe_yaml_has_no_tag_for_is_refused(value: Any) -> None:
    with pytest.raises(EncodeError):
        yaml.encode([value])


def test_tags_of_python_objects_are_refused() -> None:
    with pytest.raises(DecodeError):
        yaml.decode(b"!!python/object/apply:os.getcwd []")


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    with pytest.raises(EncodeError, match="deep"):
        yaml.encode(nested(10**4))
    for opening in (b"[", b"- ", b"{a: ", b"? ", b"- {a: ["):
        with pytest.raises(DecodeError):
            yaml.decode(opening * 10**5)
    with pytest.raises(DecodeError, match="deep"):
        yaml.decode(b"[" * 10**4 + b"]" * 10**4)


def test_a_wide_document_is_not_taken_for_a_deep_one() -> None:
    value = [{"number": number} for number in range(2000)]
    assert yaml.decode(yaml.encode(value)) == value


@pytest.mark.parametrize(
    "payload", [b"- [", b"!!int", b"!!bool x", b"!!timestamp x", b"{[1]: 2}", b"\xff\xfe\xff", b"a: b: c"]
)
def test_damaged_yaml_is_a_decode_error(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        yaml.decode(payload)


@given(binary_safe)
def test_values_round_trip(value: Any) -> None:
    assert yaml.decode(yaml.encode(value)) == value


@given(st.binary(max_size=50) | st.text(alphabet="[]{}:,!&*?-|>'\"%@ \n\tab1.=<~#", max_size=40).map(str.encode))
def test_arbitrary_bytes_raise_nothing_but_decode_error(payload: bytes) -> None:
    with suppress(DecodeError):
        yaml.decode(payload)


@pytest.mark.usefixtures("without_pyyaml")
def test_without_pyyaml_the_error_names_the_extra() -> None:
    with pytest.raises(SerializerNotInstalled, match=r"celeriac\[yaml\]"):
        yaml.encode(1)
    with pytest.raises(SerializerNotInstalled, match=r"celeriac\[yaml\]"):
        yaml.decode(b"1")
