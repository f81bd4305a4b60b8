"""The report: a Markdown table a measurement, for the README, and all raw figures as JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Metric, Spread
from benchmarks.measure.measurement import Figures, Measurement
from benchmarks.systems.system import Subject


@dataclass
class Table:
    """All rounds of one measurement."""

    measurement: Measurement
    rounds: dict[Subject, list[Figures]] = field(default_factory=dict)
    failures: dict[Subject, str] = field(default_factory=dict)

    def spread(self, subject: Subject, metric: Metric) -> Spread:
        """Median and extremes of one figure of one row."""
        return Spread.of([figures[metric.key] for figures in self.rounds[subject]])

    @property
    def main(self) -> Metric:
        """The metric that rows are compared by."""
        return self.measurement.metrics[0]

    def best(self, subjects: list[Subject]) -> float | None:
        """The best median of the main metric among `subjects`."""
        medians = [self.spread(subject, self.main).median for subject in subjects]
        if not medians:
            return None
        return max(medians) if self.main.higher_is_better else min(medians)

    def references(self) -> dict[str, float]:
        """What rows are compared with: a heading and a median of the main metric each."""
        celery = [subject for subject in self.rounds if subject.system.name == "celery"]
        peers = [subject for subject in self.rounds if subject.system.is_peer]
        candidates = {"times Celery": self.best(celery[:1])}
        if len(celery) > 1:
            candidates["times Celery's fastest pool"] = self.best(celery)
        candidates["times the fastest peer"] = self.best(peers)
        return {heading: value for heading, value in candidates.items() if value is not None}

    def lines(self) -> Iterator[str]:
        """The table in Markdown."""
        references = self.references()
        titles = ["system", *(metric.title for metric in self.measurement.metrics), "spread", *references]
        yield f"### {self.measurement.title} (`{self.measurement.name}`)"
        yield ""
        yield f"| {' | '.join(titles)} |"
        yield f"|---|{'---:|' * (len(titles) - 1)}"
        for subject in self.rounds:
            main = self.spread(subject, self.main)
            cells = [metric.show(self.spread(subject, metric).median) for metric in self.measurement.metrics]
            cells.append(f"{self.main.show(main.lowest)} to {self.main.show(main.highest)}")
            for reference in references.values():
                advantage = self.main.advantage(main.median, reference)
                cells.append("" if advantage is None else f"{advantage:.2f}")
            yield f"| {' | '.join((self.measurement.row(subject), *cells))} |"
        for subject, failure in self.failures.items():
            # The whole text is in the JSON file; what a worker printed does not belong into a table.
            yield f"| {self.measurement.row(subject)} | failed: {failure.splitlines()[0]} |"
        yield ""


@dataclass
class Report:
    """All tables of one invocation."""

    versions: dict[str, dict[str, str]]
    rounds: int
    arguments: list[str]
    tables: list[Table] = field(default_factory=list)
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    when: datetime = field(default_factory=lambda: datetime.now(UTC))

    def markdown(self) -> str:
        """The tables, with what is needed to judge and to repeat them."""
        versions = "; ".join(
            ", ".join(f"{name} {version}" for name, version in group.items()) for group in self.versions.values()
        )
        head = [
            "## Benchmarks",
            "",
            f"{self.when:%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), {platform.system()} "
            f"{platform.release()}, Python {platform.python_version()}; {versions}. "
            f"Load before the run: {self.load:.1f}.",
            f"Medians of {self.rounds} rounds, the systems taking turns in each; spread is the lowest and the highest "
            "round of the first figure. "
            "The columns named times ... say how many times better a row's first figure is.",
            "",
            "Repeat it with",
            "",
            f"    {' '.join(('python -m benchmarks', *self.arguments))}",
            "",
        ]
        return "\n".join([*head, *(line for table in self.tables for line in table.lines())])

    def raw(self) -> dict[str, object]:
        """Every figure of every round."""
        return {
            "when": self.when.isoformat(),
            "python": sys.version,
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "load": self.load,
            "versions": self.versions,
            "arguments": self.arguments,
            "tables": {
                table.measurement.name: {
                    "rounds": {table.measurement.row(subject): each for subject, each in table.rounds.items()},
                    "failures": {table.measurement.row(subject): text for subject, text in table.failures.items()},
                }
                for table in self.tables
            },
        }

    def write(self, path: Path) -> None:
        """Write the Markdown to `path` and the raw figures beside it, with the suffix .json."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.markdown())
        path.with_suffix(".json").write_text(json.dumps(self.raw(), indent=1))
