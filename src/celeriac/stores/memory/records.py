"""The records of settlements of the memory store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from celeriac.stores.records import RECORD_LIFETIME
from celeriac.stores.store import Outgoing

__all__ = ["RecordTable"]


class RecordTable:
    """Follow-ups by the identity of their settlement. Not thread-safe: the state locks around it.

    Args:
        lifetime: of a record, seconds.
    """

    def __init__(self, lifetime: float = RECORD_LIFETIME) -> None:
        self._lifetime = lifetime
        #: In the order in which they expire, since all live for the same time.
        self._records: OrderedDict[str, tuple[float, list[Outgoing]]] = OrderedDict()

    def find(self, identity: str, now: float) -> list[Outgoing] | None:
        """The follow-ups that are not published, None when there is no record."""
        while self._records and next(iter(self._records.values()))[0] <= now:
            self._records.popitem(last=False)
        found = self._records.get(identity)
        return None if found is None else list(found[1])

    def store(self, identity: str, follow_ups: Sequence[Outgoing], now: float) -> None:
        """Write a record; without follow-ups it says that they are published."""
        self._records[identity] = (now + self._lifetime, list(follow_ups))
        self._records.move_to_end(identity)
