"""Strategies for values that serializers carry, shared by the tests of this folder."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

from hypothesis import strategies as st

any_text = st.text(st.characters(), max_size=20)
"""Text with lone surrogates as well: JSON carries them."""
clean_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers() | st.floats(allow_nan=False)
leaves = st.none() | st.booleans() | numbers | any_text

plain = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(any_text, inner, max_size=5), max_leaves=20
)
"""What JSON carries without help."""

typed = (
    st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=45))]))
    | st.dates()
    | st.times()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.binary(max_size=20)
)
"""What JSON carries as typed values."""

with_typed = st.recursive(
    leaves | typed,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(any_text.filter(lambda key: key != "__type__"), inner, max_size=5)
    ),
    max_leaves=20,
)

int64 = st.integers(min_value=-(2**63), max_value=2**64 - 1)
binary_safe = st.recursive(
    st.none() | st.booleans() | int64 | st.floats(allow_nan=False) | clean_text | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(clean_text, inner, max_size=5),
    max_leaves=20,
)
"""What MessagePack carries."""


def nested(levels: int) -> list[object]:
    """Return a list inside a list inside a list, this many times."""
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return value
