"""Reading the ledger, and judging a run by it (the only judge: the broker is a suspect)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

__all__ = ["Ledger"]


class Ledger:
    """The events of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.confirmed: set[str] = set()

    def events(self) -> list[list[str]]:
        """All events: kind, task id, pid, monotonic seconds."""
        if not self.path.exists():
            return []
        return [line.split() for line in self.path.read_text().splitlines()]

    def ids(self, kind: str) -> Counter[str]:
        """How often each task has that event."""
        return Counter(event[1] for event in self.events() if event[0] == kind)

    def lost(self) -> set[str]:
        """Confirmed by the broker, and never done."""
        return self.confirmed - set(self.ids("end"))

    def ghosts(self) -> set[str]:
        """Done, and never sent."""
        return set(self.ids("end")) - self.confirmed

    def repeated(self) -> set[str]:
        """Started more than once."""
        return {task_id for task_id, count in self.ids("start").items() if count > 1}
