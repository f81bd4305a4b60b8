"""Workers come and go all the time (the issue's line 5): deployments, autoscaling, rolling restarts."""

from __future__ import annotations

import signal
import time

from tests.faults.catalogue import fault
from tests.faults.processes import WorkerProcess
from tests.faults.run import Run
from tests.faults.scenarios.shutdowns import BOUND, ends

PUBLISHED = 20
"""Tasks for each cycle."""
FLEET = 5
SPREAD = 0.15
"""Seconds within which the random moment of a signal lies."""
SHORTEST, LONGEST = 0.1, 40.0
"""Seconds of the tasks of a fleet; the grace is 30."""
GRACE = 30.0


@fault("cycles", "publish 20, SIGTERM at a random moment, a new worker; again and again", extra=True)
def cycles(run: Run) -> None:
    worker = run.worker()
    for _ in range(run.size.cycles):
        following = run.worker(ready=False)  # it starts while the other one ends
        run.backlog(PUBLISHED, 0.01)
        time.sleep(run.chance.uniform(0.0, SPREAD))  # the random moment
        worker.signal(signal.SIGTERM)
        ends(run, worker, 0, BOUND + 3.0, "TERM")
        run.forget(worker)
        worker = following.ready()
    run.verdict.note(cycles=run.size.cycles)
    run.judge(repeated=0, resources=False)


@fault("rolling", "rolling restarts of five workers, tasks of 0.1-40 s, a grace of 30 s", extra=True,
       settings={"worker_shutdown_grace": GRACE})  # fmt: skip
def rolling_restarts(run: Run) -> None:
    """Nothing is lost, and only what is longer than the grace runs twice."""
    scale = run.lasting(LONGEST) / LONGEST
    run.environment["CELERIAC_WORKER_SHUTDOWN_GRACE"] = str(GRACE * scale)
    fleet = [run.worker() for _ in range(FLEET)]
    long: set[str] = set()
    for number in range(run.size.restarts):
        for _ in range(FLEET):
            seconds = run.chance.uniform(SHORTEST, LONGEST) * scale
            task = run.client.send(run.pool.task, seconds)
            if seconds > GRACE * scale:
                long.add(task)
        fleet[number % FLEET] = _replaced(run, fleet[number % FLEET], GRACE * scale)
    run.verdict.note(restarts=run.size.restarts, longer_than_the_grace=len(long))
    run.verdict.expect_soon(lambda: not run.ledger.lost(), 20 * LONGEST * scale + 60, "all are done")
    short = run.ledger.repeated() - long
    run.verdict.expect(not short, f"{len(short)} tasks shorter than the grace ran twice", "I3")
    run.judge(repeated=len(long), explained=False, resources=False)


def _replaced(run: Run, worker: WorkerProcess, grace: float) -> WorkerProcess:
    new = run.worker()
    worker.signal(signal.SIGTERM)
    ends(run, worker, 0, grace + BOUND + 3.0, "TERM")
    return new
