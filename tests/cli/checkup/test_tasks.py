"""Tasks and routes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from celeriac import Celeriac
from celeriac.cli.checkup.tasks import find_task_problems

from .subjects import findings_about, subject


@pytest.fixture
def app() -> Celeriac:
    """An app with one task that is in order."""
    app = Celeriac("shop", set_as_current=False)

    @app.task(name="shop.add")
    def add(x: int, y: int) -> int:
        return x + y

    return app


def test_a_task_in_order_is_no_finding(app: Celeriac) -> None:
    assert find_task_problems(subject(app)) == []


def test_an_app_without_tasks_is_told_how_to_name_modules() -> None:
    (finding,) = find_task_problems(subject())
    assert "autodiscover_tasks" in finding.advice


@pytest.mark.parametrize(
    ("options", "severity", "text"),
    [
        ({"name": "shop.<lambda>"}, "error", "no name of its own"),
        ({"name": "__main__.task"}, "error", "named after __main__"),
        ({"soft_time_limit": 5, "time_limit": 5}, "error", "never strikes"),
        ({"ignore_result": True, "track_started": True}, "warning", "STARTED is not stored"),
        ({"rate_limit": "10/m"}, "note", "each worker's own"),
        ({"queue": "elsewhere"}, "note", "a worker without -Q does not consume"),
    ],
)
def test_options_of_a_task_that_help_nobody_are_found(
    options: dict[str, Any], severity: str, text: str, app: Celeriac
) -> None:
    options = {"name": "shop.other"} | options

    @app.task(**options)
    def other() -> None: ...

    ((kind, said),) = findings_about(find_task_problems(subject(app)), options["name"])
    assert (kind, text in said) == (severity, True)


def test_redelivery_without_late_acknowledgement_is_found(app: Celeriac) -> None:
    @app.task(name="shop.early", acks_late=False, reject_on_worker_lost=True)
    def early() -> None: ...

    found = find_task_problems(subject(app, task_reject_on_worker_lost=False))
    assert findings_about(found, "shop.early")[0][0] == "warning"


def test_rate_limits_that_are_switched_off_are_found(app: Celeriac) -> None:
    @app.task(name="shop.slow", rate_limit="1/s")
    def slow() -> None: ...

    found = find_task_problems(subject(app, worker_disable_rate_limits=True))
    assert findings_about(found, "worker_disable_rate_limits")[0][0] == "warning"


def test_a_queue_that_cannot_be_made_is_found(app: Celeriac) -> None:
    routes = {"shop.add": "undeclared"}
    found = find_task_problems(subject(app, task_routes=routes, task_create_missing_queues=False))
    ((kind, text),) = findings_about(found, "shop.add")
    assert kind == "error"
    assert "undeclared" in text


@pytest.mark.parametrize(
    "routes",
    [
        {"shop.ad": "q"},
        {"mail.*": "q"},
        [("shop.ad", "q")],
        [{"other": "q"}],
        {re.compile(r"mail\..*"): "q"},
    ],
)
def test_a_route_that_matches_no_task_is_found(routes: Any, app: Celeriac) -> None:
    ((kind, text),) = findings_about(find_task_problems(subject(app, task_routes=routes)), "task_routes")
    assert kind == "warning"
    assert "matches no task" in text


def test_the_task_that_was_meant_is_named(app: Celeriac) -> None:
    ((_, text),) = findings_about(find_task_problems(subject(app, task_routes={"shop.ad": "q"})), "task_routes")
    assert 'did you mean "shop.add"?' in text


@pytest.mark.parametrize("routes", [{"shop.*": "celery"}, {re.compile("shop"): "celery"}, lambda *_, **__: None])
def test_a_route_that_matches_is_no_finding(routes: Any, app: Celeriac) -> None:
    assert find_task_problems(subject(app, task_routes=routes)) == []
