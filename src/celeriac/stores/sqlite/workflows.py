"""Chords and documents in the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from celeriac.stores.chords import CHORD_LIFETIME, CLOSED_LIFETIME, growing_part, size_in
from celeriac.stores.sqlite import statements
from celeriac.stores.sqlite.transaction import Transaction, insert, insert_returning, json_array
from celeriac.stores.store import ChordPart, Document, Effects, Outgoing

__all__ = ["apply", "documents", "drop_documents", "parts", "store_documents"]

_SQL: Final = statements.load("workflows")


class _Chord(msgspec.Struct):
    """A row of ``chord``; ``said`` is the size that a document says."""

    group_id: str
    counted: int = 0
    size: int | None = None
    grown: int = 0
    complete: bool = False
    closed: bool = False
    said: int | None = None


def apply(transaction: Transaction, effects: Iterable[Effects], again: bool = False) -> list[Outgoing]:
    """Let effects become final, except for their results; returns the completions of the chords that became complete.

    Args:
        transaction: where.
        effects: each in its order, one after the other.
        again: also tell the completions of chords that were complete before, for a part that was counted before:
            nobody knows whether they were published.
    """
    completions: list[Outgoing] = []
    waiting: dict[str, list[ChordPart]] = {}

    def count() -> None:
        for group_id, counted in waiting.items():
            completions.extend(_count(transaction, group_id, counted, again))
        waiting.clear()

    for each in effects:
        if each.documents or each.grown:
            count()
            store_documents(transaction, each.documents)
            for group_id, members in each.grown:
                _grow(transaction, group_id, members, growing_part(each, group_id))
        for part in each.parts:
            waiting.setdefault(part.group_id, []).append(part)
        if each.closed:
            count()
            for group_id in each.closed:
                _close(transaction, group_id)
    count()
    return completions


def parts(transaction: Transaction, group_id: str) -> list[bytes]:
    """The payloads of the parts that were counted, in the order of positions."""
    return [payload for (payload,) in transaction.execute(_SQL["parts"], (group_id, transaction.now)).fetchall()]


def store_documents(transaction: Transaction, stored: Sequence[Document]) -> None:
    """Store documents; a later one of the same kind and id replaces the earlier."""
    now = transaction.now
    rows = [(each.kind, each.id, None if each.expires is None else now + each.expires, each.payload) for each in stored]
    if rows:
        insert(transaction, _SQL["store_document"], rows)


def documents(transaction: Transaction, kind: str, ids: Sequence[str]) -> list[bytes | None]:
    """The payloads, None where there is no document."""
    rows = transaction.execute(_SQL["documents"], (kind, json_array(list(ids)), transaction.now)).fetchall()
    found: dict[str, bytes] = dict(rows)
    return [found.get(each) for each in ids]


def drop_documents(transaction: Transaction, kind: str, ids: Sequence[str]) -> None:
    """Forget documents."""
    transaction.execute(_SQL["drop_documents"], (kind, json_array(list(ids))))


def _count(transaction: Transaction, group_id: str, counted: Sequence[ChordPart], again: bool) -> list[Outgoing]:
    """Count parts of one chord; returns its completion, if that is to be published."""
    chord = _read(transaction, group_id)
    if chord.closed:
        return []
    rows = [(group_id, part.index, part.task_id, part.payload) for part in counted]
    new = set(insert_returning(transaction, _SQL["store_part"], rows))
    completions: list[Outgoing] = []
    for part in counted:
        if chord.size is None:
            chord.size = part.size
        identity = (part.index, part.task_id)
        if identity in new:
            new.remove(identity)
            chord.counted += 1
            tells = not chord.complete and _is_complete(chord, part)
            chord.complete = chord.complete or tells
        else:
            tells = again and chord.complete
        if tells and part.completion is not None:
            completions.append(part.completion)
    _store(transaction, chord, CHORD_LIFETIME)
    return completions


def _is_complete(chord: _Chord, part: ChordPart) -> bool:
    size = part.size if part.size is not None else chord.said if chord.said is not None else chord.size
    return size is not None and chord.counted == size + chord.grown


def _grow(transaction: Transaction, group_id: str, members: int, part: ChordPart | None) -> None:
    chord = _read(transaction, group_id)
    if chord.closed:
        return
    if part is not None:
        identity = (group_id, part.index, part.task_id)
        if transaction.execute(_SQL["is_counted"], identity).fetchone() is not None:
            return
    chord.grown += members
    _store(transaction, chord, CHORD_LIFETIME)


def _close(transaction: Transaction, group_id: str) -> None:
    transaction.execute(_SQL["drop_parts"], (group_id,))
    drop_documents(transaction, "size", [group_id])
    _store(transaction, _Chord(group_id, closed=True), CLOSED_LIFETIME)


def _read(transaction: Transaction, group_id: str) -> _Chord:
    """The chord as it is; what has expired and was not swept yet begins anew."""
    row = transaction.execute(_SQL["chord"], (group_id, transaction.now)).fetchone()
    counted, size, grown, complete, closed, expires, document = row
    said = None if document is None else size_in(document)
    if expires is not None and expires > transaction.now:
        return _Chord(group_id, counted, size, grown, bool(complete), bool(closed), said)
    if expires is not None:
        transaction.execute(_SQL["drop_parts"], (group_id,))
    return _Chord(group_id, said=said)


def _store(transaction: Transaction, chord: _Chord, lifetime: float) -> None:
    row = (chord.group_id, chord.counted, chord.size, chord.grown, chord.complete, chord.closed)
    transaction.execute(_SQL["store_chord"], (*row, transaction.now + lifetime))
