"""Start latency: tasks sent at a steady rate whatever becomes of them (open loop), milliseconds from send to start."""

from __future__ import annotations

from benchmarks.measure.latency import percentiles
from benchmarks.measure.measurement import Figures, Measurement, Scale
from benchmarks.stand import Stand
from benchmarks.systems.system import Subject

STRAGGLER_LIMIT = 30.0
"""Seconds after the last sending within which each task has started."""


class StartLatency(Measurement):
    """The task itself writes down when it started, beside the time that its message carried."""

    family = "start-latency"

    def measure(self, stand: Stand, subject: Subject, scale: Scale) -> Figures:
        """Send at the rate, then collect."""
        run = stand.run(subject, self.store)
        with run.worker() as worker:
            worker.warm_up()
            run.client("paced", scale.rate, scale.paced)
            worker.wait_for_stamps(scale.paced, STRAGGLER_LIMIT)
        return percentiles(run.marks.latencies())
