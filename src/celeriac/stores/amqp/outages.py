"""What is said of outages: one warning for each, however many connections break and attempts fail in it."""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["Outages"]

_QUIET: Final = 5.0
"""Seconds without trouble after which the next trouble is a new outage."""
_REMINDER: Final = 60.0
"""Seconds after which an outage that goes on is mentioned again."""


class Outages:
    """Shared by the connections of a store. Times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._trouble = float("-inf")
        self._said = float("-inf")

    def level(self, now: float) -> int:
        """How loud to log that a connection broke or could not be made: what belongs to the same outage is INFO."""
        is_new = now - self._trouble >= _QUIET or now - self._said >= _REMINDER
        self._trouble = now
        if not is_new:
            return logging.INFO
        self._said = now
        return logging.WARNING
