"""Records of settlements, where messages are with a broker elsewhere: what record.lua is asked and answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from celeriac.stores import records
from celeriac.stores.redis.link import Link
from celeriac.stores.redis.places import Places
from celeriac.stores.redis.scripts import RECORD
from celeriac.stores.redis.settling import BATCH_SIZE, Context, Encoder, batches
from celeriac.stores.redis.wire import Argument, milliseconds
from celeriac.stores.redis.workflows import chord_lifetime, encode_effects
from celeriac.stores.store import Completed, Outgoing, Recorded, Settlement

__all__ = ["Recorder", "encode"]


class Recorder:
    """Records settlements over the connections of one store.

    Args:
        places: where and how.
        link: for the batches.
        bulk: for settlements above a megabyte.
    """

    def __init__(self, places: Places, link: Link, bulk: Link) -> None:
        self._context = Context(
            places.keys,
            (),
            places.address.database,
            places.result_database,
            homes={},
            marked={},
            redelivered=frozenset(),
            chord_ordered=places.chord_ordered,
        )
        self._link = link
        self._bulk = bulk

    async def record(self, settlements: Sequence[Settlement], published: Sequence[str]) -> list[Recorded]:
        """See :meth:`celeriac.stores.store.Store.record`."""
        outcomes: dict[int, Recorded] = {}
        while len(published) > BATCH_SIZE:
            await self._run(self._link, [], published[:BATCH_SIZE])
            published = published[BATCH_SIZE:]
        for is_large, batch in batches(settlements):
            found = await self._run(self._bulk if is_large else self._link, batch, published)
            outcomes.update(zip(map(id, batch), found, strict=True))
            published = ()
        if published:
            await self._run(self._link, [], published)
        return [outcomes[id(each)] for each in settlements]

    async def _run(self, link: Link, batch: Sequence[Settlement], published: Sequence[str]) -> list[Recorded]:
        # A call whose reply was lost is sent again: it finds what it stored, which is the caller's to understand.
        return read(await link.run(RECORD, *encode(batch, published, self._context)), batch)


def read(reply: Sequence[Any], batch: Sequence[Settlement]) -> list[Recorded]:
    """What record.lua answers."""
    found = iter(reply)
    outcomes: list[Recorded] = [_read(next(found)) if each.identity else None for each in batch]
    for number, message in zip(found, found, strict=True):
        outcome = outcomes[number]
        if not isinstance(outcome, Completed):
            outcome = outcomes[number] = Completed([])
        outcome.completions.append(records.decode_message(message))
    return outcomes


def _read(held: bytes | None) -> list[Outgoing] | None:
    return None if held is None else records.decode(held)


def encode(
    batch: Sequence[Settlement], published: Sequence[str], context: Context
) -> tuple[list[bytes], list[Argument]]:
    """The keys and arguments of record.lua."""
    recorded = [each for each in batch if each.identity]
    encoder = Encoder(context)
    owners = 0
    for number, settlement in enumerate(batch):
        owners += bool(settlement.identity)
        owner = owners if settlement.identity else 0
        if settlement.result is not None:
            encoder.result(owner, settlement.result, settlement.result.state != "SUCCESS")
        if settlement.effects is not None:
            complete = partial(_encode_completion, encoder, number)
            encode_effects(encoder, owner, settlement.effects, chord_lifetime(settlement.result), complete)
    key = context.keys.recorded
    arguments: list[Any] = [
        len(recorded),
        len(published),
        milliseconds(records.RECORD_LIFETIME),
        "" if context.result_database is None else context.result_database,
        "".join(encoder.types),
        records.PUBLISHED,
        *[records.encode(each.follow_ups) for each in recorded],
        *encoder.operations,
    ]
    return [*[key(each.identity) for each in recorded], *map(key, published), *encoder.special], arguments


def _encode_completion(encoder: Encoder, number: int, _: int, message: Outgoing) -> None:
    encoder.operations += (number, records.encode_message(message))
