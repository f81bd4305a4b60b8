"""The pools that a scenario runs on, each with room for four tasks."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["POOLS", "SLOTS", "Pool"]

SLOTS: Final = 4
"""Tasks that run at the same time in one worker."""


class Pool(NamedTuple):
    """A pool.

    Attributes:
        name: as the worker takes it.
        arguments: of the worker.
        task: the name of the task that sleeps its way.
        children: processes that run tasks.
    """

    name: str
    arguments: tuple[str, ...]
    task: str
    children: int

    @property
    def slots_of_child(self) -> int:
        """Tasks that run in one child."""
        return SLOTS // self.children


POOLS: Final = {
    "prefork": Pool("prefork", ("-P", "prefork", "-c", "4"), "work", 4),
    "threads": Pool("threads", ("-P", "threads", "-c", "4"), "work", 1),
    "asyncio": Pool("asyncio", ("-P", "asyncio", "-c", "4"), "awork", 1),
}
