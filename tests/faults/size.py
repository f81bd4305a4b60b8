"""How much of everything a run has."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Size"]


class Size(NamedTuple):
    """How much of it, and of which kind.

    Attributes:
        tasks: of a load.
        longest: seconds that any fault lasts at most; the plan has outages of ten minutes.
        patience: factor of all bounds in seconds, for machines that others use too.
        messages: that are wrong.
        flood: tasks that are due at the same time; the plan has a million.
        cycles: of a worker that ends and a new one.
        restarts: of the workers of a fleet.
        queue_type: of RabbitMQ's queues, ``quorum`` or ``classic``; in a cluster they are quorum queues always.
    """

    tasks: int = 1000
    longest: float = 20.0
    patience: float = 1.0
    messages: int = 1000
    flood: int = 20_000
    cycles: int = 20
    restarts: int = 10
    queue_type: str = "quorum"
