"""Processes are stopped and go on (faults 7-9)."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.faults.catalogue import fault
from tests.faults.groups import can_group, group
from tests.faults.processes import WorkerProcess, wait_until
from tests.faults.run import Run
from tests.faults.senders import RemoteError

LIMIT = 2.0
"""Seconds of the time limit of ``stop_itself``."""
LATE = 2.0
"""Seconds after its limit within which a stopped task must be ended."""
TAKEN_OVER = 2.0
"""Leases within which another worker starts what a stopped one had."""
ATTEMPTS = 20
"""To stop a worker outside of a transaction."""
STOPPED = 3.0
"""Leases that a worker is stopped."""


@fault(7, "SIGSTOP of a child whose task has a time limit", pools=("prefork",),
       otherwise="in the other pools all slots of the child stop together, which is fault 8")  # fmt: skip
def stopped_child(run: Run) -> None:
    run.worker()
    run.load()
    run.wait_under_way()
    with run.fault("SIGSTOP of a child"):
        task = run.client_beside.send("stop_itself")
        run.poisons.add(task)
        wait_until(lambda: bool(run.ledger.of(task, "start")), 20, "it started")
        begun = time.monotonic()
        try:
            run.client_beside.get(task, 30.0)
            run.verdict.expect(False, "it succeeded")
        except RemoteError as error:
            run.verdict.expect(error.kind == "TimeLimitExceeded", f"it ended by {error}")
        took = time.monotonic() - begun
        run.verdict.expect(took <= LIMIT + run.within(LATE), f"it ended after {took:.1f} s")
    pid = run.ledger.of(task, "start")[0].pid
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        psutil.Process(pid).send_signal(signal.SIGCONT)  # too late: nothing is to come of it
    run.recover()
    run.judge(repeated=2, explained=False, voice="Hard time limit")
    run.verdict.expect(not run.ledger.of(task, "end"), "it went on")


@fault(8, "SIGSTOP of a worker's main process for three leases", compared=True)
def stopped_main(run: Run) -> None:
    _stopped(run, _signalled(run, lambda worker: [psutil.Process(worker.pid)]))


@fault(9, "a whole worker is frozen for three leases, as when its machine is paused")
def frozen_worker(run: Run) -> None:
    if not can_group("freezer"):
        pytest.skip("groups that freeze cannot be made here")
    _stopped(run, _frozen)


def _signalled(run: Run, chosen):  # type: ignore[no-untyped-def]
    @contextlib.contextmanager
    def stop(worker: WorkerProcess) -> Iterator[None]:
        processes = chosen(worker)
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    return stop


@contextlib.contextmanager
def _frozen(worker: WorkerProcess) -> Iterator[None]:
    with group("freezer") as frozen:
        frozen.add([worker.pid, *(process.pid for process in worker.tree())])
        frozen.freeze()
        try:
            yield
        finally:
            frozen.thaw()


def _stopped(run: Run, stop) -> None:  # type: ignore[no-untyped-def]
    """Another worker takes over; what the stopped one says afterwards is refused."""
    first = run.worker()
    run.worker()
    run.load()
    run.wait_under_way()
    run.affect(first)
    stale = {process.pid for process in first.tree()}
    long = _kept_busy(run, stale)
    with run.fault("stopped"), _stopped_outside_of_a_transaction(run, stop, first):
        begun = time.monotonic()
        had = set(_of(run, long, stale)) - set(run.ledger.ids("end"))
        run.verdict.expect_soon(
            lambda: had <= _elsewhere(run, stale),
            min(run.within(TAKEN_OVER * run.lease) + 2.0, run.system.patience),
            "another worker starts what the stopped one had",
        )
        run.verdict.note(taken_over=time.monotonic() - begun)
        while time.monotonic() < begun + STOPPED * run.lease:
            time.sleep(0.05)  # how long the fault lasts
    run.recover()
    run.judge(repeated=run.in_flight, voice=run.takeover, resources=False)
    if run.system.name != "celeriac":
        return
    before = run.documents(long)
    # The worker that was stopped works again, and whatever it had to say of before has been said by then.
    new = _probed(run, first)
    run.verdict.expect(new, "the worker that was stopped does not work again")
    run.verdict.expect(run.documents(long) == before, "a result was written again after it was final", "I7")


@contextlib.contextmanager
def _stopped_outside_of_a_transaction(run: Run, stop, worker: WorkerProcess) -> Iterator[None]:  # type: ignore[no-untyped-def]
    """Where one process at a time can write, one that is stopped just then holds up all others until it goes on.

    They name it in a warning, and there is nothing else that they could do: so that is not what is tried here.
    """
    for _ in range(ATTEMPTS):
        with stop(worker):
            if run.broker.usable():
                yield
                return
        time.sleep(run.chance.uniform(0.0, 0.05))  # let it get out of there
    raise AssertionError("the worker is in a transaction whenever it is stopped")


def _of(run: Run, ids: list[str], pids: set[int]) -> list[str]:
    return [event.task_id for event in run.ledger.events("start") if event.pid in pids and event.task_id in ids]


def _kept_busy(run: Run, pids: set[int]) -> list[str]:
    """Tasks of a lease, one of which runs in one of these processes; another worker may take all of the first ones."""
    long: list[str] = []
    asked = 0.0

    def busy() -> bool:
        nonlocal asked
        if time.monotonic() - asked > run.lease:
            asked = time.monotonic()
            long.extend(run.client_beside.send(run.pool.task, run.lease) for _ in range(4))
        return bool(set(_of(run, long, pids)) & run.ledger.running())

    wait_until(busy, 30, "one of the long tasks runs in the first worker")
    return long


def _elsewhere(run: Run, stale: set[int]) -> set[str]:
    return {event.task_id for event in run.ledger.events("start") if event.pid not in stale}


def _probed(run: Run, worker: WorkerProcess) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        run.backlog(40)
        wait_until(lambda: not run.ledger.lost(), 30, "new work is done")
        mine = {process.pid for process in worker.tree()}
        if any(event.pid in mine for event in run.ledger.events("start")[-40:]):
            return True
    return False
