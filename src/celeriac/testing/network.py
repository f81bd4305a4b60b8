"""The simulated network: how long a word travels, and whether it arrives."""

from __future__ import annotations

from random import Random
from typing import Final

__all__ = ["Network"]

SHORTEST: Final = 0.0001
LONGEST: Final = 0.002
"""Seconds that a word usually travels: within a data centre."""
SLOWEST: Final = 4.0
"""Seconds that one which is late may travel: TCP sends a lost segment again for that long and longer."""


class Network:
    """Between the processes and their broker.

    Attributes:
        up: the broker can be reached.
        lost: share of the words that do not arrive: the connection breaks under them.
        late: share of those that arrive late, and so out of order.
    """

    def __init__(self, random: Random, lost: float, late: float) -> None:
        self.up = True
        self.lost = lost
        self.late = late
        self._random = random

    def trip(self) -> float | None:
        """Seconds that the next word travels; None when it is lost."""
        if not self.up or self._random.random() < self.lost:
            return None
        if self._random.random() < self.late:
            return self._random.uniform(LONGEST, SLOWEST)
        return self._random.uniform(SHORTEST, LONGEST)

    def notice(self) -> float:
        """Seconds until the end of a broken connection notices it: a reset comes at once, a time-out later."""
        return self._random.uniform(SHORTEST, LONGEST) if self._random.random() < 0.5 else self._random.uniform(0, 2.0)
