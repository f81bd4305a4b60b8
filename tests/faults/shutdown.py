"""Workers that are told to end: TERM, INT, QUIT at any moment (FAULTS 10-12; PAINS P03, P06).

Run it long by hand (the seconds are those of the cycles; 200 cycles take about 300):

    python -m tests.faults.shutdown --broker redis --seconds 300
"""

from __future__ import annotations

import random
import signal
import time
from typing import Final

import psutil

from tests.apps import ledger as ledger_app
from tests.faults.processes import WorkerProcess, wait_until
from tests.faults.scenario import Place, Verdict, by_hand

__all__ = ["cold", "cycles", "longer_than_grace", "shorter_than_grace"]

CHILDREN: Final = 2
VISIBLE: Final = 1.0
"""Seconds within which what has not started is visible to others."""
BOUND: Final = 2.0
"""Seconds that a stage may take beyond its own time."""
AGAIN: Final = 0.3
"""Seconds between two signals: those that come together are one."""
SLOW_MACHINE: Final = 3.0
"""Seconds on top, for the processes of other people."""


def _exit(verdict: Verdict, worker: WorkerProcess, code: int, within: float, what: str) -> float:
    """It ends in time, with that code, and leaves no process behind; returns how long it took in seconds."""
    tree = worker.tree()
    begun = time.monotonic()
    found = worker.process.wait(within + 30)
    took = time.monotonic() - begun
    _, alive = psutil.wait_procs(tree, timeout=2)
    verdict.expect(found == code, f"exit code {found} after {what}, {code} is documented")
    verdict.expect(took <= within, f"{took:.1f} s to end after {what}, at most {within:.1f} are allowed")
    verdict.expect(not alive, f"processes left after {what}: {alive}")
    return took


def _full(place: Place, seconds: float, waiting: int) -> tuple[WorkerProcess, list[str]]:
    """A worker whose children all run a task, and some more that wait."""
    worker = place.worker("-c", str(CHILDREN))
    ids = [ledger_app.work.delay(seconds).id for _ in range(CHILDREN + waiting)]
    place.ledger.confirmed.update(ids)
    wait_until(lambda: len(place.ledger.ids("start")) >= CHILDREN, 20, "the children are busy")
    return worker, ids


def shorter_than_grace(place: Place, seconds: float) -> Verdict:
    """TERM: what runs is finished, what waits goes back at once, nothing starts after the signal."""
    verdict = Verdict(f"TERM, tasks shorter than the grace, on {place.broker}")
    task = max(1.5, seconds / 10)
    worker, _ = _full(place, task, 6)
    other = place.worker("-c", str(CHILDREN))
    told = time.monotonic()
    worker.signal(signal.SIGTERM)
    tree = {process.pid for process in worker.tree()}
    wait_until(lambda: place.counts().in_flight <= 2 * CHILDREN + 2, 30, "what has not started went back")
    verdict.note(visible_after=time.monotonic() - told)
    _exit(verdict, worker, 0, task + BOUND + SLOW_MACHINE, "TERM")
    late = [event for event in place.ledger.events("start") if event.pid in tree and event.at > told + 0.1]
    verdict.expect(not late, f"{len(late)} tasks started after the signal")
    place.judge(verdict, repeated=0)
    other.end()
    return verdict


def longer_than_grace(place: Place, seconds: float) -> Verdict:
    """TERM with a grace of a second: what runs goes back without spending an attempt, and runs elsewhere at once."""
    verdict = Verdict(f"TERM, tasks longer than the grace, on {place.broker}")
    grace = 1.0
    place.environment["CELERIAC_WORKER_SHUTDOWN_GRACE"] = str(grace)
    task = max(4.0, seconds / 5)
    worker, ids = _full(place, task, 0)
    worker.signal(signal.SIGTERM)
    took = _exit(verdict, worker, 0, grace + BOUND + SLOW_MACHINE, "TERM")
    begun = time.monotonic()
    wait_until(lambda: place.counts().ready == len(ids), 5, "what ran is ready again")
    visible = time.monotonic() - begun
    place.worker("-c", str(CHILDREN))
    place.judge(verdict, repeated=len(ids), patience=task + 20)
    starts = place.ledger.ids("start")
    verdict.note(ended_after=took, visible_after=visible)
    verdict.expect(visible <= VISIBLE, f"visible to others only after {visible:.1f} s")
    verdict.expect(set(starts.values()) == {2}, f"runs of each: {sorted(starts.values())}")
    return verdict


def cold(place: Place, seconds: float) -> Verdict:
    """INT twice, TERM twice, QUIT: unfinished work goes back now; the exit code is 1."""
    verdict = Verdict(f"cold shutdown on {place.broker}")
    for signals in ((signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM), (signal.SIGQUIT,)):
        what = " and ".join(each.name for each in signals)
        before = len(place.ledger.ids("start"))
        worker = place.worker("-c", str(CHILDREN))
        ids = [ledger_app.work.delay(max(4.0, seconds / 5)).id for _ in range(CHILDREN)]
        place.ledger.confirmed.update(ids)
        wait_until(lambda count=before: len(place.ledger.ids("start")) >= count + CHILDREN, 20, "the children are busy")  # type: ignore[misc]
        for number in signals:
            worker.signal(number)
            time.sleep(AGAIN)
        took = _exit(verdict, worker, 1, BOUND + SLOW_MACHINE, what)
        verdict.note(**{f"ended_after_{what.replace(' ', '_')}": took})
        counts = place.counts()
        verdict.expect(counts.in_flight == 0, f"{counts.in_flight} still in flight after {what}")
        purged = place.ask(lambda store: store.purge("celery"))
        verdict.expect(purged == CHILDREN, f"{purged} were ready again after {what}, {CHILDREN} ran")
        place.ledger.confirmed.difference_update(ids)
        place.ledger.attempted.update(ids)
    return verdict


def cycles(place: Place, seconds: float, seed: int = 1) -> Verdict:
    """Publish twenty, TERM the worker at a random moment, start a new one; over and over."""
    verdict, chance = Verdict(f"cycles of TERM on {place.broker}"), random.Random(seed)
    end = time.monotonic() + seconds
    worker = place.worker("-c", str(CHILDREN))
    count, slowest = 0, 0.0
    while time.monotonic() < end:
        count += 1
        following = place.worker("-c", str(CHILDREN), ready=False)  # it starts while the other one ends
        ids = [ledger_app.work.delay(0.01).id for _ in range(20)]
        place.ledger.confirmed.update(ids)
        time.sleep(chance.uniform(0.0, 0.15))  # the random moment
        worker.signal(signal.SIGTERM)
        slowest = max(slowest, _exit(verdict, worker, 0, BOUND + SLOW_MACHINE, "TERM"))
        worker = following.ready()
    verdict.note(cycles=count, slowest_end=slowest)
    place.judge(verdict, repeated=0)
    return verdict


if __name__ == "__main__":
    by_hand(
        __doc__,
        {"shorter": shorter_than_grace, "longer": longer_than_grace, "cold": cold, "cycles": cycles},
    )
