"""Names of brokers in memory, a new one for each test."""

from __future__ import annotations

from itertools import count

_numbers = count(1)


def fresh() -> str:
    """The URL of an empty broker."""
    return f"memory://test-{next(_numbers)}"
