"""The app of the standard scenario: one task of each kind that a worker treats differently."""

from __future__ import annotations

from typing import Any

from celeriac.app.app import Celeriac
from celeriac.exceptions import Ignore, Reject, SoftTimeLimitExceeded

__all__ = ["app"]

app = Celeriac(
    "simulated",
    broker="memory://simulated",
    set_as_current=False,
    task_default_queue="simulated",
    worker_shutdown_grace=20.0,
)


@app.task
def work(number: int) -> int:
    """Succeed."""
    return number


@app.task
async def awork(number: int) -> int:
    """Succeed, as a coroutine."""
    return number


@app.task
def step(number: int) -> int:
    """Succeed, and hand one more to the next step."""
    return number + 1


@app.task
def fail(number: int) -> None:
    """Fail."""
    raise ValueError(number)


@app.task(bind=True, max_retries=5)
def flaky(self: Any, times: int) -> int:
    """Ask for another attempt until there were that many."""
    if self.request.retries < times:
        raise self.retry(countdown=1.5 * self.request.retries)
    return times


@app.task(acks_late=False)
def early(number: int) -> int:
    """Succeed, acknowledged before it runs."""
    return number


@app.task(acks_late=False, bind=True, max_retries=2)
def early_flaky(self: Any) -> int:
    """Ask for one more attempt, acknowledged before it runs."""
    if not self.request.retries:
        raise self.retry(countdown=0)
    return 1


@app.task(rate_limit="4/s")
def limited(number: int) -> int:
    """Succeed, a few per second."""
    return number


@app.task(ignore_result=True)
def quiet(number: int) -> int:
    """Succeed without a result."""
    return number


@app.task
def ignored() -> None:
    """End without a state."""
    raise Ignore


@app.task
def rejected() -> None:
    """End among the dead letters."""
    raise Reject("on purpose", requeue=False)


@app.task(bind=True)
def again(self: Any) -> int:
    """Go back to the queue now and then: by the message's identity, so that every delivery of it decides the same."""
    if int(self.request.properties["delivery_tag"][:2], 16) % 2:
        raise Reject("later", requeue=True)
    return 1


@app.task(time_limit=6.0, soft_time_limit=4.0)
def limited_in_time(number: int) -> str:
    """Succeed unless it takes too long."""
    return f"{number}"


@app.task(time_limit=3.0)
def hard_limited(number: int) -> int:
    """Succeed unless it is killed first."""
    return number


@app.task(soft_time_limit=2.0)
def careful(number: int) -> str:
    """Notice its soft limit in time. In a simulation the limit strikes where the body begins."""
    try:
        return str(number)
    except SoftTimeLimitExceeded:
        return "late"


@app.task
def poison() -> None:
    """Kill its child; the scenario sees to that."""
