"""A repr that is bounded and never raises."""

from __future__ import annotations

import sys
import time
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.saferepr import saferepr

#: Seconds that any one call may take here; the work is bounded to about a millisecond.
MOMENT = 0.5


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no")


class NotText:
    def __repr__(self) -> Any:
        return 5


class BrokenClass(type):
    @property
    def __module__(cls) -> Any:  # type: ignore[override]
        raise ValueError("no")


class Unspeakable(metaclass=BrokenClass):
    def __repr__(self) -> str:
        raise ValueError("no")


class Plain(list[Any]):
    """A list with the repr of a list."""


class Speaking(list[Any]):
    def __repr__(self) -> str:
        return "speaking"


class Forgetful(set[Any]):
    """A container with the repr of a set that changes while it is read."""

    __repr__ = set.__repr__

    def __iter__(self) -> Any:
        raise RuntimeError("changed size during iteration")


Pair = namedtuple("Pair", "x y")


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        (),
        [],
        {},
        (1,),
        ([1],),
        {1, 2},
        frozenset({1}),
        set(),
        frozenset(),
        "it's",
        b"ab",
        bytearray(b"ab"),
        1.5,
        None,
        True,
        10**50,
        -(10**50),
        {1: 2, "a": [3, None]},
        object,
        "\xe9\n\ud800",
        Plain([1]),
        Speaking([1]),
        Pair(1, [2]),
        deque([1]),
        OrderedDict(a=1),
        defaultdict(int, a=1),
        range(10**9),
    ],
    ids=repr,
)
def test_small_values_print_as_python_prints_them(value: Any) -> None:
    assert saferepr(value) == repr(value)
    assert saferepr([value]) == repr([value])


def test_deep_levels_are_left_out() -> None:
    assert saferepr({"a": {"b": {"c": {"d": 1}}}}) == "{'a': {'b': {'c': {...}}}}"
    assert saferepr([[[[[1]]]]]) == "[[[[...]]]]"
    assert saferepr(((((1,),),),), max_levels=2) == "(((...),),)"


def test_a_value_that_contains_itself_is_printed_once() -> None:
    value: list[Any] = [1]
    value.append(value)
    assert saferepr(value) == "[1, [...]]"
    table: dict[str, Any] = {}
    table["self"] = table
    assert saferepr(table, max_levels=100) == "{'self': {...}}"


def test_the_same_value_twice_is_no_recursion() -> None:
    inner = [1, [2]]
    assert saferepr([inner, inner]) == "[[1, [2]], [1, [2]]]"


def test_long_texts_end_in_dots() -> None:
    assert saferepr("a" * 3000) == "'" + "a" * 1020 + "..."
    assert saferepr("abcdef", 5) == "'a..."
    assert saferepr(list(range(2000))).startswith("[0, 1, 2, ")


@pytest.mark.parametrize(
    "value",
    [
        [list(range(10**6))] * 10**6,
        ["x" * 10**7] * 10**6,
        dict.fromkeys(range(10**4), "x" * 1000),
        bytes(10**7),
        set(range(10**6)),
        deque(range(10**6)),
        Counter(range(10**5)),
        Speaking(range(10**6)),
        dict.fromkeys(range(10**6)).keys(),
        10**100_000,
        [10**100_000],
    ],
    ids=lambda value: type(value).__name__,
)
def test_huge_values_take_a_moment_and_little_room(value: Any) -> None:
    before = time.perf_counter()
    text = saferepr(value)
    assert time.perf_counter() - before < MOMENT
    assert len(text) <= 1024


def test_a_repr_that_fails_is_replaced_by_a_description() -> None:
    assert saferepr((Broken(), 1)).startswith(f"(<{__name__}.Broken at 0x")
    assert saferepr((Broken(), 1)).endswith(": its repr raised ValueError>, 1)")
    assert "TypeError" in saferepr(NotText())


def test_values_that_break_everything_are_still_printed() -> None:
    assert "unprintable" in saferepr(Unspeakable())
    assert "unprintable: RuntimeError" in saferepr(Forgetful())


def test_integers_longer_than_python_is_told_to_print_are_described() -> None:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(sys.int_info.str_digits_check_threshold)
    try:
        assert saferepr((10**700,)) == "(<int of 2326 bits>,)"
        assert saferepr((10**600,)) == f"({10**600},)"
    finally:
        sys.set_int_max_str_digits(limit)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(Broken),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(inner, inner)
        | st.builds(Plain, st.lists(inner))
    ),
)


@given(values, st.integers(0, 200), st.integers(0, 10))
def test_any_value_fits(value: Any, max_length: int, max_levels: int) -> None:
    assert len(saferepr(value, max_length, max_levels)) <= max_length


plain = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4) | st.tuples(inner),
    max_leaves=10,
)


@given(plain)
def test_what_fits_prints_as_python_prints_it(value: Any) -> None:
    assert saferepr(value, max_length=10**6, max_levels=100) == repr(value)
