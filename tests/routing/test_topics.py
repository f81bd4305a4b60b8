"""Topic patterns, against a reference that tries everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.routing.topics import matches


def slowly(pattern: list[str], key: str) -> bool:
    """Whether words of a pattern match a key, by trying every way to cut the key."""
    word, rest = pattern[0], pattern[1:]
    for end in range(len(key) + 1):
        head, tail = key[:end], key[end:]
        fits = word == "#" or (word == "*" and head != "" and "." not in head) or word == head
        if fits and ((not rest and tail == "") or (rest and tail.startswith(".") and slowly(rest, tail[1:]))):
            return True
    return False


WORDS = st.sampled_from(["a", "b", "ab", "a+", "", "\n"])
PATTERNS = st.lists(st.one_of(WORDS, st.sampled_from(["*", "#", "a*"])), min_size=1, max_size=4)
KEYS = st.lists(WORDS, min_size=0, max_size=5).map(".".join)


@given(PATTERNS, KEYS)
def test_patterns_match_as_the_reference_says(pattern: list[str], key: str) -> None:
    assert matches(".".join(pattern), key) == slowly(pattern, key)


@pytest.mark.parametrize(
    ("pattern", "key", "matched"),
    [
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a.", False),
        ("x.#", "x.y.z", True),
        ("x.#", "x", False),
        ("#", "", True),
        ("*", "a.b", False),
        ("a.#.b", "a.b", False),
        ("a.#.b", "a.x.b", True),
        ("*.b", "a.c.b", False),
        ("a+b.*", "aab.c", False),
    ],
)
def test_patterns_match_as_in_kombu(pattern: str, key: str, matched: bool) -> None:
    assert matches(pattern, key) is matched
