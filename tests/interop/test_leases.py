"""Workers of both kinds neither steal nor repeat each other's tasks, and ours bring back what either lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import psutil
import pytest

from tests.faults.processes import WorkerProcess, wait_until
from tests.interop.ours import app
from tests.interop.peers import Bench

pytestmark = pytest.mark.slow

LEASE = 2
"""Seconds of our lease."""
VISIBILITY = 3
"""Seconds after which Celery takes a message for lost."""
LONG = 8
"""Seconds of a task: longer than both."""
GRACE = 10.0
"""Seconds for the processes of other people."""


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench(INTEROP_LEASE=LEASE, INTEROP_VISIBILITY=VISIBILITY)


def test_celery_does_not_take_what_our_worker_runs_and_holds(bench: Bench) -> None:
    client = bench.celery_client()
    bench.celeriac_worker("-c", "4")
    longer = [client.send("interop.work", LONG), app.send_task("interop.work", (LONG,)).id]
    longer += [client.send("interop.work", LONG), app.send_task("interop.work", (LONG,)).id]
    bench.wait_for("start", len(longer))
    # Countdowns that a Celery worker holds are repeated by Celery itself: these are held by ours when it comes.
    held = [client.send("interop.work", 0.0, countdown=LONG), app.send_task("interop.work", (0.0,), countdown=LONG).id]
    wait_until(lambda: bench.count("held") == len(held), GRACE, "the countdowns are held")
    bench.celery_worker("-c", "2")
    client.ask("restore", on=True)  # as often as it can be, what a Celery worker does each ten seconds
    while len(bench.ledger.events("end")) < len(longer):
        short = [client.send("interop.work", 0.01), app.send_task("interop.work", (0.01,)).id]
        assert {client.get(each) for each in short} <= {"celery", "celeriac"}
        held += short
    assert [client.get(each) for each in longer] == ["celeriac"] * len(longer)
    assert {client.get(each) for each in held} <= {"celery", "celeriac"}
    client.ask("restore", on=False)
    starts = Counter(event.task_id for event in bench.ledger.events("start"))
    assert starts == Counter([*longer, *held])


def test_a_message_of_a_killed_worker_of_ours_runs_again_on_ours(bench: Bench) -> None:
    client = bench.celery_client()
    worker = bench.celeriac_worker("-c", "1")
    task_id = client.send("interop.work", 1.0)
    bench.wait_for("start", 1)
    worker.kill()
    bench.celeriac_worker("-c", "1")
    bench.wait_for("end", 1, 2 * LEASE + GRACE)
    assert client.get(task_id) == "celeriac"
    assert len(bench.ledger.of(task_id, "start")) == 2


@pytest.mark.parametrize("sender", ["celery", "celeriac"])
def test_a_message_of_a_killed_celery_worker_runs_again_on_ours(bench: Bench, sender: str) -> None:
    client = bench.celery_client()
    worker = bench.celery_worker("-c", "1")
    task_id = client.send("interop.work", 1.0) if sender == "celery" else app.send_task("interop.work", (1.0,)).id
    bench.wait_for("start", 1)
    first = bench.ledger.events("start")[0]
    kill_all(worker)
    bench.celeriac_worker("-c", "1")
    bench.wait_for("end", 1, VISIBILITY + LEASE + GRACE)
    second = bench.ledger.of(task_id, "start")[1]
    assert second.at - first.at >= VISIBILITY - 0.5, "a Celery worker that lives would have been robbed"
    assert app.AsyncResult(task_id).get(timeout=GRACE) == client.get(task_id) == "celeriac"


def test_a_message_of_a_killed_worker_of_ours_is_restored_by_celery_too(bench: Bench) -> None:
    client = bench.celery_client()
    worker = bench.celeriac_worker("-c", "1")
    task_id = client.send("interop.work", 1.0)
    bench.wait_for("start", 1)
    worker.kill()
    client.ask("restore", on=True)
    bench.celery_worker("-c", "1")
    bench.wait_for("end", 1, VISIBILITY + LEASE + GRACE)
    client.ask("restore", on=False)
    assert client.get(task_id) == "celery"


def kill_all(worker: WorkerProcess) -> None:
    """kill -9 of a Celery worker and its children: they do not follow by themselves."""
    tree = worker.tree()
    worker.process.kill()
    worker.process.wait()
    for process in tree:
        process.kill()
    _, alive = psutil.wait_procs(tree, timeout=5)
    assert not alive
    wait_until(lambda: worker.process.poll() is not None, 5, "it is gone")
