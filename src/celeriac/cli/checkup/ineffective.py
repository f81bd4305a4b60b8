"""Settings of Celery that are accepted, so that programs run unchanged, and that have no effect in this engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from celeriac.cli.checkup.finding import Finding
from celeriac.cli.checkup.subject import Subject

__all__ = ["HARMLESS", "check_effect"]

_RETRIES: Final = "what failed for a passing reason is always repeated until the store's deadline"

HARMLESS: Final[Mapping[str, str]] = {
    "worker_prefetch_multiplier": "the read-ahead follows the free slots and the measured run times",
    "result_backend_always_retry": _RETRIES,
    "result_backend_max_retries": _RETRIES,
    "result_backend_base_sleep_between_retries_ms": _RETRIES,
    "result_backend_max_sleep_between_retries_ms": _RETRIES,
    "redis_socket_keepalive": "keepalive is always on",
    "worker_lost_wait": "the death of a process is known at once, and after everything that it said",
    "worker_proc_alive_timeout": "the start of a process is watched, not timed",
    "worker_enable_soft_shutdown_on_idle": "an idle worker has nothing to wait for",
    "enable_utc": "times in messages are always UTC",
    "timezone": "it is for schedules, which come with a later release",
}
"""Why each changes nothing, and need not."""


def check_effect(subject: Subject) -> Iterator[Finding]:
    """A note for each setting that was set and changes nothing."""
    for name, reason in HARMLESS.items():
        if subject.is_set(name):
            yield Finding("note", name, f"has no effect: {reason}", f"remove it ({subject.origins[name]})")
