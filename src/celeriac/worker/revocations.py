"""Which tasks are revoked: the store's records, cached, so that admission asks nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celeriac.stores.store import Revocation, Store

__all__ = ["Revocations"]


class Revocations:
    """The cache of one worker.

    The store counts its revocations and every delivery comes with that count, so a worker that missed a broadcast knows
    it before it admits the delivery.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Revocation] = {}
        self.count = 0

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    async def refresh(self) -> list[Revocation]:
        """Read what is new; returns it."""
        self.count, new = await self._store.revocations(self.count)
        for revocation in new:
            self._known[revocation.task_id] = revocation
        return new
