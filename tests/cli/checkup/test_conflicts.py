"""Settings that fight each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import celeriac
from celeriac.cli.checkup.conflicts import find_conflicts
from celeriac.cli.checkup.ineffective import HARMLESS
from celeriac.settings.table import table

from .subjects import findings_about, subject

SOURCE = Path(celeriac.__file__).parent


def test_the_defaults_fight_nothing() -> None:
    assert find_conflicts(subject()) == []


@pytest.mark.parametrize(
    ("settings", "about", "severity", "text"),
    [
        ({"task_soft_time_limit": 5, "task_time_limit": 5}, "task_soft_time_limit", "error", "never strikes"),
        ({"task_serializer": "msgpack"}, "task_serializer", "error", "workers refuse"),
        ({"accept_content": ["json", "pickle"]}, "accept_content", "warning", "run any code"),
        (
            {"task_acks_late": False, "task_reject_on_worker_lost": True},
            "task_reject_on_worker_lost",
            "warning",
            "not delivered again",
        ),
        ({"task_delivery_limit": 10**6}, "task_delivery_limit", "warning", "1000000 times"),
        ({"task_delivery_limit": 0}, "task_delivery_limit", "warning", "the first one makes it a dead letter"),
        ({"task_acks_on_timeout": False}, "task_acks_on_timeout", "note", "is run 4 times"),
        (
            {"task_acks_on_timeout": False, "task_delivery_limit": 10**6},
            "task_acks_on_timeout",
            "warning",
            "1000001 times",
        ),
        ({"result_expires": None}, "result_expires", "warning", "only grows"),
        ({"task_ignore_result": True, "task_track_started": True}, "task_track_started", "warning", "not stored"),
        (
            {"result_backend": "disabled", "task_track_started": True},
            "task_track_started",
            "warning",
            "no result backend",
        ),
        ({"result_backend": "redis://localhost/1"}, "result_backend", "note", "two stores"),
        ({"worker_lease": 1.0}, "worker_lease", "warning", "lost on a busy machine"),
        (
            {"broker_transport_options": {"visibility_timeout": 5}},
            "broker_transport_options",
            "warning",
            "taken from them while they run",
        ),
        (
            {"broker_transport_options": {"visibility_timeout": 3600}},
            "broker_transport_options",
            "note",
            "Celery's workers only",
        ),
        ({"task_always_eager": True}, "task_always_eager", "warning", "no worker gets any"),
        ({"worker_pool": "solo", "worker_concurrency": 2}, "worker_concurrency", "error", "refuses to start"),
        (
            {"worker_pool": "solo", "worker_max_tasks_per_child": 2},
            "worker_max_tasks_per_child",
            "error",
            "refuses to start",
        ),
        ({"worker_prefetch_multiplier": 1}, "worker_prefetch_multiplier", "note", "has no effect"),
    ],
)
def test_settings_that_fight_are_found(settings: dict[str, Any], about: str, severity: str, text: str) -> None:
    found = findings_about(find_conflicts(subject(**settings)), about)
    assert [kind for kind, _ in found] == [severity]
    assert text in found[0][1]


def test_pickle_for_the_superuser_is_an_error() -> None:
    found = findings_about(find_conflicts(subject(superuser=True, accept_content=["json", "pickle"])), "accept_content")
    assert [kind for kind, _ in found] == ["error"]


def test_results_that_never_expire_on_a_server_are_its_owners_business() -> None:
    place = "redis://localhost/0"
    assert find_conflicts(subject(broker_url=place, result_backend=place, result_expires=None)) == []


def test_every_finding_about_a_setting_without_effect_says_where_it_was_set() -> None:
    (finding,) = find_conflicts(subject(worker_prefetch_multiplier=3))
    assert "app.conf" in finding.advice


def test_every_setting_is_either_used_or_listed_as_without_effect() -> None:
    ineffective = {*HARMLESS}
    used = set[str]()
    for path in SOURCE.rglob("*.py"):
        if not path.is_relative_to(SOURCE / "settings") and not path.is_relative_to(SOURCE / "cli" / "checkup"):
            used |= set(re.findall(r"settings\.(\w+)", text := path.read_text())) | set(re.findall(r'"(\w+)"', text))
    used &= set(table())
    assert used & ineffective == set(), "these have an effect now"
    assert set(table()) - used - ineffective == set(), "these are accepted and ignored, and doctor does not say so"
