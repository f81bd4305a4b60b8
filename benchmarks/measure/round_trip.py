"""Round trip: one task after the other is sent and its result waited for; p50, p95 and p99 in milliseconds.

A system whose client polls so slowly that the calls would take longer than the limit is measured with fewer of them.
"""

from __future__ import annotations

from benchmarks.errors import BenchmarkError
from benchmarks.measure.latency import percentiles
from benchmarks.measure.measurement import Figures, Measurement, Scale
from benchmarks.stand import Stand
from benchmarks.systems.system import Subject


class RoundTrip(Measurement):
    """From before the sending to after the reading of the result, in one client process."""

    family = "round-trip"

    def measure(self, stand: Stand, subject: Subject, scale: Scale) -> Figures:
        """Call after the worker is warm."""
        run = stand.run(subject, self.store)
        with run.worker() as worker:
            worker.warm_up()
            durations = run.client("round-trip", scale.calls, scale.call_limit)
        if not durations:
            raise BenchmarkError(f"{subject.name} answered nothing within {scale.call_limit:g} s")
        return percentiles(durations)
