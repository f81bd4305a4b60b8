"""The revocations of the memory store, in the order in which they came."""

from __future__ import annotations

from collections.abc import Iterable

from celeriac.stores.store import Revocation

__all__ = ["RevocationLog"]


class RevocationLog:
    """Revocations with a lifetime. Not thread-safe: the state locks around it."""

    def __init__(self) -> None:
        #: Grows with every revocation and never falls, whatever has expired.
        self.count = 0
        self._entries: dict[str, tuple[int, float, Revocation]] = {}

    def add(self, revocations: Iterable[Revocation], lifetime: float, now: float) -> None:
        """Keep revocations for ``lifetime`` seconds; a later one for the same task replaces the earlier."""
        self._drop_expired(now)
        for revocation in revocations:
            self.count += 1
            self._entries.pop(revocation.task_id, None)
            self._entries[revocation.task_id] = (self.count, now + lifetime, revocation)

    def after(self, number: int, now: float) -> list[Revocation]:
        """The revocations that came after that count."""
        self._drop_expired(now)
        newer: list[Revocation] = []
        for position, _, revocation in reversed(self._entries.values()):
            if position <= number:
                break
            newer.append(revocation)
        newer.reverse()
        return newer

    def _drop_expired(self, now: float) -> None:
        expired = [task_id for task_id, (_, end, _) in self._entries.items() if end <= now]
        for task_id in expired:
            del self._entries[task_id]
