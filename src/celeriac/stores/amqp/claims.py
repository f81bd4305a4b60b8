"""What one store holds: each claim with the delivery that it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.translation import Marks
from celeriac.stores.amqp.wire import Incoming

__all__ = ["Claims", "Held"]


class Held(msgspec.Struct, eq=False):
    """A delivery that was handed to the caller.

    The claim lives as long as the channel that brought the delivery: when that closes, the server gives the message to
    somebody else.

    Attributes:
        channel: what brought it, and what it is acknowledged on.
        incoming: the delivery.
        queue: the queue that it is for.
        marks: what is remembered about the message.
        since: when it was delivered, by the loop's clock.
        parked: it is a copy that waits in our own queue, see :mod:`~celeriac.stores.amqp.parking`.
    """

    channel: Channel
    incoming: Incoming
    queue: str
    marks: Marks
    since: float
    parked: bool = False


class Claims:
    """All claims of one store.

    Args:
        incarnation: of the store; no other store's claims look like its own.
    """

    def __init__(self, incarnation: bytes) -> None:
        self._incarnation = incarnation
        self._number = 0
        self._held: dict[bytes, Held] = {}
        self._by_queue: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, claim: object) -> bool:
        return claim in self._held

    def add(self, held: Held) -> bytes:
        """Make a claim for a delivery."""
        self._number += 1
        claim = b"%b:%d" % (self._incarnation, self._number)
        self._held[claim] = held
        self._by_queue[held.queue] = self._by_queue.get(held.queue, 0) + 1
        return claim

    def get(self, claim: bytes) -> Held | None:
        """What a claim stands for; None when it is settled or lost."""
        return self._held.get(claim)

    def pop(self, claim: bytes) -> Held | None:
        """End a claim."""
        held = self._held.pop(claim, None)
        if held is not None:
            self._by_queue[held.queue] -= 1
        return held

    def items(self) -> Iterable[tuple[bytes, Held]]:
        """All claims, oldest first."""
        return self._held.items()

    def oldest(self, channel: Channel) -> int | None:
        """The tag of the oldest delivery of a channel that is not settled; None when there is none.

        Claims of other channels before it make the answer too careful, no more: it is 0 then.
        """
        first = next(iter(self._held.values()), None)
        if first is None:
            return None
        return first.incoming.tag if first.channel is channel else 0

    def of_queue(self, queue: str) -> int:
        """How many claims are on messages of a queue."""
        return self._by_queue.get(queue, 0)

    def lose(self, channel: Channel) -> int:
        """A channel closed: its claims are worth nothing; returns how many there were."""
        lost = [claim for claim, held in self._held.items() if held.channel is channel]
        for claim in lost:
            self.pop(claim)
        return len(lost)

    def lost(self, claims: Iterable[bytes]) -> Iterator[bytes]:
        """Those of the claims that are not ours any more."""
        return (claim for claim in claims if claim not in self._held)
