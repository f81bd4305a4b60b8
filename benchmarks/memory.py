"""Memory: a million tasks drained, and a million that wait. `python -m benchmarks.memory --help`.

Drained: a producer and a worker go on and on; their memory after the first 200,000 tasks and after 1,000,000 must be
the same within 5 %. Waiting: 1,000,000 tasks due in 1 to 24 hours; the worker must not grow by 30 MB, tasks for now
must still start within 50 ms (p99), and when every process of the worker has been killed each message must still be
there. Both on Redis and on the embedded broker.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.errors import BenchmarkError
from benchmarks.measure.latency import percentiles
from benchmarks.processes import Program, anonymous_memory, proportional_memory, resident_memory, wait_until
from benchmarks.stand import CHECKOUT, Run, Stand, Worker
from benchmarks.systems.celeriac import Celeriac
from benchmarks.systems.system import EMBEDDED, REDIS

MEBIBYTE = 1_048_576
MEGABYTE = 1_000_000
HOUR = 3_600
MILLION = 1_000_000
SAMPLES = 15
SAMPLE_INTERVAL = 0.2
"""Seconds between samples: memory breathes with the batches in flight, so the median of some counts."""
PATIENCE = 3_600.0
"""Seconds for a million tasks, on any machine."""
CALM = 3.0
"""Seconds after the sending, for what a worker frees late."""
RATE = 200.0
PACED = 2_000
"""Tasks for now, and how many of them a second, that are sent while a million wait."""
GROWTH_LIMIT = 0.05
WAITING_LIMIT = 30.0
"""Megabytes by which a worker may grow for a million waiting tasks."""
START_LIMIT = 50.0
"""Milliseconds within which 99 of 100 immediate tasks start."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Median memory of some processes, bytes."""

    proportional: float
    resident: float
    anonymous: float

    @classmethod
    def of(cls, pids: Callable[[], list[int]]) -> Memory:
        """Sample the processes that `pids` names for a few seconds."""
        samples = []
        for _ in range(SAMPLES):
            samples.append((proportional_memory(pids()), resident_memory(pids()), anonymous_memory(pids())))
            time.sleep(SAMPLE_INTERVAL)
        return cls(*(statistics.median(values) for values in zip(*samples, strict=True)))


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the result."""

    what: str
    value: str
    limit: str
    holds: bool


def growth(what: str, before: Memory, after: Memory) -> Iterator[Finding]:
    """Memory before and after, and whether the growth is within the limit.

    PSS and RSS count the pages of a file that is mapped, such as the embedded broker's; anonymous memory is what the
    process itself has allocated.
    """
    for name, old, new in (
        ("PSS", before.proportional, after.proportional),
        ("RSS", before.resident, after.resident),
        ("anonymous", before.anonymous, after.anonymous),
    ):
        share = new / old - 1
        value = f"{old / MEBIBYTE:,.1f} → {new / MEBIBYTE:,.1f} MiB ({share:+.1%})"
        yield Finding(f"{what}, {name}", value, f"within {GROWTH_LIMIT:.0%}", abs(share) < GROWTH_LIMIT)


def producer(run: Run, *arguments: str) -> Program:
    """Start a process of `benchmarks.producers`."""
    command = [str(run.subject.system.interpreter), "-m", "benchmarks.producers", *arguments]
    return Program(command, run.environment(), CHECKOUT, run.folder / "producer.log")


def drained(run: Run, first: int, last: int) -> list[Finding]:
    """Memory of worker and producer after `first` and after `last` tasks."""
    with run.worker() as worker, producer(run, "stream") as sending:
        start = time.monotonic()
        worker.wait_for_marks(first, PATIENCE)
        before = Memory.of(worker.pids), Memory.of(sending.pids)
        worker.wait_for_marks(last, PATIENCE)
        rate = last / (time.monotonic() - start)
        after = Memory.of(worker.pids), Memory.of(sending.pids)
        sending.check()
    return [
        Finding("rate, sending included", f"{rate:,.0f} tasks/s", "", True),
        *growth("worker", before[0], after[0]),
        *growth("producer", before[1], after[1]),
    ]


def waiting(run: Run, count: int) -> list[Finding]:
    """Memory of the worker, start latency and survival while `count` tasks wait."""
    with run.worker() as worker:
        worker.warm_up()
        before = Memory.of(worker.pids)
        start = time.monotonic()
        _schedule(run, count)
        seconds = time.monotonic() - start
        time.sleep(CALM)
        after = Memory.of(worker.pids)
        latencies = _immediate(run, worker)
    # The worker and all its children have been killed with SIGKILL here.
    left = _pending(run)
    grown = (after.proportional - before.proportional) / MEGABYTE
    sizes = f"{before.proportional / MEBIBYTE:,.1f} → {after.proportional / MEBIBYTE:,.1f} MiB ({grown:+.1f} MB)"
    return [
        Finding("sending", f"{count / seconds:,.0f} tasks/s", "", True),
        Finding("worker, PSS", sizes, f"less than {WAITING_LIMIT:g} MB", grown < WAITING_LIMIT),
        Finding(
            "immediate tasks start after",
            f"p50 {latencies['p50']:.2f}, p99 {latencies['p99']:.2f} ms",
            f"p99 at most {START_LIMIT:g} ms",
            latencies["p99"] <= START_LIMIT,
        ),
        Finding("after kill -9 of all", f"{left:,} of {count:,} there", "all", left == count),
    ]


def _schedule(run: Run, count: int) -> None:
    with producer(run, "schedule", str(count), str(HOUR), str(24 * HOUR)) as sending:
        if not wait_until(lambda: sending.process.poll() is not None, PATIENCE, interval=0.05):
            raise BenchmarkError(f"sending {count} tasks took longer than {PATIENCE:g} s")
        if sending.process.returncode:
            raise BenchmarkError(f"the producer failed:\n{sending.output()}")


def _immediate(run: Run, worker: Worker) -> dict[str, float]:
    run.client("paced", RATE, PACED)
    worker.wait_for_stamps(PACED, PATIENCE)
    worker.wait_until(lambda: _in_flight_is_over(run), "the last immediate tasks to be settled")
    return percentiles(run.marks.latencies())


def _in_flight_is_over(run: Run) -> bool:
    return run.store != REDIS or not run.server.command("HLEN", "unacked")


def _pending(run: Run) -> int:
    system = run.subject.system
    if not isinstance(system, Celeriac):
        raise TypeError("only Celeriac is measured here")
    return system.pending_on_redis(run.server) if run.store == REDIS else system.pending_on_sqlite(run.file)


@click.command()
@click.option("--store", "stores", multiple=True, type=click.Choice([REDIS, EMBEDDED]), help="Default: both.")
@click.option("--only", type=click.Choice(["drained", "waiting"]), help="Default: both.")
@click.option("--tasks", default=MILLION, show_default=True, help="Tasks drained.")
@click.option("--first", default=MILLION // 5, show_default=True, help="Tasks drained before the first look.")
@click.option("--scheduled", default=MILLION, show_default=True, help="Tasks that wait.")
def main(stores: tuple[str, ...], only: str | None, tasks: int, first: int, scheduled: int) -> None:
    """Measure Celeriac's memory over a million tasks, drained and waiting."""
    console = Console()
    subject = Celeriac(peers.ours()).subjects()[0]
    failed = False
    for store in stores or (REDIS, EMBEDDED):
        parts: dict[str, Callable[[Run], list[Finding]]] = {
            f"{tasks:,} tasks drained": lambda run: drained(run, first, tasks),
            f"{scheduled:,} tasks waiting": lambda run: waiting(run, scheduled),
        }
        for title, part in parts.items():
            if only and not title.endswith(only):
                continue
            with console.status(f"{title}, {store} ..."), Stand() as stand:
                findings = part(stand.run(subject, store))
            table = Table("what", "measured", "limit", "holds", title=f"{title}, {store}", title_justify="left")
            for finding in findings:
                table.add_row(finding.what, finding.value, finding.limit, "yes" if finding.holds else "[red]no[/red]")
            console.print(table)
            failed |= not all(finding.holds for finding in findings)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        raise SystemExit(str(error)) from None
