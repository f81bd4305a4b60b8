"""Tasks and routes: names that no other process can know, routes that lead nowhere or come from nowhere."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any

from celeriac.cli.checkup.finding import Finding
from celeriac.cli.checkup.subject import Subject, TaskFacts
from celeriac.settings.suggestions import did_you_mean

__all__ = ["find_task_problems"]


def find_task_problems(subject: Subject) -> list[Finding]:
    """Everything about the tasks and the routes."""
    if not subject.tasks:
        return [
            Finding(
                "warning",
                "tasks",
                "no task is registered",
                "name the modules that define tasks: include=[...], imports, or autodiscover_tasks([...])",
            )
        ]
    return [
        *(finding for task in subject.tasks for finding in _of_task(subject, task)),
        *_limited(subject),
        *_unmatched(subject),
    ]


def _of_task(subject: Subject, task: TaskFacts) -> Iterator[Finding]:
    if "<lambda>" in task.name:
        yield Finding("error", task.name, "has no name of its own", '@app.task(name="...") or define it with def')
    elif task.name.startswith("__main__."):
        yield Finding(
            "error",
            task.name,
            "is named after __main__, which is another module in every program",
            'give the app a name, as in Celeriac("shop"), or the task: @app.task(name="...")',
        )
    if task.problem:
        yield Finding("error", task.name, f"cannot be sent: {task.problem}", "correct task_routes or task_queues")
    elif task.queue not in subject.consumed:
        yield Finding(
            "note",
            task.name,
            f"goes to the queue {task.queue}, which a worker without -Q does not consume",
            f"start a worker with -Q {task.queue}, or declare the queue in task_queues",
        )
    if task.soft and task.hard and task.soft >= task.hard:
        yield Finding(
            "error",
            task.name,
            f"its soft time limit ({task.soft:g} s) is not below the hard one ({task.hard:g} s): it never strikes",
            "lower soft_time_limit",
        )
    if task.ignore_result and task.track_started and not subject.settings.task_ignore_result:
        yield Finding(
            "warning", task.name, "has ignore_result and track_started: STARTED is not stored", "remove one of them"
        )
    if not task.late and task.redeliver_lost and not subject.settings.task_reject_on_worker_lost:
        yield Finding(
            "warning",
            task.name,
            "has reject_on_worker_lost without acks_late: a lost task is not delivered again",
            "add acks_late=True",
        )


def _limited(subject: Subject) -> Iterator[Finding]:
    limited = [task.name for task in subject.tasks if task.rate_limit]
    if limited and subject.settings.worker_disable_rate_limits:
        yield Finding(
            "warning",
            "worker_disable_rate_limits",
            f"the rate limits of {', '.join(limited)} do not hold",
            "remove worker_disable_rate_limits",
        )
    elif limited:
        yield Finding(
            "note",
            ", ".join(limited),
            "a rate limit is each worker's own: two workers run twice as many",
            "send these tasks to a queue of their own that one worker consumes",
        )


def _unmatched(subject: Subject) -> Iterator[Finding]:
    names = [task.name for task in subject.tasks]
    for pattern in _patterns(subject.settings.task_routes):
        if not any(_matches(pattern, name) for name in names):
            text = pattern if isinstance(pattern, str) else pattern.pattern
            yield Finding(
                "warning",
                "task_routes",
                f"the route for {text!r} matches no task of this app{did_you_mean(text, names)}",
                "correct the name, or ignore this when other programs have such tasks",
            )


def _patterns(routes: Any) -> Iterator[str | re.Pattern[str]]:
    """The patterns of routes that are maps, or lists of maps and pairs; of functions nothing is known."""
    if isinstance(routes, Mapping):
        yield from (pattern for pattern in routes if isinstance(pattern, (str, re.Pattern)))
    elif isinstance(routes, tuple) and len(routes) == 2 and isinstance(routes[0], (str, re.Pattern)):
        yield routes[0]
    elif isinstance(routes, (list, tuple)):
        for each in routes:
            yield from _patterns(tuple(each) if isinstance(each, list) else each)


def _matches(pattern: str | re.Pattern[str], name: str) -> bool:
    if isinstance(pattern, re.Pattern):
        return pattern.match(name) is not None
    return fnmatch.fnmatchcase(name, pattern)
