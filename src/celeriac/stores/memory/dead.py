"""The dead letters of the memory store."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, islice

import msgspec

from celeriac.stores.memory.queue import Entry
from celeriac.stores.store import DeadLetter

__all__ = ["DeadLetters"]


class _Grave(msgspec.Struct, frozen=True):
    letter: DeadLetter
    entry: Entry
    expires: float | None


class DeadLetters:
    """Dead letters by id, in the order in which they died. Not thread-safe: the state locks around it."""

    def __init__(self) -> None:
        self._graves: dict[str, _Grave] = {}
        self._numbers = count(1)

    def add(self, entry: Entry, reason: str, now: float, expires: float | None) -> None:
        """Bury a message until ``expires``, seconds since the epoch."""
        letter_id = str(next(self._numbers))
        letter = DeadLetter(letter_id, entry.queue, reason, now, entry.losses, entry.payload)
        self._graves[letter_id] = _Grave(letter, entry, expires)

    def newest(self, limit: int, queue: str | None, now: float) -> list[DeadLetter]:
        """The newest first, of one queue or of all."""
        self._drop_expired(now)
        letters = (grave.letter for grave in reversed(self._graves.values()))
        return list(islice((letter for letter in letters if queue is None or letter.queue == queue), limit))

    def find(self, letter_id: str, now: float) -> DeadLetter | None:
        """The letter of that id."""
        self._drop_expired(now)
        grave = self._graves.get(letter_id)
        return None if grave is None else grave.letter

    def take(self, ids: Sequence[str], now: float) -> list[Entry]:
        """Remove letters; returns the messages of those that there were."""
        self._drop_expired(now)
        graves = [self._graves.pop(letter_id, None) for letter_id in ids]
        return [grave.entry for grave in graves if grave is not None]

    def count(self, queue: str, now: float) -> int:
        """How many letters came from a queue."""
        self._drop_expired(now)
        return sum(grave.letter.queue == queue for grave in self._graves.values())

    def _drop_expired(self, now: float) -> None:
        expired = [
            letter_id for letter_id, grave in self._graves.items() if grave.expires is not None and grave.expires <= now
        ]
        for letter_id in expired:
            del self._graves[letter_id]
