"""What is said to the server of chords and documents. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from celeriac.stores.chords import CHORD_LIFETIME, CLOSED_LIFETIME, growing_part
from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.wire import Argument, milliseconds, pack_command
from celeriac.stores.store import ChordPart, Document, Effects, Outgoing, ResultRecord

if TYPE_CHECKING:
    from celeriac.stores.redis.settling import Encoder

__all__ = ["chord_lifetime", "encode_effects", "parts_command", "store_commands"]

_TYPES: Final = "zssts"
_TYPES_OF_LIST: Final = "lssts"
"""The types of a chord's keys: .j .t .s .d .c."""
_SKIP_AT: Final = 8
"""Place within the operation C of how many arguments follow that are skipped when the chord is not complete."""


def chord_lifetime(record: ResultRecord | None) -> float:
    """Seconds that the parts of a chord are kept after one with this result."""
    return (record.expires if record is not None else None) or CHORD_LIFETIME


def encode_effects(
    encoder: Encoder,
    owner: int,
    effects: Effects,
    lifetime: float,
    complete: Callable[[int, Outgoing], None] | None = None,
) -> None:
    """Encode effects in their order, for settle.lua and record.lua.

    Args:
        encoder: of the batch.
        owner: the number of the settlement that they belong to.
        effects: what becomes final.
        lifetime: of what is counted, seconds.
        complete: encodes the completion of a chord; None where it is an operation, which follows its part's.
    """
    keys, kept = encoder.context.keys, milliseconds(lifetime)
    for document in effects.documents:
        place = encoder.place("-", keys.document(document.kind, document.id))
        encoder.operations += (b"S", owner, place, document.payload, _lifetime_of(document))
    for record in effects.results:
        encoder.result(owner, record, record.state != "SUCCESS")
    for group_id, count in effects.grown:
        growing = growing_part(effects, group_id)
        by = "" if growing is None else _identity_of(growing)
        encoder.operations += (b"A", owner, _place_of(encoder, group_id), count, kept, by)
    for part in effects.parts:
        at = len(encoder.operations)
        _encode_part(encoder, owner, part, kept)
        if part.completion is not None:
            (complete or encoder.publish)(owner, part.completion)
            encoder.operations[at + _SKIP_AT] = len(encoder.operations) - at - _SKIP_AT - 1
    for group_id in effects.closed:
        place = _place_of(encoder, group_id)
        encoder.operations += (b"X", owner, place, milliseconds(CLOSED_LIFETIME))


def _encode_part(encoder: Encoder, owner: int, part: ChordPart, kept: int) -> None:
    place = _place_of(encoder, part.group_id)
    score: Argument = part.index if encoder.context.chord_ordered else ""
    size: Argument = "" if part.size is None else part.size
    encoder.operations += (b"C", owner, place, _identity_of(part), score, part.payload, size, kept, 0)


def _identity_of(part: ChordPart) -> str:
    """Celery 5.7 counts parts by ``<task id>:<index>`` (protocol.md, section 13)."""
    return f"{part.task_id}:{part.index}"


def _place_of(encoder: Encoder, group_id: str) -> int:
    context = encoder.context
    types = _TYPES if context.chord_ordered else _TYPES_OF_LIST
    elsewhere = context.result_database is not None
    return encoder.place(types.upper() if elsewhere else types, *context.keys.chord(group_id))


def _lifetime_of(document: Document) -> Argument:
    return "" if document.expires is None else milliseconds(document.expires)


def store_commands(keys: Keys, documents: Iterable[Document]) -> list[bytes]:
    """The commands that store documents."""
    commands: list[bytes] = []
    for document in documents:
        lifetime = () if document.expires is None else (b"PX", milliseconds(document.expires))
        key = keys.document(document.kind, document.id)
        commands.append(pack_command((b"SET", key, document.payload, *lifetime)))
    return commands


def parts_command(keys: Keys, group_id: str, ordered: bool) -> tuple[bytes, bytes, int, int]:
    """The command that reads the parts of a chord, in the order of positions where they have one."""
    return b"ZRANGE" if ordered else b"LRANGE", keys.chord(group_id)[0], 0, -1
