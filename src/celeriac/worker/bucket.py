"""Rate limits: a token bucket of capacity one, whose tokens can be reserved ahead (behaviours.md, H.117 and H.118)."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from celeriac.exceptions import ImproperlyConfigured

__all__ = ["MAX_AHEAD", "TokenBucket", "rate_per_second"]

MAX_AHEAD: Final = 60.0
"""Seconds that a token can be reserved ahead; whoever comes later asks again (DECISIONS: holds)."""

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


def rate_per_second(rate: str | float | None) -> float | None:
    """Calls per second of a rate such as ``10``, ``"10/s"``, ``"100/m"`` or ``"2/h"``; None or 0 is unlimited.

    Raises:
        ImproperlyConfigured: it is none.
    """
    if not rate:
        return None
    if isinstance(rate, (int, float)):
        return float(rate)
    number, _, unit = rate.partition("/")
    try:
        return float(number) / _UNITS[unit or "s"]
    except (ValueError, KeyError):
        raise ImproperlyConfigured(
            f"rate_limit={rate!r} is no rate; write a number with /s, /m or /h, such as '10/m'"
        ) from None


class TokenBucket:
    """Grants one call per ``1 / rate`` seconds.

    Args:
        rate: calls per second.
        clock: monotonic seconds.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        self.interval = 1.0 / rate
        self._clock = clock
        self._next = 0.0

    def reserve(self) -> tuple[float, bool]:
        """Reserve the next token.

        Returns:
            Seconds until it is due, and whether it was reserved: at most MAX_AHEAD seconds ahead are.
        """
        now = self._clock()
        due = max(self._next, now)
        if due - now > MAX_AHEAD:
            return MAX_AHEAD, False
        self._next = due + self.interval
        return due - now, True
