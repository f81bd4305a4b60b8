"""Workers are told to end (faults 10-12)."""

from __future__ import annotations

import signal
import time
from typing import Any

import psutil

from celeriac.stores.store import Disposition, Settlement
from tests.faults.catalogue import fault
from tests.faults.pools import SLOTS
from tests.faults.processes import WorkerProcess
from tests.faults.run import Run

GRACE = 1.0
"""Seconds of grace where tasks are longer than it; the plan says 5."""
BOUND = 2.0
"""Seconds that a stage may take beyond its own time."""
VISIBLE = 1.0
"""Seconds within which what has not started is there for others."""
AGAIN = 0.3
"""Seconds between two signals; those that come together are one."""


def ends(run: Run, worker: WorkerProcess, code: int, within: float, what: str) -> None:
    """It ends in time with that code, and leaves no process behind."""
    tree = worker.tree()
    begun = time.monotonic()
    try:
        found = worker.process.wait(run.within(within) + 20)
    except Exception as error:  # TimeoutExpired of subprocess
        run.verdict.expect(False, f"after {what}: {error}")
        return
    took = time.monotonic() - begun
    _, alive = psutil.wait_procs(tree, timeout=2)
    run.verdict.expect(found == code, f"exit code {found} after {what}, {code} is documented")
    run.verdict.expect(took <= run.within(within), f"{took:.1f} s to end after {what}, at most {within:.1f}")
    run.verdict.expect(not alive, f"processes are left after {what}: {alive}")


@fault(10, "SIGTERM, tasks shorter than the grace", compared=True)
def shorter_than_grace(run: Run) -> None:
    first = run.worker()
    run.load()
    run.wait_under_way()
    other = run.worker()
    tree = {process.pid for process in first.tree()}
    with run.fault("SIGTERM"):
        begun = time.monotonic()
        first.signal(signal.SIGTERM)
        ends(run, first, 0, BOUND, "TERM")
    run.recover(within=VISIBLE)
    late = [event for event in run.ledger.events("start") if event.pid in tree and event.at > begun + 0.2]
    run.verdict.expect(not late, f"{len(late)} tasks started after the signal")
    run.judge(repeated=0)
    run.verdict.expect(other.process.poll() is None, "the other worker died")


@fault(11, "SIGTERM, tasks longer than the grace",
       settings={"worker_shutdown_grace": GRACE})  # fmt: skip
def longer_than_grace(run: Run) -> None:
    first = run.worker()
    task = 3 * GRACE + BOUND
    ids = [run.client.send(run.pool.task, task) for _ in range(SLOTS)]
    run.wait_started(SLOTS)
    run.affect(first)
    with run.fault("SIGTERM"):
        first.signal(signal.SIGTERM)
        ends(run, first, 0, GRACE + BOUND, "TERM")
    run.verdict.expect_soon(lambda: run.counts().ready == len(ids), run.within(VISIBLE), "what ran is ready again")
    spent = run.ask(_losses)
    run.verdict.expect(spent == [0] * len(ids), f"attempts that were spent by the hand-back: {spent}")
    run.worker()
    run.recover(within=BOUND + task)
    run.judge(repeated=len(ids), patience=task + 30)


async def _losses(store: Any) -> list[int]:
    """Of what is ready: it is taken, and given back at once."""
    received = await store.receive(["celery"], 100, 0.0)
    await store.settle([Settlement(each.claim, Disposition.GIVE_BACK) for each in received.deliveries])
    return [each.losses for each in received.deliveries]


@fault("12", "SIGTERM twice, SIGINT twice, SIGQUIT, SIGHUP", pools=("prefork", "asyncio"),
       otherwise="threads end as coroutines do")  # fmt: skip
def cold(run: Run) -> None:
    term, interrupt, leave = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
    for signals in ((interrupt, interrupt), (term, term), (leave,)):
        what = " and ".join(each.name for each in signals)
        started = len(run.ledger.events("start"))
        worker = run.worker()
        ids = [run.client.send(run.pool.task, 30.0) for _ in range(SLOTS)]
        run.wait_started_since(started, SLOTS)
        run.affect(worker)
        with run.fault(what):
            for number in signals:
                worker.signal(number)
                time.sleep(AGAIN)
            ends(run, worker, 1, BOUND, what)
        run.verdict.expect_soon(lambda: run.counts().ready == SLOTS, run.within(VISIBLE), f"back after {what}")
        run.verdict.expect_soon(lambda: not run.counts().in_flight, run.within(VISIBLE), f"not in flight after {what}")
        run.ask(lambda store: store.purge("celery"))
        run.poisons.update(ids)
    run.worker()
    run.backlog(20)
    run.judge(repeated=0)
