"""Reading the ledger, and judging a run by it (the only judge: the broker is a suspect)."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Event", "Ledger"]


DISORDER: Final = 10.0
"""Seconds by which a line can be written later than it says: its process was stopped in between, or had to wait."""


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
        self._events: list[Event] = []
        self._by_kind: defaultdict[str, list[Event]] = defaultdict(list)
        self._times: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._read = 0

    def events(self, kind: str | None = None) -> list[Event]:
        """All events, or those of one kind, as they happened."""
        self._read_on()
        return list(self._events if kind is None else self._by_kind[kind])

    def _read_on(self) -> None:
        """Read what was appended since the last look; a producer's ``try`` and ``sent`` are ids of ours."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]  # the rest of a line that is just being written comes with the next look
        self._read += len(new)
        for line in new.decode().splitlines():
            kind, task, pid, at = line.split()
            if kind == "try":
                self.attempted.add(task)
            elif kind == "sent":
                self.confirmed.add(task)
            else:
                event = Event(kind, task, int(pid), float(at))
                self._events.append(event)
                self._by_kind[kind].append(event)
                self._times[kind][task] += 1

    def since(self, at: float) -> list[Event]:
        """The events after that time; processes write them in nearly the order in which they happen."""
        self._read_on()
        found: list[Event] = []
        for event in reversed(self._events):
            if event.at <= at - DISORDER:
                break
            found.append(event)
        return [event for event in reversed(found) if event.at > at]

    def ids(self, kind: str) -> Counter[str]:
        """How often each task has that event."""
        self._read_on()
        return self._times[kind].copy()

    def of(self, task_id: str, kind: str) -> list[Event]:
        """The events of one task."""
        return [event for event in self.events(kind) if event.task_id == task_id]

    def ended(self) -> int:
        """How many tasks are done."""
        self._read_on()
        return len(self._times["end"])

    def events_of(self, kind: str) -> int:
        """How many events of a kind there are."""
        self._read_on()
        return len(self._by_kind[kind])

    def running(self) -> set[str]:
        """Started and never done."""
        return set(self.ids("start")) - set(self.ids("end"))

    def lost(self) -> set[str]:
        """Confirmed by the broker, and never done."""
        return self.confirmed - set(self.ids("end"))

    def ghosts(self) -> set[str]:
        """Done, and never sent."""
        return set(self.ids("end")) - self.confirmed - self.attempted

    def repeated(self) -> set[str]:
        """Started more than once."""
        return {task_id for task_id, count in self.ids("start").items() if count > 1}

    def repeated_without(self, affected: set[int]) -> set[str]:
        """Run more than once by processes that nothing was done to."""
        runs = Counter(event.task_id for event in self.events("start") if event.pid not in affected)
        return {task_id for task_id, count in runs.items() if count > 1}
