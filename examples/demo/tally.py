"""The tally: what the ledger's entries add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from demo.ledger import Entry

__all__ = ["Tally", "percentile"]

ENDS: Final = ("succeeded", "failed")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies; 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass
class Tally:
    """Counts, grown entry by entry.

    Attributes:
        ended: how each task ended at first, by its id.
        runs: how often each task was started, by its id.
        running: what runs now, by the task's id; a task of a killed process stays until it is redelivered.
        retries: the entries of failed attempts that are tried again.
        redeliveries: the starts of tasks whose process had died.
        again: ids of tasks that had ended and were run once more.
        failures: the entries of failures.
        run_times: seconds from start to success, by the task's name.
    """

    ended: dict[str, str] = field(default_factory=dict)
    runs: Counter[str] = field(default_factory=Counter)
    running: dict[str, Entry] = field(default_factory=dict)
    retries: list[Entry] = field(default_factory=list)
    redeliveries: list[Entry] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    failures: list[Entry] = field(default_factory=list)
    run_times: dict[str, list[float]] = field(default_factory=dict)

    def add(self, entries: Iterable[Entry]) -> None:
        """Add entries, in the order in which they were written."""
        for entry in entries:
            if entry.kind == "started":
                self._start(entry)
            else:
                self._end(entry)

    def _start(self, entry: Entry) -> None:
        self.runs[entry.task_id] += 1
        self.running[entry.task_id] = entry
        if entry.losses:
            self.redeliveries.append(entry)

    def _end(self, entry: Entry) -> None:
        started = self.running.pop(entry.task_id, None)
        if entry.kind == "retried":
            self.retries.append(entry)
            return
        if entry.task_id in self.ended:
            self.again.add(entry.task_id)
            return
        self.ended[entry.task_id] = entry.kind
        if entry.kind == "failed":
            self.failures.append(entry)
        elif started is not None:
            self.run_times.setdefault(entry.name, []).append(entry.at - started.at)

    @property
    def succeeded(self) -> int:
        """Tasks that ended well."""
        return len(self.ended) - len(self.failures)
