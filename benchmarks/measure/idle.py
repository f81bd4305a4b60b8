"""Idle: what a worker without work costs. CPU seconds a minute of all its processes, its memory, what it sends.

Each system has a Redis of its own, so that they idle side by side and the commands can be told apart; idle processes
hardly disturb each other. Commands are those that clients sent (MONITOR), without what their scripts called. Memory is
the proportional set size at the end.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.figures import Metric
from benchmarks.measure.measurement import Announce, Figures, Measurement, Scale
from benchmarks.measure.scheduled import MEBIBYTE
from benchmarks.processes import proportional_memory
from benchmarks.redis_server import Monitor, RedisServer
from benchmarks.stand import Run, Stand, Worker
from benchmarks.systems.system import Subject

CALM = 5.0
"""Seconds between the last task and the beginning of idleness, for whatever a worker does after work."""
MINUTE = 60.0
FIVE_SECONDS = 5.0
METRICS = (
    Metric("cpu", "CPU s/min", "s", digits=3),
    Metric("commands", "commands sent/min", "1/min", digits=0),
    Metric("connections", "connections", "", digits=0),
    Metric("rate", "commands per connection in 5 s", "", digits=2),
    Metric("memory", "PSS MiB", "MiB", digits=1),
)


class Idler:
    """A system that idles, on its own Redis, watched from the moment that this is made."""

    def __init__(self, run: Run, worker: Worker, stack: ExitStack) -> None:
        self.run = run
        self.worker = worker
        self.monitor = stack.enter_context(Monitor(run.server))
        self.start = time.monotonic()
        self.cpu = worker.cpu_seconds()

    def figures(self) -> Figures:
        """What happened since."""
        for program in self.worker.programs:
            program.check()
        minutes = (time.monotonic() - self.start) / MINUTE
        commands, connections = self.monitor.commands() / minutes, self.run.server.connections()
        return {
            "cpu": (self.worker.cpu_seconds() - self.cpu) / minutes,
            "commands": commands,
            "connections": connections,
            "rate": commands * FIVE_SECONDS / MINUTE / max(1, connections),
            "memory": proportional_memory(self.worker.pids()) / MEBIBYTE,
        }


class Idle(Measurement):
    """All systems at the same time."""

    family = "idle"

    def measure(self, stand: Stand, subject: Subject, scale: Scale) -> Figures:
        """One system alone."""
        figures = self.measure_all(stand, [subject], scale, lambda _subject: None)[subject]
        if isinstance(figures, BenchmarkError):
            raise figures
        return figures

    def measure_all(
        self, stand: Stand, subjects: Sequence[Subject], scale: Scale, announce: Announce
    ) -> dict[Subject, Figures | BenchmarkError]:
        """Start them one after the other, let all idle together."""
        figures: dict[Subject, Figures | BenchmarkError] = {}
        with ExitStack() as stack:
            workers: dict[Subject, tuple[Run, Worker]] = {}
            for subject in subjects:
                announce(subject)
                try:
                    workers[subject] = self._start(stand, subject, stack)
                except BenchmarkError as error:
                    figures[subject] = error
            time.sleep(CALM)
            idlers = {subject: Idler(run, worker, stack) for subject, (run, worker) in workers.items()}
            time.sleep(scale.idle)
            for subject, idler in idlers.items():
                try:
                    figures[subject] = idler.figures()
                except BenchmarkError as error:
                    figures[subject] = error
        return figures

    def _start(self, stand: Stand, subject: Subject, stack: ExitStack) -> tuple[Run, Worker]:
        server = stack.enter_context(RedisServer(Path(tempfile.mkdtemp(dir=stand.folder))))
        run = stand.run(subject, self.store, server=server)
        worker = stack.enter_context(run.worker())
        worker.warm_up()
        return run, worker
