"""Scheduled tasks: how late they start, and what the waiting ones cost the worker in memory.

They are sent first and become due, evenly spread, in the seconds after. Memory is the proportional set size of all
processes of the worker when all are sent and none is due, and its growth since before the first was sent.
"""

from __future__ import annotations

import time

from benchmarks.errors import BenchmarkError
from benchmarks.figures import Metric
from benchmarks.measure.latency import P50, P99, percentiles
from benchmarks.measure.measurement import Figures, Measurement, Scale
from benchmarks.processes import proportional_memory
from benchmarks.stand import Stand
from benchmarks.systems.system import Subject

MEBIBYTE = 1_048_576
LEAD = 12.0
"""Seconds from the first sending to the first due time: the slowest client sends 5,000 in less."""
PERIOD = 10.0
"""Seconds over which the due times spread: 500 a second, which every system can run."""
STRAGGLER_LIMIT = 60.0
"""Seconds after the last due time within which each task has started."""
METRICS = (
    P50,
    P99,
    Metric("memory", "worker MiB", "MiB", digits=1),
    Metric("growth", "of it waiting tasks, MiB", "MiB", digits=1),
)


class Scheduled(Measurement):
    """Tasks with an ETA."""

    family = "scheduled"

    def measure(self, stand: Stand, subject: Subject, scale: Scale) -> Figures:
        """Send, look at the memory, wait for the last."""
        run = stand.run(subject, self.store)
        with run.worker() as worker:
            worker.warm_up()
            before = proportional_memory(worker.pids())
            start = time.monotonic()
            run.client("schedule", scale.scheduled, LEAD, PERIOD)
            if time.monotonic() - start > LEAD:
                raise BenchmarkError(f"{subject.name}: sending {scale.scheduled} tasks took longer than {LEAD:g} s")
            memory = proportional_memory(worker.pids())
            worker.wait_for_stamps(scale.scheduled, LEAD + PERIOD + STRAGGLER_LIMIT)
        shares = percentiles(run.marks.latencies())
        return {**shares, "memory": memory / MEBIBYTE, "growth": (memory - before) / MEBIBYTE}
