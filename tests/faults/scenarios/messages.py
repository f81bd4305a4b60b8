"""Messages that are wrong, too large, doubled, or very many (faults 36-38, 40)."""

from __future__ import annotations

import time
from collections import Counter

import psutil

from tests.faults.catalogue import fault
from tests.faults.processes import WorkerProcess, wait_until
from tests.faults.run import Run
from tests.faults.senders import RemoteError

FLOW = 0.9
"""Share of the good ones that are done while bad ones come."""
BATCH = 20
"""Bad messages that are sent at once."""
LIMIT = 1024 * 1024
"""Bytes of ``task_max_size`` where it is tried."""
LINES = 2
"""Of the log for each wrong message."""
ROOM = 50 * 1024 * 1024
"""Bytes that a worker may need besides what it has read ahead."""
BULK = 100_000
"""Bytes of each of many large messages."""
LATE = 1.0
"""Seconds that a task may start late for each 10,000 that are due at the same time."""


@fault(36, "messages that are wrong in one of many ways", compared=True)
def corrupted(run: Run) -> None:
    """Each ends once, among the dead letters or as a failure, and good ones flow beside them."""
    worker = run.worker()
    wait_until(lambda: len(run.children(worker)) == run.pool.children, 20, "all children are up")
    pids = {process.pid for process in worker.tree()}
    corruptor = run.corruptor()
    ways = list(corruptor.ways)
    sent: Counter[str] = Counter()
    run.load()
    run.wait_under_way()
    with run.fault("corrupted messages"):
        while sent.total() < run.size.messages:
            chosen = [ways[(sent.total() + number) % len(ways)] for number in range(BATCH)]
            run.inject([corruptor.make(way) for way in chosen])
            sent.update(chosen)
            time.sleep(BATCH / 100.0)  # a hundred a second
        flowed = _flowed(run)
    run.verdict.note(corrupted=sent.total(), flowed=flowed)
    run.recover()
    run.end_load()
    run.verdict.expect(worker.process.poll() is None, "the worker died")
    if run.system.name == "celeriac":
        run.verdict.expect({process.pid for process in worker.tree()} == pids, "children died")
    run.verdict.expect(flowed >= FLOW / run.size.patience, f"only {flowed:.2f} of the good ones were done in time")
    run.verdict.expect_soon(lambda: not run.ledger.lost(), run.within(30.0), "the good ones are done")
    dead = _judge_ends(run, sent.total()) if run.system.name == "celeriac" else 0
    run.ledger.attempted.update(run.ledger.ids("start"))  # some corruptions leave a message that can be run
    run.judge(dead=dead, tracebacks=True, voice="goes to the dead letters", lines=LINES * sent.total())


def _flowed(run: Run) -> float:
    """Share of what has been sent until now that is done within a second."""
    run.ledger.ended()
    sent = set(run.ledger.confirmed)
    time.sleep(1.0)
    return len(sent & set(run.ledger.ids("end"))) / max(1, len(sent))


def _judge_ends(run: Run, sent: int) -> int:
    """Each died, failed for its sender to see, or ran all the same; nothing else. Returns how many died."""
    run.verdict.expect_soon(lambda: not run.broker.residue(), run.within(30.0), "all messages have ended")
    letters = run.ask(lambda store: store.dead_letters(10 * sent + 10))
    silent = [letter for letter in letters if not letter.reason.strip()]
    run.verdict.expect(not silent, f"{len(silent)} dead letters without a reason")
    ran = len(set(run.ledger.ids("start")) - run.ledger.confirmed)
    told = run.broker.results() - len(run.ledger.confirmed) - ran
    run.verdict.note(dead=len(letters), ran_all_the_same=ran, failed=told)
    run.verdict.expect(len(letters) + ran + told == sent, f"{len(letters)} died, {ran} ran, {told} failed of {sent}")
    return len(letters)


@fault("37a", "a message above task_max_size", settings={"task_max_size": LIMIT})
def oversize(run: Run) -> None:
    """It is refused where it is sent; what is just below travels."""
    run.worker()
    with run.fault("oversize"):
        for size in (LIMIT, 10 * LIMIT):
            try:
                run.client.send("size", "x" * size)
                run.verdict.expect(False, f"{size} characters were sent")
            except RemoteError as error:
                run.verdict.expect("task_max_size" in error.text, f"the error names no setting: {error}")
        for _ in range(4):
            task = run.client.send("size", "x" * (LIMIT // 2))
            run.verdict.expect(run.client.get(task) == LIMIT // 2, "it came changed")
    run.judge()


@fault("37b", "many messages of 100 kB", pools=("prefork",), otherwise="reading ahead is the same in all pools")
def bulk(run: Run) -> None:
    """A worker holds what it has read ahead, and not the queue."""
    count = run.size.tasks
    for _ in range(count):
        run.client.send("size", "x" * BULK)
    worker = run.worker()
    before = psutil.Process(worker.pid).memory_info().rss
    with run.fault("bulk"):
        most = _watch(run, worker, lambda: not run.ledger.lost())
    room = run.in_flight * 2 * BULK + ROOM
    run.verdict.note(messages=count, grown_megabytes=(most - before) / 2**20)
    run.verdict.expect(most - before <= room, f"it grew by {(most - before) >> 20} MiB", "I6")
    run.judge(resources=False, patience=120)


def _watch(run: Run, worker: WorkerProcess, done) -> int:  # type: ignore[no-untyped-def]
    """Memory of the main process at most, until it is done; bytes."""
    most, process = 0, psutil.Process(worker.pid)
    deadline = time.monotonic() + 180
    while not done() and time.monotonic() < deadline:
        most = max(most, process.memory_info().rss)
        time.sleep(0.05)
    return most


@fault(38, "every message is delivered twice", compared=True)
def doubled(run: Run) -> None:
    """A stored result stays, and a link is followed once."""
    count = 50
    linked = [run.client.ask("send_linked", task="work", args=[0.01], link="note") for _ in range(count)]
    with run.fault("doubled"):
        run.double()
    run.worker()
    run.recover(within=30.0)
    run.verdict.expect_soon(lambda: len(run.ledger.events("start")) >= 2 * count, 20, "both of each have run")
    run.verdict.expect_soon(lambda: len(set(run.ledger.ids("noted"))) == count, 20, "all links were followed")
    time.sleep(0.5)  # for a link that comes twice to come
    noted = run.ledger.ids("noted")
    run.verdict.note(links_followed_twice=sum(times > 1 for times in noted.values()), tasks=len(linked))
    run.verdict.expect(set(noted.values()) == {1}, f"{sum(t > 1 for t in noted.values())} links were followed twice")
    run.judge(repeated=count, explained=False)


@fault(40, "a flood of tasks that are due in the same second", compared=True, pools=("prefork",),
       otherwise="what is not due is no pool's matter")  # fmt: skip
def flood(run: Run) -> None:
    """They wait in the broker and not in the worker; tasks for now are not held up by them."""
    worker = run.worker()
    run.backlog(20)
    wait_until(lambda: not run.ledger.lost(), 20, "the worker works")
    before = psutil.Process(worker.pid).memory_info().rss
    count = run.size.flood
    due = time.time() + max(3.0, count / 1500)
    run.client.ask("flood", count=count, due=due)
    left = due - time.time()
    run.verdict.expect(left > 0, f"sending took {-left:.1f} s too long")
    held = psutil.Process(worker.pid).memory_info().rss
    slowest = 0.0
    with run.fault("all are due"):
        time.sleep(max(0.0, left))  # until they are due
        begun = time.monotonic()
        while run.ledger.events_of("flood") < count and time.monotonic() < begun + run.system.patience / 4 + 60:
            task = run.client_beside.send("work", 0.0)
            asked = time.monotonic()
            wait_until(lambda task=task: bool(run.ledger.of(task, "end")), 60, "a task for now is done")  # type: ignore[misc]
            slowest = max(slowest, time.monotonic() - asked)
            time.sleep(0.2)
        took = time.monotonic() - begun
    grown = (max(held, psutil.Process(worker.pid).memory_info().rss) - before) / 2**20
    run.verdict.note(delayed=count, drained_in=took, slowest_beside=slowest, grown_megabytes=grown)
    run.verdict.expect(run.ledger.events_of("flood") == count, "not all delayed tasks are done", "I1")
    run.verdict.expect(grown <= ROOM / 2**20, f"it grew by {grown:.0f} MiB", "I6")
    run.verdict.expect(slowest <= run.within(2.0), f"a task for now waited {slowest:.1f} s")
    run.judge(resources=False, states=False)
