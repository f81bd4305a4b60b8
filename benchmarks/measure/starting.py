"""Starting: import time of what a sending program needs, and from the start of a worker to its first finished task."""

from __future__ import annotations

import statistics
import subprocess
import time

from benchmarks.errors import BenchmarkError
from benchmarks.figures import Metric
from benchmarks.measure.latency import MILLISECONDS
from benchmarks.measure.measurement import Figures, Measurement, Scale
from benchmarks.stand import CHECKOUT, START_LIMIT, Stand
from benchmarks.systems.system import Subject

IMPORT = Metric("import", "ms more than bare Python", "ms", digits=1)
COLD_START = Metric("start", "first task done after, ms", "ms", digits=0)


class ImportTime(Measurement):
    """The median start of an interpreter that imports it, less that of one that imports nothing, taken in turns."""

    family = "import"

    def row(self, subject: Subject) -> str:
        """The system alone."""
        return subject.sending_name

    def takes(self, subject: Subject) -> bool:
        """One row a system, the usual way of running it."""
        return super().takes(subject) and subject == subject.system.subjects()[0]

    def measure(self, stand: Stand, subject: Subject, scale: Scale) -> Figures:
        """Start interpreters."""
        starts: dict[str, list[float]] = {"pass": [], subject.system.import_statement: []}
        for statement in (*starts, *(list(starts) * scale.starts)):
            starts[statement].append(self._start(subject, statement))
        # The first of each, which may have had to compile or to read from the disk, is left out.
        bare, importing = (statistics.median(times[1:]) for times in starts.values())
        return {"import": MILLISECONDS * (importing - bare)}

    def _start(self, subject: Subject, statement: str) -> float:
        start = time.perf_counter()
        done = subprocess.run(
            [subject.system.interpreter, "-c", statement], cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BenchmarkError(f"{statement!r} fails for {subject.system.interpreter}:\n{done.stderr}")
        return time.perf_counter() - start


class ColdStart(Measurement):
    """One task waits in the queue; the clock runs from the exec of the worker to the task's mark."""

    family = "cold-start"

    def measure(self, stand: Stand, subject: Subject, scale: Scale) -> Figures:
        """Start workers."""
        times = []
        for _ in range(scale.starts):
            run = stand.run(subject, self.store)
            run.client("enqueue", 1)
            start = time.perf_counter()
            with run.worker() as worker:
                worker.wait_for_marks(1, START_LIMIT)
                times.append(time.perf_counter() - start)
        return {"start": MILLISECONDS * statistics.median(times)}
