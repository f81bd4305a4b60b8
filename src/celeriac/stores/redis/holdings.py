"""What one store holds: where its claims came from, and what it could not hand over yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from celeriac.stores.redis.claiming import Claimed, Home, Plan
from celeriac.stores.store import Delivery

__all__ = ["Holdings", "Reservation"]

_LOOKS: Final = 2
"""A claim whose reply was lost is looked for twice, at once and with the next renewal: its command may have been under
way still when the connection broke."""


class Reservation(msgspec.Struct, eq=False):
    """The numbers that one claim may use.

    Attributes:
        first: before the first number.
        limit: how many.
        plan: of the claim.
        queue: of the messages in the waiting list.
        looks: how often it is still to be looked for.
    """

    first: int
    limit: int
    plan: Plan
    queue: str
    looks: int = _LOOKS


class Holdings:
    """Everything about claims that only this store knows."""

    def __init__(self) -> None:
        self.homes: dict[bytes, Home] = {}
        self.marked: dict[bytes, bytes] = {}
        self.redelivered: set[bytes] = set()
        self.buffered: deque[Delivery] = deque()
        self.doubtful: list[Reservation] = []
        self.looked_for: list[Reservation] = []

    def add(self, claimed: Claimed) -> None:
        """Remember what was claimed."""
        homes = self.homes
        for delivery, home in zip(claimed.deliveries, claimed.homes, strict=True):
            homes[delivery.claim] = home
        if claimed.marked:
            self.marked |= claimed.marked
            self.redelivered |= {delivery.claim for delivery in claimed.deliveries if delivery.losses}

    def found(self, delivery: Delivery, home: Home, tag: bytes, has_record: bool) -> None:
        """Keep a delivery whose claim's reply was lost, for the next caller."""
        self.homes[delivery.claim] = home
        if has_record:
            self.marked[delivery.claim] = tag
        if delivery.losses:
            self.redelivered.add(delivery.claim)
        self.buffered.append(delivery)

    def forget(self, claims: Iterable[bytes]) -> None:
        """These are settled or lost."""
        for claim in claims:
            self.homes.pop(claim, None)
            if self.marked:
                self.marked.pop(claim, None)
                self.redelivered.discard(claim)

    def drop_buffered(self, lost: set[bytes]) -> None:
        """These were lost before anybody got them."""
        self.buffered = deque(delivery for delivery in self.buffered if delivery.claim not in lost)

    def take(self, limit: int) -> list[Delivery]:
        """Hand over what is buffered."""
        buffered = self.buffered
        return [buffered.popleft() for _ in range(min(limit, len(buffered)))]

    def doubt(self, reservation: Reservation) -> None:
        """The reply of its claim was lost."""
        self.doubtful.append(reservation)

    def looked(self, reservation: Reservation) -> None:
        """It was looked for once."""
        if reservation in self.doubtful:
            self.doubtful.remove(reservation)
        reservation.looks -= 1
        if reservation.looks > 0:
            self.looked_for.append(reservation)

    def doubt_again(self) -> None:
        """Look for the others a last time."""
        self.doubtful += self.looked_for
        self.looked_for = []
