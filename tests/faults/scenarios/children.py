"""Children that cannot start, do not read, or die while they write (faults 13-15, 39)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import psutil

from tests.apps import ledger as ledger_app
from tests.faults.catalogue import fault
from tests.faults.processes import wait_until
from tests.faults.run import Run
from tests.faults.senders import RemoteError

IDLE_SHARE = 0.05
"""Of one processor, for a worker whose children cannot start."""
ANSWER = 1.0
"""Seconds for a small task beside a child that reads nothing."""
LARGE = 25 * 1024 * 1024
"""Characters: below ``task_max_size``, and far more than any socket buffers."""
TEN_MEGABYTES = 10 * 1024 * 1024
STRANDED = 2
"""Short tasks that may wait in a child that was stopped before that was known."""
IN_CHILD = 257
"""Short tasks that one child may have at a time: its slot, and ``MAX_WAITING`` of dispatch."""


@fault(13, "no child can start: the app's file is broken")
def broken_imports(run: Run) -> None:
    """It tries again, ever more slowly, says so in one line each time, and recovers when the file is mended."""
    good = Path(ledger_app.__file__).read_text()
    module = run.folder / "changing_app.py"
    module.write_text(good)
    worker = run.worker(app="changing_app", PYTHONPATH=_path(run.folder), PYTHONDONTWRITEBYTECODE="1")
    name = "changing_app.work"
    run.confirm(run.app.send_task(name, (0.02,)).id for _ in range(4))
    wait_until(lambda: not run.ledger.lost(), 20, "the good app works")
    run.affect(worker)
    with run.fault("broken imports"):
        module.write_text(good + "\n\nthis is no Python\n")
        for process in worker.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        run.confirm(run.app.send_task(name, (0.02,)).id for _ in range(4))
        lasts = run.lasting(15.0)
        time.sleep(1.0)  # the first attempts come at once
        spent, begun = _with_children(worker.pid), time.monotonic()
        time.sleep(lasts)
        share = (_with_children(worker.pid) - spent) / (time.monotonic() - begun)
        module.write_text(good)
    complaints = worker.log.read_text().count("No child can be started")
    run.verdict.note(processor=share, complaints=complaints)
    run.verdict.expect(share < IDLE_SHARE * run.size.patience, f"the worker spins: {share:.0%} of a processor")
    run.verdict.expect(0 < complaints <= lasts, f"{complaints} complaints in {lasts:.0f} s")
    run.verdict.expect(worker.process.poll() is None, "the worker died")
    run.recover(within=30.0)
    run.judge(repeated=4, voice="No child can be started", tracebacks=True, resources=False)


def _path(folder: Path) -> str:
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))


def _with_children(pid: int) -> float:
    """Seconds of processor time of a process and of all that it has reaped."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@fault(14, "the pipe to a child is full: large arguments for a stopped child", pools=("prefork",),
       otherwise="one child holds all slots there")  # fmt: skip
def full_pipe(run: Run) -> None:
    worker = run.worker()
    run.backlog(20)
    wait_until(lambda: not run.ledger.lost(), 20, "all children have worked")
    stopped = run.children(worker)[0]
    slowest, answers, pending = 0.0, 0, 0
    with run.fault("a stopped child"):
        stopped.send_signal(signal.SIGSTOP)
        for _ in range(4):
            run.client.send("size", "x" * LARGE)
        end = time.monotonic() + run.lasting(8.0)
        while time.monotonic() < end:
            task = run.client.send("process", 0.001)
            try:
                run.client.get(task, run.within(ANSWER))
            except RemoteError:
                pending += 1
            else:
                answers, slowest = answers + 1, max(slowest, run.client.took)
        stopped.send_signal(signal.SIGCONT)
    run.verdict.note(answers=answers, slowest_answer=slowest, waited_in_the_stopped_child=pending)
    run.verdict.expect(pending <= STRANDED, f"{pending} tasks were given to a child that does not run")
    run.verdict.expect(answers > 3, f"only {answers} answers")
    run.recover_by_sending()
    run.judge(resources=False)


@fault(15, "kill -9 of a child that writes a result of 10 MB", pools=("prefork",),
       otherwise="one child holds all slots there, which is fault 3")  # fmt: skip
def half_a_result(run: Run) -> None:
    worker = run.worker()
    run.load(rate=50.0)
    run.wait_ended(50)
    large = []
    with run.fault("children are killed while they write"):
        for _ in range(8):
            task = run.client_beside.send("large", TEN_MEGABYTES)
            large.append(task)
            wait_until(lambda task=task: bool(run.ledger.of(task, "end")), 20, "it ended")  # type: ignore[misc]
            pid = run.ledger.of(task, "end")[-1].pid
            run.affected.add(pid)
            for child in run.children(worker):
                if child.pid == pid:
                    child.kill()
    run.recover()
    run.size = run.size._replace(tasks=200)
    run.judge(repeated=len(large) * IN_CHILD, voice="died", resources=False)


@fault(39, "one child of four is a hundred times slower", pools=("prefork",),
       otherwise="one child holds all slots there")  # fmt: skip
def slow_neighbour(run: Run) -> None:
    """What waits in the slow child is taken back; the others keep their rate."""
    run.worker()
    tasks = run.size.tasks
    run.backlog(tasks, 0.0)  # the means say: short, so work is read ahead into the children
    wait_until(lambda: not run.ledger.lost(), 60, "a round is done")
    slow_seconds = run.lasting(10.0)
    with run.fault("a slow task"):
        slow = run.client.send(run.pool.task, slow_seconds)
        before = set(run.ledger.confirmed)
        run.backlog(tasks, 0.0)
        wait_until(lambda: run.ledger.lost() <= {slow}, 60, "the short ones are done")
        run.verdict.expect(not run.ledger.of(slow, "end"), "short tasks waited behind the slow one")
        starts = sorted(event.at for event in run.ledger.events("start") if event.task_id not in before)
        longest = max(later - earlier for earlier, later in pairwise(starts))
    run.verdict.note(longest_pause=longest)
    run.verdict.expect(longest < run.within(2.0), f"nothing started for {longest:.1f} s")
    run.judge(patience=60 + slow_seconds)
