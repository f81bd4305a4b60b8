"""Half an hour of random faults under load.

    python -m tests.faults.soak --minutes 30 --broker redis

Each 5 to 40 seconds one of: a worker is killed, a child is killed, a main process is stopped for three leases, a worker
is told to end, the broker restarts, the network is cut off, or its connections are reset again and again. Every worker
that ends is replaced. Judged are I1 (lost), I2 (ghosts) and I6 (memory and descriptors of the worker that nothing is
done to, from after the first minutes to the end).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from tests.faults.brokers import broker
from tests.faults.catalogue import Cell, Fault
from tests.faults.processes import WorkerProcess
from tests.faults.run import Run, Size, run_scenario, server_of
from tests.faults.systems import CELERIAC
from tests.faults.verdict import Verdict

__all__ = ["soak"]

SHORTEST, LONGEST = 5.0, 40.0
"""Seconds between two faults."""
RATE: Final = 90.0
"""Tasks a second: more than 100,000 in half an hour."""
WARM_UP: Final = 0.15
"""Share of the time after which memory is looked at for the first time."""
GROWN: Final = 1.10
"""Times the memory of then that the worker may have at the end."""
NOISE: Final = 8 * 1024 * 1024
"""Bytes that come and go."""
STORM: Final = 5.0
"""Seconds of resets."""


class Soak:
    """The faults, and the workers that they are done to."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._proxy = run.proxy()
        self._through = run.broker.through(self._proxy.port)
        self._prey = run.worker(**self._through)
        self.faults: dict[str, Callable[[], None]] = {
            "a worker is killed": self._kill,
            "a child is killed": self._kill_child,
            "a main process is stopped": self._stop,
            "a worker is told to end": self._end,
            "the broker restarts": self._restart,
            "the network is cut off": self._cut_off,
            "a storm of resets": self._storm,
        }

    def _new(self) -> None:
        self._run.forget(self._prey)
        self._prey = self._run.worker(**self._through)

    def _kill(self) -> None:
        self._run.kill(self._prey)
        self._new()

    def _kill_child(self) -> None:
        children = self._run.children(self._prey)
        if children:
            self._run.chance.choice(children).kill()

    def _stop(self) -> None:
        process = psutil.Process(self._prey.pid)
        process.suspend()
        time.sleep(3 * self._run.lease)  # three leases
        process.resume()

    def _end(self) -> None:
        self._run.verdict.expect(self._prey.stop(30.0) == 0, "a worker that was told to end did not end well")
        self._new()

    def _restart(self) -> None:
        server = server_of(self._run)
        server.stop()
        time.sleep(self._run.chance.choice((0.0, 0.3, 2.0)))  # the outage
        server.start()

    def _cut_off(self) -> None:
        self._proxy.frozen = True
        time.sleep(self._run.chance.uniform(1.0, 10.0))  # the partition
        self._proxy.frozen = False

    def _storm(self) -> None:
        end = time.monotonic() + STORM
        while time.monotonic() < end:
            self._proxy.reset()
            time.sleep(0.2)


def soak(run: Run, minutes: float) -> None:
    """The scenario."""
    bystander = run.worker()  # nothing is done to it but what is done to the broker
    done = Soak(run)
    counts: Counter[str] = Counter()
    run.size = run.size._replace(tasks=0)
    run.load(rate=RATE)
    begun = time.monotonic()
    end = begun + minutes * 60
    first = None
    while time.monotonic() < end:
        time.sleep(min(run.chance.uniform(SHORTEST, LONGEST), max(0.0, end - time.monotonic())))
        name = run.chance.choice(list(done.faults))
        counts[name] += 1
        with run.fault(name):
            done.faults[name]()
        run.recover(within=10.0)
        if first is None and time.monotonic() > begun + WARM_UP * minutes * 60:
            first = _held(bystander)
        print(f"{time.monotonic() - begun:6.0f} s  {run.ledger.ended()} done, {counts.total()} faults", flush=True)
    run.verdict.note(minutes=minutes, **{name.replace(" ", "_"): count for name, count in counts.items()})
    run.judge(repeated=None, patience=120, resources=False)
    run.verdict.expect(bystander.process.poll() is None, "the worker that nothing was done to has ended")
    last = _held(bystander)
    if first is not None:
        run.verdict.note(memory=f"{first[0] >> 20} to {last[0] >> 20} MiB", descriptors=f"{first[1]} to {last[1]}")
        run.verdict.expect(last[0] <= first[0] * GROWN + NOISE, "its memory grew", "I6")
        run.verdict.expect(last[1] <= first[1] + 4, "its descriptors grew", "I6")


def _held(worker: WorkerProcess) -> tuple[int, int]:
    process = psutil.Process(worker.pid)
    return process.memory_info().rss, process.num_fds()


def main() -> int:
    """Run it by hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--broker", default="redis,rabbitmq")
    parser.add_argument("--pool", default="prefork")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    failed = False
    for name in arguments.broker.split(","):
        verdict = _soak_on(name, arguments)
        print(verdict, flush=True)
        failed = failed or not verdict.passed
    return int(failed)


def _soak_on(name: str, arguments: argparse.Namespace) -> Verdict:
    fault = Fault("soak", "random faults", lambda run: soak(run, arguments.minutes))
    with tempfile.TemporaryDirectory(prefix="celeriac-soak-") as folder, broker(name, Path(folder)) as made:
        run = Run(Cell(fault, name, arguments.pool), made, Path(folder), Size(), CELERIAC, arguments.seed)
        return run_scenario(run, told=lambda text: print(text, file=sys.stderr))


if __name__ == "__main__":
    sys.exit(main())
