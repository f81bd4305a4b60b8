"""Where a task's microseconds go: CPU per task in the main process, its children and Redis, beside the budget.

    python -m benchmarks.profile [--tasks N] [--system celery --peers-python ...] [--pool threads]

A preloaded queue is drained; the processes' CPU times are read when the first task has run and when the last one has.
On two cores everything together, divided by two, is what one task costs in time at best.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.errors import BenchmarkError
from benchmarks.processes import cpu_seconds
from benchmarks.stand import START_LIMIT, Run, Stand, Worker
from benchmarks.systems import NAMES, all_systems
from benchmarks.systems.system import REDIS, Subject

MICROSECONDS = 1_000_000
BUDGET = {"main process": 15.0, "children": 25.0, "Redis": 12.0}
"""Microseconds of CPU a task that the design allows, for 33,600 tasks a second on two cores."""
DRAIN_LIMIT = 600.0
"""Seconds for all tasks, on any machine."""


@dataclass(frozen=True, slots=True)
class Look:
    """CPU seconds so far, and how many tasks had run."""

    at: float
    tasks: int
    cpu: dict[str, float]

    @classmethod
    def now(cls, run: Run, worker: Worker) -> Look:
        """Look now."""
        main, *children = worker.pids()
        cpu = (cpu_seconds(main), sum(map(cpu_seconds, children)), run.server.cpu_seconds())
        return cls(time.perf_counter(), run.marks.count(), dict(zip(BUDGET, cpu, strict=True)))


def profile(stand: Stand, subject: Subject, tasks: int, results: bool) -> tuple[float, dict[str, float]]:
    """Tasks per second, and microseconds a task for each line of the budget."""
    run = stand.run(subject, REDIS, results)
    run.client("batch" if subject.system.has_batch else "enqueue", tasks)
    with run.worker() as worker:
        worker.wait_for_marks(1, START_LIMIT)
        before = Look.now(run, worker)
        worker.wait_for_marks(tasks, DRAIN_LIMIT)
        worker.wait_until_settled(tasks if results else 0)
        after = Look.now(run, worker)
    ran = after.tasks - before.tasks
    costs = {name: MICROSECONDS * (after.cpu[name] - before.cpu[name]) / ran for name in BUDGET}
    return ran / (after.at - before.at), costs


def chosen(subjects: list[Subject], system: str, pool: str) -> Subject:
    """The first way of running `system` whose label starts with `pool`."""
    for subject in subjects:
        if subject.system.name == system and subject.label.startswith(pool) and "drain" in subject.families:
            return subject
    labels = [subject.label for subject in subjects if subject.system.name == system]
    raise click.BadParameter(f"{system} has no pool {pool!r}: {', '.join(labels)}")


@click.command()
@click.option("--tasks", default=100_000, show_default=True, type=click.IntRange(1_000))
@click.option("--system", default="celeriac", show_default=True, type=click.Choice(NAMES))
@click.option("--pool", default="", help="Beginning of a label, such as threads; default: the first.")
@click.option("--results/--no-results", default=True, show_default=True)
@click.option("--peers-python", type=click.Path(exists=True, path_type=Path), help="Interpreter that has the peers.")
def main(tasks: int, system: str, pool: str, results: bool, peers_python: Path | None) -> None:
    """Print microseconds of CPU per task beside the budget."""
    theirs = peers_python or (peers.ours() if system in ("celeriac", "floor") else peers.interpreter())
    subjects = [subject for each in all_systems(peers.ours(), theirs) for subject in each.subjects()]
    subject = chosen(subjects, system, pool)
    console = Console()
    with console.status(f"Draining {tasks:,} tasks with {subject.name} ..."), Stand() as stand:
        rate, costs = profile(stand, subject, tasks, results)
    table = Table("where", "µs per task", "budget", title=f"{subject.name}: {rate:,.0f} tasks/s", title_justify="left")
    for name, cost in costs.items():
        table.add_row(name, f"{cost:.1f}", f"{BUDGET[name]:.0f}")
    table.add_row("together", f"{sum(costs.values()):.1f}", f"{sum(BUDGET.values()):.0f}")
    console.print(table)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        raise SystemExit(str(error)) from None
