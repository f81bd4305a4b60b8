"""Clocks are wrong (fault 41)."""

from __future__ import annotations

import time

import pytest

from tests.faults.catalogue import fault
from tests.faults.clock import Clock, NoCompiler
from tests.faults.pools import SLOTS
from tests.faults.processes import WorkerProcess
from tests.faults.run import Run

HOUR = 3600
SKEW = 30
"""Seconds by which the clocks of two workers differ, all the time."""
EARLY = 0.1
"""Seconds that a countdown may end early: none, but for the reading of two clocks."""
BUSY = 0.5
"""Share of a processor above which a worker spins."""


@fault(41, "the clock of a worker jumps by an hour; two workers differ by 30 s",
       brokers=("redis", "rabbitmq"),
       otherwise="the clock of the embedded broker is that of its machine, which all its workers share")  # fmt: skip
def wrong_clocks(run: Run) -> None:
    """Leases and countdowns go by the store's clock: nobody is early, nobody is taken for dead, nobody spins."""
    try:
        ahead, behind = Clock(run.folder, "ahead", SKEW), Clock(run.folder, "behind", -SKEW)
    except NoCompiler as error:
        pytest.skip(str(error))
    workers = [run.worker(**clock.environment) for clock in (ahead, behind)]
    run.load()
    run.wait_under_way()
    begun = time.monotonic()
    wait = 3 * run.lease
    later = [run.client_beside.send(run.pool.task, 0.02, countdown=wait) for _ in range(10)]
    long = [run.client_beside.send(run.pool.task, wait) for _ in range(SLOTS // 2)]
    spent = {worker: run.processor_time(worker) for worker in workers}
    with run.fault("clocks jump"):
        for clock, errors in ((ahead, (HOUR, -HOUR, SKEW)), (behind, (-HOUR, HOUR, -SKEW))):
            for error in errors:
                clock.set(error)
                time.sleep(wait / 8)  # how long it stays so
    run.recover()
    run.verdict.expect_soon(lambda: set(later + long) <= set(run.ledger.ids("end")), wait + 30, "all are done")
    _judge_spin(run, workers, spent, time.monotonic() - begun)
    lateness = [event.at - begun - wait for event in run.ledger.events("start") if event.task_id in later]
    run.verdict.note(earliest=min(lateness), latest=max(lateness))
    run.verdict.expect(min(lateness) > -EARLY, f"a countdown ended {-min(lateness):.1f} s early")
    run.verdict.expect(max(lateness) < run.within(3.0), f"a countdown ended {max(lateness):.1f} s late")
    run.judge(repeated=0)


def _judge_spin(run: Run, workers: list[WorkerProcess], spent: dict[WorkerProcess, float], seconds: float) -> None:
    shares = [(run.processor_time(worker) - spent[worker]) / seconds for worker in workers]
    run.verdict.note(processor=max(shares))
    run.verdict.expect(max(shares) < BUSY, f"a worker spins: {max(shares):.0%} of a processor")
