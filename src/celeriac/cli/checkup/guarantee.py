"""Which guarantee a task has, in words."""

from __future__ import annotations

from celeriac.worker.traits import Traits

__all__ = ["guarantee_of"]


def guarantee_of(traits: Traits, delivery_limit: int) -> str:
    """What happens to a call of the task when something dies, fails or takes too long.

    Args:
        traits: the task's.
        delivery_limit: the setting ``task_delivery_limit``.
    """
    if not traits.late:
        return "at most once: acknowledged before it runs, lost when its process or worker dies meanwhile"
    parts = []
    if traits.redeliver_lost:
        parts.append(f"at least once: run again after a loss, {_times(delivery_limit)}, then a dead letter")
    else:
        parts.append("at least once when the worker is lost; fails with WorkerLostError when only its process dies")
    if not traits.acknowledge_failures:
        parts.append("what fails is a dead letter")
    if not traits.acknowledge_timeouts:
        parts.append("what times out is run again like a loss")
    return "; ".join(parts)


def _times(limit: int) -> str:
    return {0: "never", 1: "once"}.get(limit, f"{limit} times")
