"""The steps of a settlement whose messages and results are in two places: see :mod:`celeriac.stores.two_stores`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from celeriac.exceptions import BackendError, OperationalError, StoreError
from celeriac.stores.chords import needs_record
from celeriac.stores.store import Completed, Disposition, Outgoing, Received, Settlement, Store

__all__ = ["UNREACHABLE", "Steps", "Stored", "says_anything", "without_result"]

logger = logging.getLogger(__name__)

UNREACHABLE: Final = (OperationalError, BackendError, StoreError)
"""What a store raises when it cannot do now what it could do later."""


class Stored(msgspec.Struct):
    """What came of the first step.

    Attributes:
        ready: the broker's halves of the settlements: their follow-ups are those to publish now.
        doubtful: settlements whose record somebody has stored before and not marked yet. He may be publishing their
            follow-ups at this moment, or be dead.
    """

    ready: list[Settlement]
    doubtful: list[Settlement]


class Steps:
    """Does the steps for batches of settlements; each may be repeated, by this process or by another one.

    1. ``store``: the backend stores results and effects; in the same step a record for settlements whose parts may
       complete chords, and, if the broker is not atomic, for those with follow-ups.
    2. ``finish``: the broker publishes the follow-ups of the records and confirms them; the records are marked while
       the broker acknowledges. Everything else is one step of the broker.
    3. Marks that the backend did not take travel with the next ``store``, or with ``mark``. Until then they are
       remembered here, so that a repetition publishes nothing twice.

    Args:
        broker, backend: the two.
    """

    def __init__(self, broker: Store, backend: Store) -> None:
        self._broker = broker
        self._backend = backend
        #: Identities whose follow-ups are published and whose records do not say so yet.
        self._unmarked: dict[str, None] = {}
        self._marking: asyncio.Task[None] | None = None

    @property
    def recording(self) -> bool:
        """Records are needed, since the broker is not atomic, and can be had."""
        return not self._broker.capabilities.atomic and self._backend.capabilities.records

    def concerns_backend(self, settlement: Settlement) -> bool:
        """The backend has something to store for it."""
        return settlement.result is not None or settlement.effects is not None or self._is_recorded(settlement)

    def _is_recorded(self, settlement: Settlement) -> bool:
        if not settlement.identity or not self.recording:
            return False
        return bool(settlement.follow_ups) or self._must_happen_once(settlement)

    @staticmethod
    def _must_happen_once(settlement: Settlement) -> bool:
        return settlement.effects is not None and needs_record(settlement.effects)

    async def store(self, settlements: Sequence[Settlement], again: bool = False) -> Stored:
        """The first step.

        Args:
            settlements: of which each concerns the backend.
            again: a second look: whoever stored a record before us and has not marked it by now is taken for dead.
        """
        if not any(self._is_recorded(each) or self._must_happen_once(each) for each in settlements):
            await self._backend.settle([_only_result(each) for each in settlements])
            return Stored([without_result(each) for each in settlements], [])
        marks = list(self._unmarked)
        asked = [
            each if self._is_recorded(each) or self._must_happen_once(each) else _only_result(each)
            for each in settlements
        ]
        records = await self._backend.record(asked, marks)
        self._forget(marks)
        stored = Stored([], [])
        for settlement, record in zip(settlements, records, strict=True):
            if isinstance(record, Completed):
                stored.ready.append(without_result(settlement, [*record.completions, *settlement.follow_ups]))
            elif record and not again and self.recording:
                stored.doubtful.append(settlement)
            else:
                stored.ready.append(without_result(settlement, record))
        return stored

    async def finish(self, ready: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        """The second step, with the claim of up to ``limit`` messages; ``ready`` may hold what never needed the first.

        Between the confirmation and the mark or the acknowledgement, whichever comes first, lies the only moment at
        which a crash makes the same messages appear twice.
        """
        recorded = [each for each in ready if self._is_recorded(each)]
        if recorded:
            # Not by `publish`: to whom a follow-up cannot be sent at all is for the broker's settling to decide.
            await self._broker.settle([_publication(each) for each in recorded])
            self._unmarked.update(dict.fromkeys(each.identity for each in recorded))
            self.mark()
            ready = [_published(each) if self._is_recorded(each) else each for each in ready]
        return await self._broker.settle([each for each in ready if says_anything(each)], queues, limit)

    def mark(self) -> None:
        """Begin to mark the records of what is published, if any is left."""
        if self._unmarked and (self._marking is None or self._marking.done()):
            self._marking = asyncio.ensure_future(self._mark())
            self._marking.add_done_callback(_say_defect)

    async def close(self, grace: float) -> None:
        """Try for at most ``grace`` seconds to mark what is left."""
        self.mark()
        if self._marking is not None:
            await asyncio.wait({self._marking}, timeout=grace)
            self._marking.cancel()
            await asyncio.gather(self._marking, return_exceptions=True)
            self._marking = None

    async def _mark(self) -> None:
        while self._unmarked:
            marks = list(self._unmarked)
            try:
                await self._backend.record([], marks)
            except UNREACHABLE:
                return
            self._forget(marks)

    def _forget(self, marks: Sequence[str]) -> None:
        for identity in marks:
            self._unmarked.pop(identity, None)


def _say_defect(marking: asyncio.Task[None]) -> None:
    if not marking.cancelled() and (error := marking.exception()) is not None:
        logger.error("records of settlements could not be marked as published", exc_info=error)


def says_anything(settlement: Settlement) -> bool:
    """The broker has something to do for it."""
    return settlement.disposition is not Disposition.NONE or bool(settlement.follow_ups)


def without_result(settlement: Settlement, follow_ups: Sequence[Outgoing] | None = None) -> Settlement:
    """The broker's half of a settlement, with other follow-ups unless these are None."""
    if follow_ups is not None:
        return msgspec.structs.replace(settlement, result=None, effects=None, follow_ups=follow_ups)
    if settlement.result is None and settlement.effects is None:
        return settlement
    return msgspec.structs.replace(settlement, result=None, effects=None)


def _only_result(settlement: Settlement) -> Settlement:
    """The backend's half of a settlement without a record."""
    return Settlement(b"", Disposition.NONE, result=settlement.result, effects=settlement.effects)


def _publication(settlement: Settlement) -> Settlement:
    """What the broker publishes and confirms first."""
    return Settlement(b"", Disposition.NONE, follow_ups=settlement.follow_ups)


def _published(settlement: Settlement) -> Settlement:
    """What is left for the broker after it has published the follow-ups."""
    return msgspec.structs.replace(settlement, follow_ups=())
