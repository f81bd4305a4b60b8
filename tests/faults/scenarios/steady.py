"""Nothing fails: the controls that tell a fault's doing from everyday's."""

from __future__ import annotations

import time

from tests.faults.catalogue import fault
from tests.faults.pools import SLOTS
from tests.faults.run import Run

NEARLY_ALL = 190.0
"""Tasks a second: four slots can do 200."""
LONG = 3.0
"""Leases that a long task runs."""
COUNTDOWN = 6.0
"""Leases that a countdown waits."""
SLEEPS = 2_000
"""Coroutines that sleep at the same time in one process."""
TOGETHER = 20.0
"""Seconds for that many sleeps of one second."""


@fault("calm", "nothing fails, and a worker has nearly as much as it can do", extra=True)
def calm(run: Run) -> None:
    """It waits, claims and settles at once, and each task runs once."""
    run.worker()
    run.load(rate=NEARLY_ALL)
    run.judge()


@fault("long", "tasks of three leases and countdowns of six", extra=True)
def long(run: Run) -> None:
    """What is alive is never repeated, and a countdown does not end early."""
    for _ in range(2):
        run.worker()
    begun = time.monotonic()
    later = [run.client.send(run.pool.task, 0.02, countdown=COUNTDOWN * run.lease) for _ in range(20)]
    for _ in range(2 * SLOTS):
        run.client.send(run.pool.task, LONG * run.lease)
    run.judge(patience=2 * COUNTDOWN * run.lease + 30)
    lateness = [
        event.at - begun - COUNTDOWN * run.lease for event in run.ledger.events("start") if event.task_id in later
    ]
    run.verdict.note(earliest=min(lateness), latest=max(lateness))
    run.verdict.expect(min(lateness) > -0.1, "a countdown ended early")


@fault("coroutines", "thousands of coroutines sleep at the same time", pools=("asyncio",), extra=True)
def coroutines(run: Run) -> None:
    """In one process, and all at once."""
    for _ in range(SLEEPS):
        run.client.send("awork", 1.0)
    run.worker("-c", str(SLEEPS), ready=False)
    run.judge(patience=120)
    events = run.ledger.events()
    span = max(event.at for event in events) - min(event.at for event in events)
    run.verdict.note(seconds=span)
    run.verdict.expect(len({event.pid for event in events}) == 1, "more than one process")
    run.verdict.expect(span <= run.within(TOGETHER), f"it took {span:.1f} s")
