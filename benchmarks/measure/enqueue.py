"""Enqueue: no-op tasks sent by one process while no worker runs, tasks per second."""

from __future__ import annotations

from benchmarks.figures import Metric
from benchmarks.measure.measurement import Figures, Measurement, Scale
from benchmarks.stand import Stand
from benchmarks.systems.system import Subject

RATE = Metric("rate", "tasks/s", "tasks/s", higher_is_better=True)


class Enqueue(Measurement):
    """One by one, each waiting for the broker's answer before the next."""

    family = "enqueue"

    def row(self, subject: Subject) -> str:
        """Without the worker's options, since none runs."""
        return subject.sending_name

    def measure(self, stand: Stand, subject: Subject, scale: Scale) -> Figures:
        """Send them; the store is emptied before."""
        return {"rate": stand.run(subject, self.store, self.results).client("enqueue", scale.tasks)}


class Batch(Enqueue):
    """The way that the system, or its users' habit, has of sending many."""

    def takes(self, subject: Subject) -> bool:
        """Those that have one."""
        return super().takes(subject) and subject.system.has_batch

    def measure(self, stand: Stand, subject: Subject, scale: Scale) -> Figures:
        """Send them; the store is emptied before."""
        return {"rate": stand.run(subject, self.store, self.results).client("batch", scale.tasks)}
