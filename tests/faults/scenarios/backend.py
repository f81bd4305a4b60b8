"""The result backend fails while the broker is well (fault 44)."""

from __future__ import annotations

import time

import redis

from tests.faults.catalogue import fault
from tests.faults.processes import wait_until
from tests.faults.run import Run
from tests.faults.senders import RemoteError

BOUND = 1.0
"""Seconds of a ``get(timeout=)``."""
EXACT = 0.2
"""Seconds by which it may be exceeded: a tenth of one, and the look of our own."""


@fault(44, "the result backend is away, slow, and full", brokers=("redis", "rabbitmq"), server={"apart": True},
       otherwise="the embedded broker is its own backend")  # fmt: skip
def backend(run: Run) -> None:
    server = run.broker.backend
    assert server is not None
    worker = run.worker()
    run.load()
    run.wait_under_way()
    with run.fault("the backend is away"):
        server.stop()
        task = run.client_beside.send(run.pool.task, 0.01)
        _bounded(run, task)
        before = run.ledger.ended()
        time.sleep(run.lasting(300.0) / 2)
        run.verdict.note(done_meanwhile=run.ledger.ended() - before)
        server.start()
    run.recover()
    with run.fault("the backend is slow"):
        server.freeze()
        task = run.client_beside.send(run.pool.task, 0.01)
        _bounded(run, task)
        time.sleep(2.0)
        server.thaw()
    run.recover()
    with run.fault("the backend is full"):
        _fill(run, 1)
        time.sleep(2.0)
        _fill(run, 0)
    run.recover()
    run.verdict.expect(worker.process.poll() is None, "the worker died")
    wait_until(lambda: not run.ledger.lost() or run.client.figures().running, 60, "it goes on")
    run.judge(repeated=3 * run.in_flight, explained=False, voice="result backend")


def _bounded(run: Run, task: str) -> None:
    """A get() gives up in time, or has got it."""
    try:
        run.client_beside.get(task, BOUND)
    except RemoteError as error:
        run.verdict.expect(
            error.took <= BOUND + run.within(EXACT), f"get(timeout={BOUND}) took {error.took:.2f} s: {error}"
        )


def _fill(run: Run, limit: int) -> None:
    assert run.broker.backend is not None
    with redis.Redis(port=run.broker.backend.port) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", limit)
