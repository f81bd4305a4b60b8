"""Did you mean: the known name that a wrong one was most likely meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["LIKENESS", "did_you_mean", "nearest"]

LIKENESS: Final = 0.75  # of difflib's ratio: from here on, people take two words for the same


def nearest(name: str, known: Iterable[str], likeness: float = LIKENESS) -> str | None:
    """Return the known name that is most like `name` whatever the case of its letters, or None when none is."""
    import difflib  # only when something is wrong

    by_folded = {candidate.casefold(): candidate for candidate in sorted(known)}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=likeness)
    return by_folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question to put at the end of an error message, with a semicolon before it, or nothing."""
    found = nearest(name, known)
    return f'; did you mean "{found}"?' if found is not None else ""
