"""What the stores have in common about chords."""

from __future__ import annotations

from typing import Final

from celeriac.stores.store import ChordPart, Effects

__all__ = ["CHORD_LIFETIME", "CLOSED_LIFETIME", "growing_part", "needs_record", "size_in", "size_of"]

CHORD_LIFETIME: Final = 86_400.0
"""Seconds that the parts of a chord are kept after the last one came (result_expires, by default)."""

CLOSED_LIFETIME: Final = 86_400.0
"""Seconds that a chord is known to be closed, so that a part that comes late does not begin a new one. As long as a
record lives (:data:`celeriac.stores.records.RECORD_LIFETIME`), and for the same reason: copies of messages may lie in
a backlog for hours. It is one small entry for each chord, beside the results of all its members."""


def size_in(document: bytes) -> int | None:
    """The number of members that a document of kind "size" says, None when it says none."""
    try:
        return int(document)
    except ValueError:
        return None


def needs_record(effects: Effects) -> bool:
    """Where messages are elsewhere these effects must happen once: a message may have to be published for them."""
    return bool(effects.grown) or any(part.completion is not None for part in effects.parts)


def growing_part(effects: Effects, group_id: str) -> ChordPart | None:
    """The part of the member that adds members to its own chord: what it adds counts when its part is new, too."""
    return next((part for part in effects.parts if part.group_id == group_id), None)


def size_of(effects: Effects) -> int:
    """About how many bytes the effects hold."""
    payloads = [each.payload for each in effects.documents]
    payloads += [each.payload for each in effects.results]
    payloads += [each.payload for each in effects.parts]
    payloads += [each.completion.payload for each in effects.parts if each.completion is not None]
    return sum(map(len, payloads))
