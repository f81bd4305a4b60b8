"""A connection that settles: numbers its batches, so that one whose reply was lost can be sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from celeriac.stores.redis.connection import Orphan
from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.link import Link
from celeriac.stores.redis.scripts import SETTLE
from celeriac.stores.redis.settling import ARGUMENTS_BEFORE, CLAIM_AT, Batch
from celeriac.stores.redis.wire import Argument

__all__ = ["ClaimPart", "Lane"]

ClaimPart = tuple[tuple[bytes, ...], tuple[Argument, ...]]
"""Keys and arguments of claiming.lua, to be put behind a batch."""


class Lane:
    """Sends one batch at a time: the server remembers the last one only.

    Args:
        link: the connection.
        keys: the names.
        incarnation: of the store.
        name: of the lane.
    """

    def __init__(self, link: Link, keys: Keys, incarnation: bytes, name: bytes) -> None:
        self.link: Final = link
        self.record: Final = keys.settled(incarnation, name)
        self._number = 0
        self._turn = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """A batch is under way."""
        return self._turn.locked()

    async def settle(
        self,
        batch: Batch,
        claim: ClaimPart | None = None,
        orphan: Orphan | None = None,
        claim_again: Callable[[], Awaitable[ClaimPart]] | None = None,
    ) -> Any:
        """Run settle.lua.

        Args:
            batch: what is settled.
            claim: what is claimed in the same step.
            orphan: gets the reply when the caller is cancelled meanwhile.
            claim_again: makes ``claim`` anew after its reply was lost.
        """
        async with self._turn:
            self._number += 1
            number = self._number

            async def again() -> tuple[Sequence[bytes], Sequence[Argument]]:
                part = await claim_again() if claim_again is not None else None
                return _complete(batch, number, 1, part)

            return await self.link.run(SETTLE, *_complete(batch, number, 0, claim), orphan=orphan, again=again)


def _complete(batch: Batch, number: int, repeated: int, claim: ClaimPart | None) -> tuple[list[bytes], list[Argument]]:
    """All keys and arguments of settle.lua."""
    arguments: list[Argument] = [number, repeated, *batch.arguments]
    if claim is None:
        return batch.keys, arguments
    arguments[ARGUMENTS_BEFORE + CLAIM_AT] = len(arguments)
    return [*batch.keys, *claim[0]], [*arguments, *claim[1]]
