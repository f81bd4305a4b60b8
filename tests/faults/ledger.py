"""Reading the ledger, and judging a run by it (the only judge: the broker is a suspect)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

__all__ = ["Event", "Ledger"]


class Event(NamedTuple):
    """One line: what happened to which task, in which process, when (monotonic seconds, the same in all processes)."""

    kind: str
    task_id: str
    pid: int
    at: float


class Ledger:
    """The events of one run.

    Attributes:
        attempted: ids that a producer tried to send.
        confirmed: ids that the broker took.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attempted: set[str] = set()
        self.confirmed: set[str] = set()

    def events(self, kind: str | None = None) -> list[Event]:
        """All events, or those of one kind, as they happened."""
        if not self.path.exists():
            return []
        lines = (line.split() for line in self.path.read_text().splitlines())
        return [Event(what, task, int(pid), float(at)) for what, task, pid, at in lines if kind in (None, what)]

    def ids(self, kind: str) -> Counter[str]:
        """How often each task has that event."""
        return Counter(event.task_id for event in self.events(kind))

    def of(self, task_id: str, kind: str) -> list[Event]:
        """The events of one task."""
        return [event for event in self.events(kind) if event.task_id == task_id]

    def lost(self) -> set[str]:
        """Confirmed by the broker, and never done."""
        return self.confirmed - set(self.ids("end"))

    def ghosts(self) -> set[str]:
        """Done, and never sent."""
        return set(self.ids("end")) - self.confirmed - self.attempted

    def repeated(self) -> set[str]:
        """Started more than once."""
        return {task_id for task_id, count in self.ids("start").items() if count > 1}
