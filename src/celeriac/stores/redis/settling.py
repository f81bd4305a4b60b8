"""What a batch of settlements says to the server. No I/O.

A batch becomes the keys and arguments of settle.lua, which states their order. The common case (acknowledge, store a
SUCCESS) costs one key and two arguments; everything else is an operation of the script.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from celeriac.envelope import PRIORITY_MAX
from celeriac.stores import records
from celeriac.stores.chords import size_of as size_of_effects
from celeriac.stores.redis.claiming import Home
from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.wire import Argument, milliseconds
from celeriac.stores.redis.workflows import chord_lifetime, encode_effects
from celeriac.stores.store import Disposition, Outgoing, ResultRecord, Settlement

__all__ = [
    "ARGUMENTS_BEFORE",
    "BATCH_BYTES",
    "BATCH_SIZE",
    "CLAIM_AT",
    "ENVELOPE_NEEDED",
    "Batch",
    "Context",
    "Encoder",
    "batches",
    "encode",
    "member_of",
]

BATCH_SIZE: Final = 256
"""Settlements in one script at most: it holds up the server for about 3 ms."""
BATCH_BYTES: Final = 1 << 20
"""Bytes in one script at most; a larger settlement travels alone, on a connection of its own."""
_ONCE: Final = 5
"""Arguments of the operation O."""
_PLAIN: Final = frozenset({Disposition.ACKNOWLEDGE, Disposition.NONE})
ENVELOPE_NEEDED: Final = frozenset(
    {Disposition.HOLD, Disposition.GIVE_BACK, Disposition.REDELIVER, Disposition.DEAD_LETTER}
)
CLAIM_AT: Final = 8
"""Place within ``Batch.arguments`` of the place of the arguments that claim."""
ARGUMENTS_BEFORE: Final = 2
"""Batch number and repetition stand before ``Batch.arguments``."""


class Context(msgspec.Struct, frozen=True):
    """What the encoding depends on besides the batch.

    Attributes:
        keys: the names.
        fixed: the six keys of claims, then the record's key.
        database: of the messages.
        result_database: of the results, None when it is the same.
        homes: where claims came from.
        marked: claims of messages that something is remembered about.
        redelivered: claims of messages that may have run before.
        chord_ordered: parts lie in a sorted set (Celery's ``result_chord_ordered``), else in a list.
    """

    keys: Keys
    fixed: tuple[bytes, ...]
    database: int
    result_database: int | None
    homes: Mapping[bytes, Home]
    marked: Mapping[bytes, bytes]
    redelivered: frozenset[bytes] | set[bytes]
    chord_ordered: bool = True


class Batch(msgspec.Struct, frozen=True):
    """One call of settle.lua, without the part that claims.

    Attributes:
        keys: all keys.
        arguments: from the third on; batch number and repetition stand before them.
        claims: in the order of the script.
    """

    keys: list[bytes]
    arguments: list[Argument]
    claims: list[bytes]


def member_of(message: Outgoing | bytes, priority: int) -> bytes:
    """A held message: its priority's digit, then the envelope, so that moving it decodes nothing."""
    payload = message if isinstance(message, bytes) else message.payload
    return b"%d" % max(0, min(PRIORITY_MAX, priority)) + payload


def size_of(settlement: Settlement) -> int:
    """About how many bytes a settlement sends."""
    size = sum(len(message.payload) for message in settlement.follow_ups)
    if settlement.result is not None:
        size += len(settlement.result.payload)
    if settlement.effects is not None:
        size += size_of_effects(settlement.effects)
    return size


def batches(settlements: Sequence[Settlement]) -> Iterator[tuple[bool, list[Settlement]]]:
    """Cut settlements into batches, each with whether it is a large one that travels alone."""
    batch: list[Settlement] = []
    room = BATCH_BYTES
    for settlement in settlements:
        size = size_of(settlement)
        if size > BATCH_BYTES:
            yield True, [settlement]
            continue
        if len(batch) >= BATCH_SIZE or size > room:
            yield False, batch
            batch, room = [], BATCH_BYTES
        batch.append(settlement)
        room -= size
    if batch:
        yield False, batch


class Encoder:
    """Collects the special keys and the operations of one batch, as settle.lua and record.lua read them."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.special: list[bytes] = []
        self.types: list[str] = []
        self.operations: list[Argument] = []
        self._places: dict[tuple[bytes, ...], int] = {}

    def place(self, types: str, *keys: bytes) -> int:
        """The place of the first of these keys among the special keys."""
        place = self._places.get(keys)
        if place is None:
            self.special += keys
            self.types += types
            place = self._places[keys] = len(self.special) - len(keys) + 1
        return place

    def publish(self, owner: int, message: Outgoing) -> None:
        keys, queue = self.context.keys, message.queue
        if message.exchange:
            channel = keys.channel(message.exchange, message.routing_key)
            self.operations += (b"B", owner, channel, message.payload)
        elif message.due is not None:
            place = self.place("zs", keys.held(queue), keys.due(queue))
            due = f"{message.due:.6f}"
            self.operations += (b"H", owner, place, member_of(message, message.priority), due)
        else:
            place = self.place("l", keys.list_of(queue, keys.step_of(message.priority)))
            self.operations += (b"P", owner, place, message.payload)

    def once(self, owner: int, identity: str) -> None:
        """What follows, up to :meth:`end_once`, is done unless it was done for that identity before."""
        place = self.place("-", self.context.keys.recorded(identity))
        self.operations += (b"O", owner, place, milliseconds(records.COPY_LIFETIME), 0)

    def end_once(self, begin: int) -> None:
        """That operation, which began at this place, reaches to here."""
        after = begin + _ONCE
        self.operations[after - 1] = len(self.operations) - after

    def result(self, owner: int, record: ResultRecord, check: bool) -> None:
        place = self.place("-", self.context.keys.result(record.task_id))
        lifetime = "" if record.expires is None else milliseconds(record.expires)
        self.operations += (b"R", owner, place, record.payload, lifetime, int(check))

    def disposition(self, owner: int, settlement: Settlement) -> None:
        keys, claim = self.context.keys, settlement.claim
        home = self.context.homes[claim]
        match settlement.disposition:
            case Disposition.GIVE_BACK | Disposition.REDELIVER:
                place = self.place("l", keys.list_of(home.queue, home.step))
                lost = int(settlement.disposition is Disposition.REDELIVER)
                self.operations += (b"G", owner, place, lost)
            case Disposition.HOLD:
                place = self.place("zs", keys.held(home.queue), keys.due(home.queue))
                due = "" if settlement.due is None else f"{settlement.due:.6f}"
                digit = keys.steps[home.step]
                flags = (int(settlement.granted), int(settlement.counted))
                self.operations += (b"K", owner, place, digit, due, f"{settlement.delay:.6f}", *flags)
            case _:
                place = self.place("hzh", keys.dead, keys.dead_index, keys.dead_counts)
                self.operations += (b"D", owner, place, json.dumps(home.queue), json.dumps(settlement.reason))


def _is_plain(settlement: Settlement, lifetime: float | None, context: Context) -> bool:
    record = settlement.result
    return (
        record is not None
        and settlement.disposition in _PLAIN
        and record.state == "SUCCESS"
        and record.expires is not None
        and record.expires == lifetime
        and settlement.claim not in context.redelivered
        and not (settlement.follow_ups and records.is_followed_once(settlement))
    )


def _first_lifetime(settlements: Iterable[Settlement]) -> float | None:
    for settlement in settlements:
        if settlement.result is not None and settlement.result.expires is not None:
            return settlement.result.expires
    return None


def encode(settlements: Sequence[Settlement], context: Context) -> Batch:
    """Encode one batch; ``context.homes`` knows every claim that does not just end."""
    lifetime = _first_lifetime(settlements)
    plain: list[Settlement] = []
    others: list[Settlement] = []
    valued: list[Settlement] = []
    unfenced: list[Settlement] = []
    plain_unfenced: list[Settlement] = []
    for settlement in settlements:
        if settlement.disposition is Disposition.NONE:
            (plain_unfenced if _is_plain(settlement, lifetime, context) else unfenced).append(settlement)
        elif settlement.disposition in ENVELOPE_NEEDED:
            valued.append(settlement)
        elif _is_plain(settlement, lifetime, context):
            plain.append(settlement)
        else:
            others.append(settlement)
    fenced = plain + others + valued
    encoder = Encoder(context)
    for owner, settlement in enumerate(fenced, 1):
        if settlement.claim in context.marked and settlement.disposition is Disposition.ACKNOWLEDGE:
            encoder.operations += (b"F", owner, context.marked[settlement.claim])
        _encode_effects(encoder, owner, settlement, owner > len(plain))
        if settlement.disposition in ENVELOPE_NEEDED:
            encoder.disposition(owner, settlement)
    for settlement in plain_unfenced:
        _encode_effects(encoder, 0, settlement, False)
    for settlement in unfenced:
        _encode_effects(encoder, 0, settlement, True)
    result_key: Callable[[str], bytes] = context.keys.result
    results = [each.result for each in (*plain, *plain_unfenced) if each.result is not None]
    claims = [settlement.claim for settlement in fenced]
    return Batch(
        [*context.fixed, *[result_key(record.task_id) for record in results], *encoder.special],
        [
            len(fenced),
            len(plain),
            len(valued),
            len(plain_unfenced),
            milliseconds(lifetime or 1.0),
            "" if context.result_database is None else context.result_database,
            context.database,
            "".join(encoder.types),
            0,
            *claims,
            *[record.payload for record in results],
            *encoder.operations,
        ],
        claims,
    )


def _encode_effects(encoder: Encoder, owner: int, settlement: Settlement, with_result: bool) -> None:
    """Result, effects and follow-ups of one settlement."""
    operations = encoder.operations
    begin = len(operations) if records.is_followed_once(settlement) else None
    if begin is not None:
        encoder.once(owner, settlement.identity)
    record = settlement.result
    if record is not None and with_result:
        redelivered = settlement.claim in encoder.context.redelivered
        encoder.result(owner, record, record.state != "SUCCESS" or redelivered)
    if settlement.effects is not None:
        encode_effects(encoder, owner, settlement.effects, chord_lifetime(record))
    for message in settlement.follow_ups:
        encoder.publish(owner, message)
    if begin is not None:
        encoder.end_once(begin)
