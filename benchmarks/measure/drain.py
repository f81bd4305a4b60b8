"""Drain: a preloaded queue of no-op tasks worked off, tasks per second.

The clock runs from the first task that ran, as the marks file shows (see `benchmarks.marks`), to the moment when all
ran and the store says that none is waiting or in flight and, where results are stored, that all of them are. During
the run the harness looks at a file size only; the store is asked once the last body has run.

Each system's own client fills the queue, once; later rounds get the same bytes back (DUMP and RESTORE, or a copy of
the file), which saves minutes and changes nothing for the worker. On RabbitMQ it is filled anew each time.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.measure.enqueue import RATE
from benchmarks.measure.measurement import Figures, Measurement, Scale
from benchmarks.stand import START_LIMIT, Run, Stand
from benchmarks.systems.system import REDIS, Subject

DRAIN_LIMIT = 300.0
"""Seconds within which the slowest system has run all tasks."""


class Drain(Measurement):
    """With or without results, for each pool of each system."""

    family = "drain"

    def __init__(self, name: str, title: str, *, store: str = REDIS, results: bool = True) -> None:
        super().__init__(name, title, (RATE,), store=store, results=results)
        self._preloaded: dict[tuple[str, str, int], Any] = {}

    def measure(self, stand: Stand, subject: Subject, scale: Scale) -> Figures:
        """Fill the queue, start the worker, watch."""
        run = stand.run(subject, self.store, self.results)
        self._preload(run, scale.tasks)
        with run.worker() as worker:
            worker.wait_for_marks(1, START_LIMIT)
            start, already = time.perf_counter(), run.marks.count()
            worker.wait_for_marks(scale.tasks, DRAIN_LIMIT)
            worker.wait_until_settled(scale.tasks if self.results else 0)
            seconds = time.perf_counter() - start
        if (ran := run.marks.count()) != scale.tasks:
            raise BenchmarkError(f"{subject.name} ran {ran} tasks where {scale.tasks} were sent")
        return {"rate": (scale.tasks - already) / seconds}

    def _preload(self, run: Run, count: int) -> None:
        key = (run.subject.system.name, run.subject.variant, count)
        if key in self._preloaded:
            run.restore(self._preloaded[key])
            return
        run.client("enqueue", count)
        if (saved := run.save()) is not None:
            self._preloaded[key] = saved
