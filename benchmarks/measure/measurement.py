"""The interface of a measurement, and the scale of a whole run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.errors import BenchmarkError
from benchmarks.figures import Metric
from benchmarks.stand import Stand
from benchmarks.systems.system import REDIS, Subject

Figures = dict[str, float]
Announce = Callable[[Subject], None]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything: the full measure, or the quick look of `--quick`."""

    tasks: int = 20_000
    calls: int = 1_000
    call_limit: float = 20.0
    """Seconds after which a slow system's round trips end before their number is reached."""
    rate: float = 200.0
    paced: int = 2_000
    scheduled: int = 5_000
    idle: float = 60.0
    starts: int = 7
    """Process starts a round, of which the median counts."""


QUICK = Scale(tasks=2_000, calls=100, call_limit=5.0, paced=400, scheduled=500, idle=5.0, starts=3)


class Measurement(ABC):
    """One table. Its rows are the subjects of its family, its columns its metrics, the first of them the main one."""

    family: ClassVar[str]

    def __init__(
        self, name: str, title: str, metrics: Sequence[Metric], *, store: str = REDIS, results: bool = True
    ) -> None:
        self.name = name
        self.title = title
        self.metrics = tuple(metrics)
        self.store = store
        self.results = results

    def takes(self, subject: Subject) -> bool:
        """Whether `subject` is a row of this table."""
        return self.family in subject.families and self.store in subject.stores

    def row(self, subject: Subject) -> str:
        """How the table names `subject`."""
        return subject.name

    @abstractmethod
    def measure(self, stand: Stand, subject: Subject, scale: Scale) -> Figures:
        """Measure `subject` once; a figure for each metric's key."""

    def measure_all(
        self, stand: Stand, subjects: Sequence[Subject], scale: Scale, announce: Announce
    ) -> dict[Subject, Figures | BenchmarkError]:
        """One round: each subject once, one after the other."""
        figures: dict[Subject, Figures | BenchmarkError] = {}
        for subject in subjects:
            announce(subject)
            try:
                figures[subject] = self.measure(stand, subject, scale)
            except BenchmarkError as error:
                figures[subject] = error
        return figures
