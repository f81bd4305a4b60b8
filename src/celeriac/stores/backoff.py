"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from typing import Final

__all__ = ["Backoff", "pause_before"]

_FIRST: Final = 0.05
"""Seconds before the second attempt: a restart of the server takes about that long."""
_LONGEST: Final = 1.0
"""Seconds at most while nothing answers: consumption is to go on within a second of the server's return."""
_LONGEST_FLAPPING: Final = 1.6
"""Seconds at most while connections are made and break at once: each attempt is costly for both sides."""
_STABLE: Final = 5.0
"""A connection that lived for so many seconds was a good one."""
_JITTER: Final = 0.3
"""Share of a delay that is random, so that a fleet does not come back at the same instant."""


def pause_before(attempt: int) -> float:
    """Seconds to wait before sending a command again that the server refused for the moment, from attempt 1."""
    return _delay(attempt, _LONGEST)


def _delay(failures: int, longest: float) -> float:
    return min(longest, _FIRST * 2.0 ** min(failures - 1, 16)) * (1.0 - _JITTER * random.random())


class Backoff:
    """Delays that double from attempt to attempt; one for all connections of a store.

    The first attempt after a good connection is made at once, and none waits while another connection of the store
    stands. Times are monotonic, in seconds.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._last_failure = float("-inf")
        self._flapping = False
        self._answering = True

    def delay(self, now: float) -> float:
        """Seconds to wait before the next attempt."""
        if self._answering or not self.failures:
            return 0.0
        longest = _LONGEST_FLAPPING if self._flapping else _LONGEST
        return max(0.0, self._last_failure + _delay(self.failures, longest) - now)

    def failed(self, now: float) -> None:
        """An attempt to connect failed."""
        self.failures += 1
        self._last_failure = now
        self._flapping = self._answering = False

    def connected(self) -> None:
        """A connection was made."""
        self._answering = True

    def broke(self, made: float, now: float) -> None:
        """A connection that was made at ``made`` broke; those that break together count once."""
        if now - made >= _STABLE:
            self.failures = 0
        if made >= self._last_failure:
            self.failures += 1
            self._flapping = True
        self._last_failure = now
        self._answering = False
