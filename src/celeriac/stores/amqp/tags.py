"""Which deliveries of a channel are settled, and what to say so with the fewest frames."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Tags"]


class Tags:
    """Delivery tags count from 1 on each channel.

    Attributes:
        floor: the lowest tag that is not settled.
        highest: the last tag delivered.
    """

    def __init__(self) -> None:
        self.floor = 1
        self.highest = 0
        self._settled: set[int] = set()
        """Those above the floor."""

    @property
    def unsettled(self) -> int:
        """How many are not settled."""
        return self.highest + 1 - self.floor - len(self._settled)

    def skip(self, tag: int) -> None:
        """This delivery needs no settling."""
        self.highest = max(self.highest, tag)
        self._settled.add(tag)
        self._rise()

    def settle(self, tags: Sequence[int]) -> list[tuple[int, bool]]:
        """Settle deliveries.

        Returns:
            Pairs for the server: a tag, and whether all unsettled deliveries before it are meant too. Tags that were
            never delivered, or settled before, are in none.
        """
        wanted = set(tags)
        floor, settled = self.floor, self._settled
        if not settled and wanted:
            low, high = min(wanted), max(wanted)
            if low == floor and high <= self.highest and high - low + 1 == len(wanted):
                self.floor = high + 1
                return [(high, high > low)]
        wanted = {tag for tag in wanted if floor <= tag <= self.highest} - settled
        if not wanted:
            return []
        settled |= wanted
        self._rise()
        # The server refuses a tag that it does not hold any more, so the run must end at one of these.
        below = [tag for tag in wanted if tag < self.floor]
        if not below:
            return [(tag, False) for tag in sorted(wanted)]
        top = max(below)
        return [(top, len(below) > 1), *((tag, False) for tag in sorted(wanted) if tag > top)]

    def _rise(self) -> None:
        settled, floor = self._settled, self.floor
        while floor in settled:
            settled.remove(floor)
            floor += 1
        self.floor = floor
