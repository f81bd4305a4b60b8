"""Tasks that ran twice at about the same time: see :mod:`celeriac.stores.two_stores`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from celeriac.stores.steps import UNREACHABLE, Steps
from celeriac.stores.store import Settlement

__all__ = ["PATIENCE", "Duplicates"]

logger = logging.getLogger(__name__)

PATIENCE: Final = 1.0
"""Seconds that somebody who has stored a record may take to publish its follow-ups before he is taken for dead. It
takes some milliseconds; the longer this is, the longer a chain waits after a crash."""


class Duplicates:
    """Settlements whose record somebody else stored: he publishes the follow-ups, or he is dead and we do.

    1. ``post`` takes them, and looks at their records again after ``patience`` seconds.
    2. Follow-ups that are still not marked as published are published here; then the message is acknowledged.
    3. ``claims`` are those whose leases must be renewed meanwhile; ``drop`` takes out those that were lost anyway.
    4. ``close`` leaves the rest to their leases: their messages are delivered again and find their records.

    Args:
        steps: of a settlement.
        patience: seconds before the second look, and between two attempts while a store cannot be reached.
    """

    def __init__(self, steps: Steps, patience: float = PATIENCE) -> None:
        self._steps = steps
        self._patience = patience
        self._waiting: dict[int, Settlement] = {}
        self._numbers = 0
        self._looking: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def claims(self) -> Iterable[bytes]:
        """The claims that wait."""
        return [each.claim for each in self._waiting.values() if each.claim]

    def post(self, settlements: Sequence[Settlement]) -> None:
        """Take settlements; those that wait already, since a batch was repeated, only once."""
        known = set(map(id, self._waiting.values()))
        settlements = [each for each in settlements if id(each) not in known]
        if not settlements:
            return
        numbers = range(self._numbers, self._numbers + len(settlements))
        self._numbers += len(settlements)
        self._waiting.update(zip(numbers, settlements, strict=True))
        task = asyncio.ensure_future(self._decide(numbers))
        self._looking.add(task)
        task.add_done_callback(self._decided)

    def drop(self, claims: Iterable[bytes]) -> None:
        """Forget the settlements of claims that were lost."""
        lost = set(claims)
        self._remove([number for number, each in self._waiting.items() if each.claim in lost])

    async def close(self) -> None:
        """Wait no more."""
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
        self._waiting.clear()

    async def _decide(self, numbers: Sequence[int]) -> None:
        while True:
            await asyncio.sleep(self._patience)
            left = {number: self._waiting[number] for number in numbers if number in self._waiting}
            if not left:
                return
            try:
                stored = await self._steps.store(list(left.values()), again=True)
                await self._steps.finish(stored.ready)
            except UNREACHABLE:
                continue
            except BaseException:
                self._remove(left)
                raise
            self._remove(left)
            return

    def _remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._waiting.pop(number, None)

    def _decided(self, task: asyncio.Task[None]) -> None:
        self._looking.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("tasks that ran twice could not be settled, their leases will end", exc_info=error)
