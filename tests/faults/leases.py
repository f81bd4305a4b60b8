"""Leases: long tasks and countdowns run once; a stopped worker is replaced and refused (FAULTS 8, 9; PAINS P04, P07).

Run it long by hand (the seconds are those of a lease; tasks last six, countdowns twelve):

    python -m tests.faults.leases --broker redis --seconds 10
"""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Final

import psutil

from tests.apps import ledger as ledger_app
from tests.faults.processes import WorkerProcess, wait_until
from tests.faults.scenario import Place, Verdict, by_hand

__all__ = ["long_tasks_and_countdowns", "stopped_main", "stopped_worker"]

LONG: Final = 3.0
"""Leases that a long task runs."""
COUNTDOWN: Final = 6.0
"""Leases that a countdown waits."""
STOPPED: Final = 2.5
"""Leases that a worker is stopped."""
CHILDREN: Final = 4
TAKEN_OVER: Final = 2.0
"""Leases within which another worker starts what a lost one had (FAULTS 1), and seconds of grace for a slow machine."""
GRACE: Final = 5.0


def long_tasks_and_countdowns(place: Place, lease: float) -> Verdict:
    """Two workers; tasks of three leases and countdowns of six run exactly once, and not before their time."""
    verdict = Verdict(f"long tasks and countdowns on {place.broker}")
    place.environment["CELERIAC_WORKER_LEASE"] = str(lease)
    for _ in range(2):
        place.worker("-c", str(CHILDREN))
    begun = time.monotonic()
    later = [ledger_app.work.apply_async((0.02,), countdown=COUNTDOWN * lease).id for _ in range(20)]
    longer = [ledger_app.work.delay(LONG * lease).id for _ in range(2 * CHILDREN)]
    place.ledger.confirmed.update(longer, later)
    place.judge(verdict, patience=2 * COUNTDOWN * lease + 20, repeated=0)
    lateness = [
        event.at - begun - COUNTDOWN * lease for event in place.ledger.events("start") if event.task_id in later
    ]
    verdict.note(early=sum(late < -0.05 for late in lateness), latest=max(lateness, default=0.0))
    verdict.expect(min(lateness, default=0.0) > -0.05, "a countdown started before its time")
    return verdict


def stopped_main(place: Place, lease: float) -> Verdict:
    """SIGSTOP of a worker's main process alone: its children go on, and what they bring comes too late."""
    return _stopped(place, lease, whole=False)


def stopped_worker(place: Place, lease: float) -> Verdict:
    """SIGSTOP of all processes of a worker, as when its machine is paused."""
    return _stopped(place, lease, whole=True)


def _stopped(place: Place, lease: float, whole: bool) -> Verdict:
    verdict = Verdict(f"SIGSTOP of {'a whole worker' if whole else 'a main process'} on {place.broker}")
    ledger = place.ledger
    place.environment["CELERIAC_WORKER_LEASE"] = str(lease)
    first = place.worker("-c", str(CHILDREN))
    ids = [ledger_app.process.delay(lease * factor).id for factor in (0.75, 0.75, 4.0, 4.0)]
    ledger.confirmed.update(ids)
    wait_until(lambda: len(ledger.ids("start")) == len(ids), 20, "all have started in the first worker")
    stopped = _stop(first, whole)
    halted = time.monotonic()
    second = place.worker("-c", str(CHILDREN))
    stale = {process.pid for process in first.tree()}
    patience = TAKEN_OVER * lease + GRACE

    def taken_over() -> bool:
        return {event.task_id for event in ledger.events("start") if event.pid not in stale} == set(ids)

    wait_until(taken_over, patience, "all have started elsewhere")
    verdict.note(taken_over=time.monotonic() - halted)
    time.sleep(max(0.0, halted + STOPPED * lease - time.monotonic()))  # how long the fault lasts
    _go_on(stopped)
    wait_until(lambda: all(_ends(place, each, stale) for each in ids), 6 * lease + GRACE, "all have ended elsewhere")
    place.judge(verdict, repeated=len(ids), patience=20)
    starts = ledger.ids("start")
    verdict.expect(set(starts.values()) == {2}, f"runs of each: {sorted(starts.values())}, two are due")
    before = place.documents(ids)
    _probe(place, first, stale, verdict)
    after = place.documents(ids)
    verdict.expect(before == after, "a result was written again after it was final")
    new = {process.pid for process in second.tree()}
    wrong = [each for each, found in after.items() if found is None or found["result"] not in new]
    verdict.expect(not wrong, f"{len(wrong)} results are not those of the new runs")
    ended = [event for event in ledger.events("end") if event.pid in stale and event.task_id in ids[2:]]
    verdict.expect(not ended, "a run that lost its lease was let run to its end")
    return verdict


def _stop(worker: WorkerProcess, whole: bool) -> list[psutil.Process]:
    main = psutil.Process(worker.pid)
    stopped = [main, *(worker.tree() if whole else ())]
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    return stopped


def _go_on(stopped: list[psutil.Process]) -> None:
    for process in stopped:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


def _ends(place: Place, task_id: str, stale: set[int]) -> bool:
    return any(event.pid not in stale for event in place.ledger.of(task_id, "end"))


def _probe(place: Place, worker: WorkerProcess, stale: set[int], verdict: Verdict) -> None:
    """The worker that was stopped is whole again: it runs new work, after all that it had to say before."""

    def ran() -> bool:
        ids = [ledger_app.process.delay(0.05).id for _ in range(4 * CHILDREN)]
        place.ledger.confirmed.update(ids)
        wait_until(lambda: not place.ledger.lost(), 20, "new work is done")
        # Those that stood before the stop were killed for their leases, so only its new children can have run it.
        mine = {process.pid for process in worker.tree()}
        return any(event.pid in mine for event in place.ledger.events("start") if event.task_id in ids)

    try:
        wait_until(ran, 20, "the worker that was stopped works again")
    except AssertionError as error:
        verdict.problems.append(str(error))
    verdict.expect(place.settled(), "something is left in the broker")


if __name__ == "__main__":
    by_hand(
        __doc__,
        {"long": long_tasks_and_countdowns, "main": stopped_main, "worker": stopped_worker},
    )
