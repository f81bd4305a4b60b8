"""Requests in other threads are stopped, exactly those, and not after their end."""

from __future__ import annotations

import json
import threading
import time

import pytest

from celeriac.pools.executors.interruption import Flag, StartedRequests
from celeriac.pools.pool import Kind, Outcome, Work
from tests.pools.runners import Job

FLAGS: list[tuple[Flag, Kind, str]] = [
    ("interrupted", Kind.FAILURE, "SoftTimeLimitExceeded"),
    ("cancelled", Kind.CANCELLED, "CancelledError"),
]


def job(number: int, *call: object) -> Job:
    return Job(Work(number, json.dumps(call).encode(), "queue"))


@pytest.mark.parametrize(("flag", "kind", "text"), FLAGS)
def test_a_request_that_is_stopped_before_it_can_be_reached_is_stopped_then(flag: Flag, kind: Kind, text: str) -> None:
    requests = StartedRequests()
    requests.expect(1)
    assert not requests.stop(1, flag)
    outcome = requests.run(1, job(1, "sleep", 60))
    assert (outcome.kind, outcome.text) == (kind, text)


def test_a_request_that_does_not_run_is_not_stopped() -> None:
    requests = StartedRequests()
    assert not requests.stop(1, "interrupted")
    requests.expect(1)
    assert requests.run(1, job(1, "echo", 1)).kind is Kind.SUCCESS
    assert not requests.stop(1, "interrupted")


def test_nothing_strikes_a_thread_after_the_end_of_its_request() -> None:
    """One thread runs requests of no length, another stops each at about its end."""
    requests = StartedRequests()
    outcomes: list[Outcome] = []
    last = 3_000

    def run() -> None:
        for number in range(1, last + 1):
            requests.expect(number)
            outcomes.append(requests.run(number, job(number, "echo", number)))

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        requests.stop(len(outcomes) + 1, "interrupted")
    thread.join()
    assert [outcome.number for outcome in outcomes] == list(range(1, last + 1))
    assert {outcome.kind for outcome in outcomes} <= {Kind.SUCCESS, Kind.FAILURE}


def test_an_exception_that_slips_out_of_a_job_is_no_loss_of_the_thread() -> None:
    """A job that breaks its promise: interruptible outside of its own try."""

    class Broken(Job):
        def run(self) -> Outcome:
            self.interruptible = True
            while True:
                time.sleep(0.001)

    requests = StartedRequests()
    requests.expect(1)
    threading.Timer(0.02, requests.stop, (1, "interrupted")).start()
    outcome = requests.run(1, Broken(Work(1, b'["echo"]', "queue")))
    assert outcome.kind is Kind.CANCELLED
    assert "outside of the task's own code" in outcome.text
