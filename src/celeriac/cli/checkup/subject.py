"""What the checks look at: an app's settings, tasks and queues as plain values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from celeriac.app.connections import backend_options, broker_options
from celeriac.cli.checkup.guarantee import guarantee_of
from celeriac.exceptions import CeleriacError
from celeriac.stores.urls import same_store
from celeriac.worker.traits import Traits

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.task import Task
    from celeriac.settings.snapshot import Settings

__all__ = ["Subject", "TaskFacts", "examine"]


class TaskFacts(msgspec.Struct, kw_only=True):
    """One task.

    Attributes:
        name: its name.
        queue: where its calls go; empty when ``problem`` says why not.
        late, redeliver_lost, acknowledge_failures, acknowledge_timeouts: how its messages are acknowledged.
        soft, hard: time limits in seconds.
        rate_limit: as it was given.
        ignore_result, track_started: what is stored.
        guarantee: what follows, in words.
        problem: why it cannot be routed.
    """

    name: str
    queue: str
    late: bool
    redeliver_lost: bool
    acknowledge_failures: bool
    acknowledge_timeouts: bool
    soft: float | None
    hard: float | None
    rate_limit: str | float | None
    ignore_result: bool
    track_started: bool
    guarantee: str
    problem: str = ""


class Subject(msgspec.Struct, kw_only=True):
    """An app, as the checks see it.

    Attributes:
        settings: all of them.
        origins: of those that somebody has set, by name: where.
        tasks: the user's tasks.
        consumed: the queues of a worker without ``-Q``.
        broker_url, backend_url: where the stores are, the embedded one's with its file; no backend is None.
        one_store: broker and result backend are one place.
        superuser: this process may do everything.
    """

    settings: Settings
    origins: Mapping[str, str]
    tasks: list[TaskFacts]
    consumed: list[str]
    broker_url: str
    backend_url: str | None
    one_store: bool
    superuser: bool

    @property
    def embedded_results(self) -> bool:
        """Results are in a file of this machine."""
        return (self.backend_url or "").startswith("sqlite:")

    def is_set(self, *names: str) -> bool:
        """Somebody has set one of these settings."""
        return any(name in self.origins for name in names)


def examine(app: Celeriac, origins: Mapping[str, str]) -> Subject:
    """Read an app whose tasks are imported."""
    broker, backend = broker_options(app), backend_options(app)
    names = sorted(name for name in app.tasks if not name.startswith(("celery.", "celeriac.")))
    return Subject(
        settings=app.settings,
        origins=origins,
        tasks=[_facts(app, app.tasks[name]) for name in names],
        consumed=list(app.queues.consumed),
        broker_url=broker.url,
        backend_url=backend.url if backend is not None else None,
        one_store=backend is not None and same_store(broker, backend),
        superuser=hasattr(os, "geteuid") and os.geteuid() == 0,
    )


def _facts(app: Celeriac, task: Task[Any, Any]) -> TaskFacts:
    traits = Traits(task, limited=False)
    queue, problem = _queue_of(app, task)
    return TaskFacts(
        name=task.name,
        queue=queue,
        late=traits.late,
        redeliver_lost=traits.redeliver_lost,
        acknowledge_failures=traits.acknowledge_failures,
        acknowledge_timeouts=traits.acknowledge_timeouts,
        soft=traits.soft,
        hard=traits.hard,
        rate_limit=task.rate_limit,
        ignore_result=bool(task.ignore_result),
        track_started=bool(task.track_started),
        guarantee=guarantee_of(traits, app.settings.task_delivery_limit),
        problem=problem,
    )


def _queue_of(app: Celeriac, task: Task[Any, Any]) -> tuple[str, str]:
    """Where calls of a task go when they say nothing themselves, or why they go nowhere."""
    own = {
        name: getattr(task, name) for name in ("queue", "exchange", "routing_key") if getattr(task, name) is not None
    }
    try:
        route = app.router.route(own, task.name, (), {}, task)
    except (CeleriacError, ImportError) as error:
        return "", str(error.args[0]) if error.args else type(error).__name__
    return route.queue or ", ".join(route.destinations) or f"{route.exchange}/{route.routing_key}", ""
