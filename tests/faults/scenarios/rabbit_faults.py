"""What only RabbitMQ does to its clients (faults 33-35)."""

from __future__ import annotations

import time

from tests.faults.catalogue import fault
from tests.faults.pools import SLOTS
from tests.faults.processes import wait_until
from tests.faults.rabbit import Rabbit
from tests.faults.run import Run
from tests.faults.senders import RemoteError

ONLY = ("rabbitmq",)
WHY = "it is about RabbitMQ"
TIMEOUT = 10
"""Seconds of ``consumer_timeout`` in these runs; the plan has 60. The server looks at it each minute."""
PUBLISH = 5.0
"""Seconds: ``publish_timeout``."""
BACK = 2.0
"""Seconds until work goes on."""


def _rabbit(run: Run) -> Rabbit:
    assert isinstance(run.broker, Rabbit)
    return run.broker


@fault(33, "tasks that run longer than consumer_timeout", brokers=ONLY, otherwise=WHY, pools=("prefork", "asyncio"),
       server={"consumer_timeout": TIMEOUT * 1000},
       settings={"broker_transport_options": {"consumer_timeout": TIMEOUT}})  # fmt: skip
def consumer_timeout(run: Run) -> None:
    """All of them end, none twice, and others go on beside them."""
    worker = run.worker()
    long = 65.0  # the server looks once a minute
    run.load(rate=20.0)
    run.wait_ended(20)
    with run.fault("tasks longer than the time-out"):
        tasks = [run.client_beside.send(run.pool.task, long) for _ in range(SLOTS - 2)]
        later = [run.client_beside.send(run.pool.task, 0.01, countdown=long) for _ in range(4)]
        wait_until(lambda: set(tasks + later) <= set(run.ledger.ids("end")), 2 * long, "the long ones are done")
    run.recover()
    run.verdict.expect(worker.process.poll() is None, "the worker ended")
    run.judge(repeated=0)


@fault(34, "a memory alarm: connections that publish are blocked", brokers=ONLY, otherwise=WHY)
def alarm(run: Run) -> None:
    """Publishers are told in time; what runs goes on, and is acknowledged."""
    broker = _rabbit(run)
    server = broker.nodes[0]
    worker = run.worker()
    run.load()
    run.wait_under_way()
    run.client.stop()
    run.backlog(200)
    with run.fault("the alarm"):
        server.block_publishers()
        slowest = 0.0
        for _ in range(3):
            try:
                run.client.send(run.pool.task, 0.01)
                run.verdict.expect(False, "a task was sent while publishers are blocked")
            except RemoteError as error:
                run.verdict.expect(error.kind == "Blocked", f"the client was told {error}")
            slowest = max(slowest, run.client.took)
        run.verdict.expect_soon(lambda: not run.ledger.lost(), run.within(30.0), "what was there is done meanwhile")
        server.unblock_publishers()
    run.verdict.note(slowest_call=slowest)
    run.verdict.expect(slowest <= PUBLISH * 1.1, f"a call took {slowest:.1f} s, publish_timeout is {PUBLISH}")
    run.recover_by_sending()
    run.verdict.expect(worker.process.poll() is None, "the worker ended")
    run.judge(repeated=3, explained=False)


@fault(35, "the queue is deleted while it is consumed", brokers=ONLY, otherwise=WHY)
def deleted_queue(run: Run) -> None:
    """It is declared and consumed again; what was in it is gone by somebody's hand, and counted."""
    server = _rabbit(run).nodes[0]
    worker = run.worker()
    run.load(rate=20.0)
    run.wait_ended(20)
    for _ in range(2):
        with run.fault("the queue is deleted"):
            server.ctl("delete_queue", "celery")
        run.recover(within=BACK)
        time.sleep(0.5)  # work between the two
    run.verdict.expect(worker.process.poll() is None, "the worker ended")
    run.size = run.size._replace(tasks=100)
    run.judge(lost=2 * run.in_flight, repeated=2 * run.in_flight, explained=False, voice="celery", states=False)
