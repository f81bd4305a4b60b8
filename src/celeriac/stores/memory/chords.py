"""The chords and documents of the memory store."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from celeriac.stores.chords import CHORD_LIFETIME, CLOSED_LIFETIME, growing_part, size_in
from celeriac.stores.store import ChordPart, Document, Effects, Outgoing, ResultRecord

__all__ = ["DocumentTable", "WorkflowTable"]

_Member = tuple[int, str]
"""A part's position and task id, which are its identity within its chord."""


class DocumentTable:
    """Documents by kind and id. Not thread-safe: the state locks around it."""

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str], tuple[float | None, bytes]] = {}
        self._expiring: list[tuple[float, tuple[str, str]]] = []

    def store(self, documents: Iterable[Document], now: float) -> None:
        """Store documents; a later one of the same kind and id replaces the earlier."""
        self._drop_expired(now)
        for document in documents:
            name = (document.kind, document.id)
            expires = None if document.expires is None else now + document.expires
            self._stored[name] = (expires, document.payload)
            if expires is not None:
                heapq.heappush(self._expiring, (expires, name))

    def read(self, kind: str, ids: Sequence[str], now: float) -> list[bytes | None]:
        """The payloads, None where there is no document."""
        self._drop_expired(now)
        found = [self._stored.get((kind, each)) for each in ids]
        return [None if stored is None else stored[1] for stored in found]

    def drop(self, kind: str, ids: Iterable[str]) -> None:
        """Forget documents."""
        for each in ids:
            self._stored.pop((kind, each), None)

    def _drop_expired(self, now: float) -> None:
        while self._expiring and self._expiring[0][0] <= now:
            expires, name = heapq.heappop(self._expiring)
            stored = self._stored.get(name)
            if stored is not None and stored[0] == expires:
                del self._stored[name]


class _Chord(msgspec.Struct):
    """What is known of a chord.

    Attributes:
        parts: those that were counted.
        size: that some part brought, if any did.
        grown: members that were added.
        complete: its completion was published once.
        closed: its body was sent, and late parts are ignored.
        expires: when all of that is forgotten, seconds since the epoch.
    """

    parts: dict[_Member, bytes] = {}
    size: int | None = None
    grown: int = 0
    complete: bool = False
    closed: bool = False
    expires: float = 0.0


class WorkflowTable:
    """Chords and documents. Not thread-safe: the state locks around it."""

    def __init__(self) -> None:
        self.documents: Final = DocumentTable()
        #: In the order in which they were touched last; the lifetimes of open and closed ones are equal.
        self._chords: OrderedDict[str, _Chord] = OrderedDict()

    def apply(
        self, effects: Effects, store: Callable[[ResultRecord, float], None], now: float, again: bool
    ) -> list[Outgoing]:
        """Let effects become final; returns the completions of the chords that became complete.

        Args:
            effects: in their order.
            store: stores a result.
            now: seconds since the epoch.
            again: also tell the completions of chords that were complete before, for a part that was counted before:
                nobody knows whether they were published.
        """
        self._drop_expired(now)
        self.documents.store(effects.documents, now)
        for record in effects.results:
            store(record, now)
        for group_id, count in effects.grown:
            self._grow(group_id, count, growing_part(effects, group_id), now)
        completions = [
            part.completion for part in effects.parts if self._count(part, now, again) and part.completion is not None
        ]
        for group_id in effects.closed:
            self._chords[group_id] = _Chord(closed=True, expires=now + CLOSED_LIFETIME)
            self._chords.move_to_end(group_id)
            self.documents.drop("size", [group_id])
        return completions

    def parts(self, group_id: str, now: float) -> list[bytes]:
        """The payloads of the parts that were counted, in the order of positions."""
        self._drop_expired(now)
        chord = self._chords.get(group_id)
        return [] if chord is None else [payload for _, payload in sorted(chord.parts.items())]

    def _grow(self, group_id: str, count: int, part: ChordPart | None, now: float) -> None:
        chord = self._touch(group_id, now)
        if not chord.closed and (part is None or (part.index, part.task_id) not in chord.parts):
            chord.grown += count

    def _count(self, part: ChordPart, now: float, again: bool) -> bool:
        """Count a part; True when its completion is to be published."""
        chord = self._touch(part.group_id, now)
        if chord.closed:
            return False
        known = (part.index, part.task_id) in chord.parts
        if not known:
            chord.parts[part.index, part.task_id] = part.payload
        if chord.size is None:
            chord.size = part.size
        if known:
            return again and chord.complete
        size = self._size(part, chord, now)
        if chord.complete or size is None or len(chord.parts) != size + chord.grown:
            return False
        chord.complete = True
        return True

    def _size(self, part: ChordPart, chord: _Chord, now: float) -> int | None:
        if part.size is not None:
            return part.size
        (document,) = self.documents.read("size", [part.group_id], now)
        said = None if document is None else size_in(document)
        return chord.size if said is None else said

    def _touch(self, group_id: str, now: float) -> _Chord:
        """The chord, which lives on from now."""
        chord = self._chords.setdefault(group_id, _Chord())
        if not chord.closed:
            chord.expires = now + CHORD_LIFETIME
            self._chords.move_to_end(group_id)
        return chord

    def _drop_expired(self, now: float) -> None:
        while self._chords and next(iter(self._chords.values())).expires <= now:
            self._chords.popitem(last=False)
