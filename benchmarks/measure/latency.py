"""Three percentiles of a latency, in milliseconds: what round trips, starts and due times are reported as."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.figures import Metric, percentile
from benchmarks.measure.measurement import Figures

MILLISECONDS = 1_000
P50 = Metric("p50", "p50 ms", "ms", digits=2)
P95 = Metric("p95", "p95 ms", "ms", digits=2)
P99 = Metric("p99", "p99 ms", "ms", digits=2)


def percentiles(seconds: Sequence[float]) -> Figures:
    """p50, p95 and p99 of durations in seconds."""
    shares = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
    return {key: MILLISECONDS * percentile(seconds, share) for key, share in shares.items()}
