"""Half an hour of random faults under load.

    python -m tests.faults.soak --minutes 30 --broker redis

Each 5 to 40 seconds one of: a worker is killed, a child is killed, a main process is stopped for three leases, a worker
is told to end, the broker restarts, the network is cut off, its connections are reset again and again, or messages come
twice. Every worker that ends is replaced. Judged are I1 (lost), I2 (ghosts), I5 (what is left), I7 (results) and I6:
memory and descriptors of the worker that nothing is done to, of its main process and of all its processes, from after
the first minutes to the end.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from tests.faults.brokers import broker
from tests.faults.catalogue import Cell, Fault
from tests.faults.processes import WorkerProcess
from tests.faults.records import Record, append, record_of
from tests.faults.run import TASK, Run, run_scenario, server_of
from tests.faults.size import Size
from tests.faults.systems import CELERIAC

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
CHILDREN_NOISE: Final = 32 * 1024 * 1024
"""Bytes that come and go in all its processes: those of a pool are replaced by others now and then."""
BURST: Final = 300
"""Tasks that are sent at once, so that some wait."""
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
            "messages come twice": self._double,
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

    def _double(self) -> None:
        """What waits is there once more: a burst, so that there is something that waits."""
        beside = self._run.client_beside
        beside.load(self._run.pool.task, TASK, count=BURST, rate=None)
        beside.join()
        self._run.double()


class Held(NamedTuple):
    """What a worker holds.

    Attributes:
        main: bytes of its main process.
        all: bytes of all its processes, what they share counted for each.
        descriptors: of its main process.
    """

    main: int
    all: int
    descriptors: int

    def __str__(self) -> str:
        return f"{self.main >> 20}/{self.all >> 20} MiB {self.descriptors} descriptors"


def soak(run: Run, minutes: float) -> None:
    """The scenario."""
    bystander = run.worker()  # nothing is done to it but what is done to the broker
    done = Soak(run)
    counts: Counter[str] = Counter()
    run.size = run.size._replace(tasks=0)
    run.load(rate=RATE)
    begun, told = time.monotonic(), 0
    end = begun + minutes * 60
    held: list[Held] = []
    while time.monotonic() < end:
        time.sleep(min(run.chance.uniform(SHORTEST, LONGEST), max(0.0, end - time.monotonic())))
        name = run.chance.choice(list(done.faults))
        counts[name] += 1
        with run.fault(name):
            done.faults[name]()
        run.recover(within=10.0)
        passed = time.monotonic() - begun
        if passed > WARM_UP * minutes * 60:
            held.append(_held(bystander))
        print(
            f"{passed:6.0f} s  {run.ledger.ended()} done, {counts.total()} faults, {name}, {_held(bystander)}",
            flush=True,
        )
        for problem in run.verdict.problems[told:]:
            print(f"{passed:6.0f} s  {problem}", flush=True)
        told = len(run.verdict.problems)
    run.verdict.note(minutes=minutes, **{name.replace(" ", "_"): count for name, count in counts.items()})
    run.judge(repeated=None, patience=120, resources=False)
    run.verdict.expect(bystander.process.poll() is None, "the worker that nothing was done to has ended")
    held.append(_held(bystander))
    _judge_held(run, held)


def _judge_held(run: Run, held: Sequence[Held]) -> None:
    """Flat: what it holds at the end is what it held after the first minutes, and what it held at most is near that."""
    first, last = held[0], held[-1]
    quarters = [held[len(held) * part // 4] for part in range(4)] + [last]
    run.verdict.note(
        memory_of_main=f"{' '.join(str(each.main >> 20) for each in quarters)} MiB",
        memory_of_all=f"{' '.join(str(each.all >> 20) for each in quarters)} MiB",
        descriptors=" ".join(str(each.descriptors) for each in quarters),
    )
    run.verdict.expect(last.main <= first.main * GROWN + NOISE, "the memory of its main process grew", "I6")
    run.verdict.expect(last.all <= first.all * GROWN + CHILDREN_NOISE, "the memory of its processes grew", "I6")
    run.verdict.expect(last.descriptors <= first.descriptors + 4, "its descriptors grew", "I6")


def _held(worker: WorkerProcess) -> Held:
    process = psutil.Process(worker.pid)
    main, everything = process.memory_info().rss, 0
    for each in worker.tree():
        with contextlib.suppress(psutil.NoSuchProcess):
            everything += each.memory_info().rss
    return Held(main, main + everything, process.num_fds())


def main() -> int:
    """Run it by hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--broker", default="redis,rabbitmq")
    parser.add_argument("--pool", default="prefork")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=1.0, help="factor of all bounds in seconds")
    parser.add_argument("--queue-type", choices=("quorum", "classic"), default="quorum", help="of RabbitMQ's queues")
    parser.add_argument("--results", type=Path, help="add a line of JSON for each run")
    arguments = parser.parse_args()
    failed = False
    for name in arguments.broker.split(","):
        record = _soak_on(name, arguments)
        print(record, flush=True)
        if arguments.results:
            append(arguments.results, record)
        failed = failed or not record.passed
    return int(failed)


def _soak_on(name: str, arguments: argparse.Namespace) -> Record:
    fault = Fault("soak", "random faults", lambda run: soak(run, arguments.minutes))
    cell = Cell(fault, name, arguments.pool)
    size = Size(patience=arguments.patience, queue_type=arguments.queue_type)
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="celeriac-soak-") as folder,
        broker(name, Path(folder), queue_type=arguments.queue_type) as made,
    ):
        run = Run(cell, made, Path(folder), size, CELERIAC, arguments.seed)
        verdict = run_scenario(run, told=lambda text: print(text, file=sys.stderr))
    return record_of(cell, arguments.seed, size, verdict, time.monotonic() - begun)


if __name__ == "__main__":
    sys.exit(main())
