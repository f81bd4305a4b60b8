"""Settings that fight each other, or the app's own tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from celeriac.cli.checkup.finding import Finding
from celeriac.cli.checkup.ineffective import check_effect
from celeriac.cli.checkup.subject import Subject

__all__ = ["CHECKS", "find_conflicts"]

ENDLESS: Final = 1000
"""Redeliveries from which on a limit is none."""
SHORT_LEASE: Final = 3.0
"""Seconds; a worker renews at a third of its lease, and a busy machine may keep it waiting for one."""


def find_conflicts(subject: Subject) -> list[Finding]:
    """Everything that the settings alone tell."""
    return [finding for check in CHECKS for finding in check(subject)]


def check_limits(subject: Subject) -> Iterator[Finding]:
    """A soft limit at or above the hard one never strikes."""
    settings = subject.settings
    soft, hard = settings.task_soft_time_limit, settings.task_time_limit
    if soft and hard and soft >= hard:
        yield Finding(
            "error",
            "task_soft_time_limit, task_time_limit",
            f"the soft limit ({soft:g} s) is not below the hard one ({hard:g} s): it never strikes",
            "lower task_soft_time_limit",
        )


def check_serializers(subject: Subject) -> Iterator[Finding]:
    """What is written must be accepted; pickle is dangerous."""
    settings = subject.settings
    if settings.task_serializer not in settings.accept_content:
        yield Finding(
            "error",
            "task_serializer, accept_content",
            f"tasks are sent as {settings.task_serializer!r}, which workers refuse",
            f"add {settings.task_serializer!r} to accept_content",
        )
    if "pickle" in settings.accept_content:
        superuser = " and this user is the superuser, so a worker refuses to start" if subject.superuser else ""
        yield Finding(
            "error" if subject.superuser else "warning",
            "accept_content",
            f"pickle is accepted: whoever can write to the broker can run any code{superuser}",
            "use json or msgpack, or keep the broker to yourself and run the worker as an ordinary user",
        )


def check_acknowledgement(subject: Subject) -> Iterator[Finding]:
    """Options of late acknowledgement without it; redeliveries without an end or a beginning."""
    settings = subject.settings
    if not settings.task_acks_late and settings.task_reject_on_worker_lost:
        yield Finding(
            "warning",
            "task_reject_on_worker_lost, task_acks_late",
            "a lost task is not delivered again, because it was acknowledged before it ran (task_acks_late = False)",
            "set task_acks_late = True",
        )
    limit = settings.task_delivery_limit
    if limit >= ENDLESS and settings.task_reject_on_worker_lost:
        yield Finding(
            "warning",
            "task_delivery_limit",
            f"a task that kills its process is run {limit} times before it becomes a dead letter",
            "set a limit such as 3",
        )
    if limit == 0 and settings.task_acks_late and settings.task_reject_on_worker_lost:
        yield Finding(
            "warning",
            "task_delivery_limit, task_reject_on_worker_lost",
            "no task is delivered again after a loss: the first one makes it a dead letter",
            "set task_delivery_limit = 1 or more",
        )
    if not settings.task_acks_on_timeout and settings.task_acks_late:
        yield Finding(
            "warning" if limit >= ENDLESS else "note",
            "task_acks_on_timeout, task_delivery_limit",
            f"a task that always times out is run {1 + limit} times before it becomes a dead letter",
            "lower task_delivery_limit, or set task_acks_on_timeout = True",
        )


def check_results(subject: Subject) -> Iterator[Finding]:
    """Results that nobody stores, that never go, or that are written in a second step."""
    settings = subject.settings
    if not settings.result_expires and subject.embedded_results:
        yield Finding(
            "warning",
            "result_expires",
            "results are never deleted, so the embedded file only grows",
            "set result_expires to a number of seconds, and ignore_result on tasks whose result nobody reads",
        )
    if settings.task_ignore_result and settings.task_track_started:
        yield Finding(
            "warning",
            "task_ignore_result, task_track_started",
            "STARTED is not stored for tasks whose results are ignored",
            "remove one of them",
        )
    if subject.backend_url is None and settings.task_track_started:
        yield Finding(
            "warning",
            "task_track_started, result_backend",
            "STARTED is not stored: there is no result backend",
            "set one",
        )
    if subject.backend_url is not None and not subject.one_store:
        yield Finding(
            "note",
            "broker_url, result_backend",
            "messages and results are in two stores: a result is written first, its message acknowledged after",
            "use one store for both where you can: then it is one atomic step",
        )


def check_times(subject: Subject) -> Iterator[Finding]:
    """Leases and the visibility timeout of Celery's workers."""
    settings = subject.settings
    lease = settings.worker_lease
    if lease < SHORT_LEASE:
        yield Finding(
            "warning",
            "worker_lease",
            f"a lease of {lease:g} s may be lost on a busy machine: tasks then run twice",
            "set it to 5 s or more",
        )
    visibility = settings.broker_transport_options.get("visibility_timeout")
    if visibility is None:
        return
    seconds = float(visibility)
    if seconds < lease:
        yield Finding(
            "warning",
            "broker_transport_options, worker_lease",
            f"visibility_timeout ({seconds:g} s) is below worker_lease ({lease:g} s): tasks of Celery's workers on "
            "this broker are taken from them while they run",
            "set visibility_timeout above the longest task of Celery's workers",
        )
    else:
        yield Finding(
            "note",
            "broker_transport_options",
            f"visibility_timeout ({seconds:g} s) concerns Celery's workers only; ours hold leases of {lease:g} s and "
            "renew them while a task runs",
            "remove it once no Celery worker is left",
        )


def check_eager(subject: Subject) -> Iterator[Finding]:
    """Eager mode sends nothing."""
    if subject.settings.task_always_eager:
        yield Finding(
            "warning",
            "task_always_eager",
            "tasks run in the process that calls them; no worker gets any",
            f"remove it outside of tests ({subject.origins.get('task_always_eager', 'default')})",
        )


def check_pool(subject: Subject) -> Iterator[Finding]:
    """Options that the pool cannot honour: a worker refuses them at its start."""
    settings = subject.settings
    if settings.worker_pool != "solo":
        return
    for name in ("worker_max_tasks_per_child", "worker_max_memory_per_child"):
        if getattr(settings, name):
            yield Finding(
                "error",
                f"{name}, worker_pool",
                "the pool solo has no process to replace: a worker refuses to start",
                f"remove {name}, or choose another pool",
            )
    if settings.worker_concurrency not in (None, 1, "1"):
        yield Finding(
            "error",
            "worker_concurrency, worker_pool",
            "the pool solo runs one task at a time: a worker refuses to start",
            "remove worker_concurrency, or choose another pool",
        )


CHECKS: Final[tuple[Callable[[Subject], Iterator[Finding]], ...]] = (
    check_limits,
    check_serializers,
    check_acknowledgement,
    check_results,
    check_times,
    check_eager,
    check_pool,
    check_effect,
)
