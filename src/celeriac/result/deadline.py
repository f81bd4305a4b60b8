"""A deadline: one time-out shared by all the steps of a wait."""

from __future__ import annotations

from time import monotonic

from celeriac.stores.bounds import Bounds

__all__ = ["Deadline"]


class Deadline:
    """Counts down from ``timeout`` seconds; None never ends."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._end = None if timeout is None else monotonic() + timeout

    def remaining(self) -> float | None:
        """Seconds that are left, at least 0; None without end."""
        return None if self._end is None else max(0.0, self._end - monotonic())

    def at_most(self, seconds: float) -> float:
        """Seconds that are left, at most ``seconds``."""
        remaining = self.remaining()
        return seconds if remaining is None else min(seconds, remaining)

    def bounds(self, most: float) -> Bounds:
        """The limits of one look at the store, which may take ``most`` seconds; one that only looks has all of them."""
        remaining = self.remaining()
        return Bounds(most if remaining is None or self.timeout == 0 else min(most, remaining))

    def over(self) -> bool:
        """The time is over."""
        return self._end is not None and monotonic() >= self._end
