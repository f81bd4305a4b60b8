"""Workers and children are killed (faults 1-6)."""

from __future__ import annotations

import time

import pytest

from tests.faults.catalogue import fault
from tests.faults.groups import can_group, group
from tests.faults.processes import WorkerProcess, wait_until
from tests.faults.run import OCCUPIED, RATE, Run
from tests.faults.senders import RemoteError

REPLACED = 1.0
"""Seconds for a dead child to be replaced, and for what it ran to start again."""
DEADLY = {"segfault": "SIGSEGV", "_exit": "code 3", "exit": "code 4", "memory": "SIGKILL"}
"""Ways for a child to end, and what the error says about each."""
RUNS = 4
"""Of a task that always kills its child: the first, and task_delivery_limit = 3 more."""
LITTLE_MEMORY = 256 * 1024 * 1024
"""Bytes for a worker with all its processes, in the fault of the out-of-memory killer."""
KEPT = 0.8
"""Share of the others' rate that has to stay beside poison."""


@fault(1, "kill -9 of a worker, another one alive", compared=True)
def worker_killed_beside_another(run: Run) -> None:
    worker = run.worker()
    run.worker()
    run.load()
    run.wait_under_way()
    run.occupy(worker)
    with run.fault("kill -9"):
        had = run.ledger.running()
        run.kill(worker)
    run.recover(within=1.0)
    run.verdict.expect_soon(
        lambda: not had & run.ledger.running(),
        min(run.within(2 * run.lease + OCCUPIED), run.system.patience),
        "what the dead worker ran is done by the other one",
    )
    run.judge(repeated=run.in_flight, voice=run.takeover)


@fault(2, "kill -9 of the only worker, then a new one")
def only_worker_killed(run: Run) -> None:
    worker = run.worker()
    run.load()
    run.wait_under_way()
    run.occupy(worker)
    with run.fault("kill -9"):
        run.kill(worker)
        time.sleep(1.0)  # the time without a worker
    run.worker()
    run.recover(within=2 * run.lease)
    run.judge(repeated=run.in_flight, voice=run.takeover)


@fault(3, "kill -9 of one child", compared=True)
def child_killed(run: Run) -> None:
    worker = run.worker()
    run.load()
    run.wait_under_way()
    for _ in range(3):
        wait_until(lambda: bool(run.ledger.running()), 10, "something runs")
        victim = run.chance.choice(run.children(worker))
        run.affected.add(victim.pid)
        with run.fault("kill -9 of a child"):
            victim.kill()
        run.recover(within=REPLACED)
        run.verdict.expect_soon(lambda: all_there(run, worker), run.within(REPLACED), "the child is replaced")
    run.judge(repeated=3 * run.pool.slots_of_child * 2, voice="died")
    run.verdict.expect(worker.process.poll() is None, "the worker died")


def all_there(run: Run, worker: WorkerProcess) -> bool:
    """Each child lives."""
    return len(run.children(worker)) == run.pool.children


@fault(4, "a child ends by a segfault, _exit, sys.exit, or for want of memory", pools=("prefork",),
       otherwise="in the other pools the whole child ends, which is fault 3")  # fmt: skip
def child_crashes(run: Run) -> None:
    worker = run.worker()
    run.load(rate=RATE / 2)  # redelivered copies go behind what waits, so little may wait
    run.wait_under_way()
    with run.fault("crashes"):
        for how, said in DEADLY.items():
            task = run.client_beside.send("die", how)
            try:
                run.client_beside.get(task, 30.0)
                run.verdict.expect(False, f"{how}: it succeeded")
            except RemoteError as error:
                run.verdict.expect(said in error.text, f"{how}: {error} does not say {said!r}")
            runs = len(run.ledger.of(task, "start"))
            run.verdict.expect(runs == RUNS, f"{how} ran {runs} times, not {RUNS}")
            run.poisons.add(task)
    run.recover()
    run.verdict.expect(worker.process.poll() is None, "the worker died")
    run.judge(voice="died", dead=len(DEADLY))


@fault(5, "the kernel's out-of-memory killer takes a child", pools=("prefork", "threads"),
       otherwise="a coroutine that takes memory is the same as a thread that does")  # fmt: skip
def out_of_memory(run: Run) -> None:
    if not can_group("memory"):
        pytest.skip("memory groups cannot be made here")
    worker = run.worker()
    run.load()
    run.wait_under_way()
    with group("memory") as small:
        small.limit_memory(LITTLE_MEMORY)
        small.add([worker.pid, *(process.pid for process in worker.tree())])
        with run.fault("out of memory"):
            task = run.client_beside.send("hungry", LITTLE_MEMORY)
            run.poisons.add(task)
            try:
                run.client_beside.get(task, 30.0)
                run.verdict.expect(False, "it succeeded")
            except RemoteError as error:
                run.verdict.expect("SIGKILL" in error.text, f"{error} does not say SIGKILL")
        run.recover()
        runs = len(run.ledger.of(task, "start"))
        most = RUNS if run.pool.slots_of_child == 1 else 2 * RUNS  # a death among others is none
        run.verdict.expect(RUNS <= runs <= most, f"it ran {runs} times, not {RUNS} to {most}")
        run.affected.update(event.pid for event in run.ledger.of(task, "start"))
        run.verdict.expect(worker.process.poll() is None, "the worker died")
        run.judge(repeated=RUNS * run.pool.slots_of_child * 2, voice="died", dead=1, resources=False)


@fault(6, "a task that always kills its child, again and again", pools=("prefork",),
       otherwise="in the other pools it takes its neighbours along, which is fault 3")  # fmt: skip
def poison(run: Run) -> None:
    worker = run.worker()
    alone, beside = _drained(run, 0), _drained(run, 4)
    run.verdict.note(rate_kept=alone / beside)
    run.verdict.expect(alone / beside >= KEPT / run.size.patience, f"only {alone / beside:.2f} of the rate was kept")
    for task in run.poisons:
        wait_until(lambda task=task: len(run.ledger.of(task, "start")) == RUNS, 30, "it ran as often as it may")  # type: ignore[misc]
    wait_until(lambda: len(run.dead()) == len(run.poisons), 30, "all poison is among the dead letters")
    run.verdict.expect(worker.process.poll() is None, "the worker died")
    run.judge(voice="died", dead=len(run.poisons))


def _drained(run: Run, poisons: int) -> float:
    """Seconds in which a batch is done, with so many poison tasks in it."""
    before = len(run.ledger.events())
    for _ in range(poisons):
        run.poisons.add(run.client.send("poison"))
    run.backlog(run.size.tasks // 2)
    wait_until(lambda: not run.ledger.lost() - run.poisons, 60, "a round is done")
    times = [event.at for event in run.ledger.events()[before:] if event.task_id not in run.poisons]
    return max(times) - min(times)
