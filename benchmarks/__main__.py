"""The command line: `python -m benchmarks` measures everything side by side and writes the README's tables.

Each system runs as its users run it: its own worker command, its own client, in processes of their own, on one private
Redis that is emptied before each figure. Within a table the systems take turns, in another order each round, so that
whatever else the machine does meets all of them. A task that ran says so by one byte appended to a file in memory,
whose size the harness watches (`benchmarks.marks`); no store is asked anything while it is measured. What exactly each
table means stands in its module in `benchmarks.measure`, how each system is run in `benchmarks.systems`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import peers
from benchmarks.errors import BenchmarkError
from benchmarks.measure import all_measurements
from benchmarks.measure.measurement import QUICK, Measurement, Scale
from benchmarks.report import Report, Table
from benchmarks.stand import CHECKOUT, Stand
from benchmarks.systems import NAMES, all_systems
from benchmarks.systems.system import Subject, System

LEAST_ROUNDS = 3
"""Fewer rounds have no median to speak of."""


def chosen(words: str, names: Sequence[str], kind: str) -> list[str]:
    """The names that start with one of the comma-separated `words`; all when there are none."""
    if not words:
        return list(names)
    found: list[str] = []
    for word in words.split(","):
        matching = [name for name in names if name.startswith(word.strip())]
        if not matching:
            raise click.BadParameter(f"no {kind} starts with {word!r}: {', '.join(names)}")
        found += [name for name in matching if name not in found]
    return found


class Runner:
    """Runs the measurements: each round takes every subject once, each round in another order."""

    def __init__(self, systems: list[System], scale: Scale, rounds: int, console: Console) -> None:
        self.subjects = [subject for system in systems for subject in system.subjects()]
        self.scale = scale
        self.rounds = rounds
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )

    def table(self, stand: Stand, measurement: Measurement) -> Table:
        """Measure one table."""
        rows = [subject for subject in self.subjects if measurement.takes(subject)]
        table = Table(measurement)
        bar = self.progress.add_task(measurement.title, total=self.rounds * len(rows))

        def announce(subject: Subject) -> None:
            self.progress.update(bar, description=f"{measurement.title}: {subject.name}")

        for turn in range(self.rounds):
            shift = turn % max(1, len(rows))
            order = [*rows[shift:], *rows[:shift]]
            for subject, figures in measurement.measure_all(stand, order, self.scale, announce).items():
                self.progress.advance(bar)
                if isinstance(figures, BenchmarkError):
                    table.failures[subject] = str(figures)
                    # A subject that failed once would only fail, or wait, again.
                    rows.remove(subject)
                else:
                    table.rounds.setdefault(subject, []).append(figures)
        table.rounds = {subject: table.rounds[subject] for subject in rows}
        self.progress.update(bar, description=measurement.title, total=1, completed=1)
        return table


@click.command()
@click.option("--only", default="", help="Tables whose names start so, separated by commas (drain,round-trip,...).")
@click.option("--systems", default="", help=f"Systems, separated by commas, of {', '.join(NAMES)}.")
@click.option("--rounds", default=LEAST_ROUNDS, show_default=True, type=click.IntRange(1))
@click.option("--quick", is_flag=True, help="A tenth of everything: to see that it runs, not to quote.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=CHECKOUT / "build" / "benchmarks.md",
    help="Write Markdown here and JSON beside. [default: build/benchmarks.md]",
)
@click.option("--peers-python", type=click.Path(exists=True, path_type=Path), help="Interpreter that has the peers.")
def main(only: str, systems: str, rounds: int, quick: bool, output: Path, peers_python: Path | None) -> None:
    """Measure Celeriac beside Celery, dramatiq, huey and taskiq on a private Redis."""
    names = chosen(systems, NAMES, "system")
    measurements = all_measurements()
    tables = chosen(only, [measurement.name for measurement in measurements], "table")
    # What another machine needs to repeat this; where the peers are installed here is nobody's business.
    options = {"--only": only, "--systems": systems, "--rounds": str(rounds)}
    repeat = [f"{name} {value}" for name, value in options.items() if value] + ["--quick"] * quick
    ours, theirs = peers.ours(), peers_python or peers.interpreter()
    report = Report(
        {
            "celeriac": peers.versions(ours, peers.OUR_DISTRIBUTIONS),
            "peers": peers.versions(theirs, peers.PEER_DISTRIBUTIONS),
        },
        rounds,
        repeat,
    )
    console = Console()
    chosen_systems = [system for system in all_systems(ours, theirs) if system.name in names]
    runner = Runner(chosen_systems, QUICK if quick else Scale(), rounds, console)
    with runner.progress, Stand() as stand:
        for measurement in measurements:
            if measurement.name in tables and any(map(measurement.takes, runner.subjects)):
                report.tables.append(runner.table(stand, measurement))
                report.write(output)
    console.print(Markdown(report.markdown()))
    console.print(f"Written to {output} and {output.with_suffix('.json')}.")
    for table in report.tables:
        for subject, failure in table.failures.items():
            console.print(f"[red]{subject.name}[/red], {table.measurement.name}: ", failure, markup=True)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        raise SystemExit(str(error)) from None
