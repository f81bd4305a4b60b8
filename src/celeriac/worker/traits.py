"""What a task's options mean to the main process, read once per task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from celeriac.worker.bucket import TokenBucket, rate_per_second

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.task import Task

__all__ = ["Traits", "read_traits"]

WEIGHT: Final = 0.1
"""Of a new run time in the running mean: the last twenty or so count."""


class Traits:
    """One task as the main process sees it.

    Attributes:
        late: acknowledge with the result.
        redeliver_lost: run it again when its child died.
        acknowledge_failures, acknowledge_timeouts: else they are rejected.
        soft, hard: time limits in seconds.
        bucket: its rate limit, None without.
        runtime: running mean in seconds, None before the first.
    """

    __slots__ = (
        "acknowledge_failures",
        "acknowledge_timeouts",
        "bucket",
        "hard",
        "late",
        "name",
        "redeliver_lost",
        "runtime",
        "soft",
    )

    def __init__(self, task: Task[Any, Any], limited: bool) -> None:
        both = task.acks_on_failure_or_timeout
        self.name = task.name
        self.late = bool(task.acks_late)
        self.redeliver_lost = bool(task.reject_on_worker_lost)
        self.acknowledge_failures = bool(both if task.acks_on_failure is None else task.acks_on_failure)
        self.acknowledge_timeouts = bool(both if task.acks_on_timeout is None else task.acks_on_timeout)
        self.soft: float | None = task.soft_time_limit
        self.hard: float | None = task.time_limit
        rate = rate_per_second(task.rate_limit) if limited else None
        self.bucket = TokenBucket(rate) if rate else None
        self.runtime: float | None = None

    def ran(self, seconds: float) -> None:
        """Count one run time."""
        known = self.runtime
        self.runtime = seconds if known is None else known + WEIGHT * (seconds - known)


def read_traits(app: Celeriac) -> dict[str, Traits]:
    """The traits of all tasks of an app by name."""
    limited = not app.settings.worker_disable_rate_limits
    return {name: Traits(task, limited) for name, task in app.tasks.items()}
