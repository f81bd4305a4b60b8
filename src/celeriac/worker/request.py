"""What the main process knows about one delivery from admission to settlement."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celeriac.message import Head
    from celeriac.stores.store import Delivery
    from celeriac.worker.dispatch import Slot
    from celeriac.worker.traits import Traits

__all__ = ["Request"]


class Request:
    """One admitted delivery.

    Attributes:
        delivery: the delivery, with its claim.
        head: the message's headers.
        traits: what the task's options say.
        number: names it towards the child; 0 before it is handed over.
        late: it is acknowledged with its result; else before it is handed over.
        acknowledged: it was acknowledged before it was handed over.
        soft, hard: time limits in seconds.
        holder: the child that has it.
        handed: when it was handed over, monotonic seconds.
        alone: a shared child died while it ran, so it runs next with nothing beside it.
        verdict, reason: it has to end, and why.
        judged: it is not to run any more but to fail by its verdict, in a child, where its failure hooks run.
        abandoned: whatever comes of it is dropped: its lease is lost, or it was settled already.
    """

    __slots__ = (
        "abandoned",
        "acknowledged",
        "alone",
        "delivery",
        "handed",
        "hard",
        "head",
        "holder",
        "judged",
        "late",
        "number",
        "reason",
        "soft",
        "traits",
        "verdict",
    )

    def __init__(
        self, delivery: Delivery, head: Head, traits: Traits, late: bool, soft: float | None, hard: float | None
    ) -> None:
        self.delivery = delivery
        self.head = head
        self.traits = traits
        self.number = 0
        self.late = late
        self.acknowledged = False
        self.soft = soft
        self.hard = hard
        self.holder: Slot | None = None
        self.handed = 0.0
        self.alone = False
        self.verdict = ""
        self.reason = ""
        self.judged = False
        self.abandoned = False

    def copy(self) -> Request:
        """The same request with nobody holding it, while a stuck child still has the number of this one."""
        copy = Request(self.delivery, self.head, self.traits, self.late, self.soft, self.hard)
        copy.acknowledged = self.acknowledged
        copy.verdict, copy.reason = self.verdict, self.reason
        return copy

    @property
    def label(self) -> str:
        """How logs name it."""
        return f"{self.head.task}[{self.head.id}]"
