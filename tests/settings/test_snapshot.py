from __future__ import annotations

import pytest

from celeriac.settings.defaults import CELERY_DEFAULTS
from celeriac.settings.snapshot import Settings, complete
from celeriac.settings.table import followed


def test_a_snapshot_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().task_acks_late = False  # type: ignore[misc]  # what is tested


def test_celeriac_is_safe_by_default_and_celery_is_as_celery() -> None:
    ours, theirs = complete({}, followed(), "celeriac"), complete({}, followed(), "celery")
    assert (ours.task_acks_late, ours.task_reject_on_worker_lost, ours.task_unregistered_action) == (True, True, "hold")
    assert (theirs.task_acks_late, theirs.task_reject_on_worker_lost, theirs.task_unregistered_action) == (
        False,
        None,
        "reject",
    )
    assert (ours.broker_url, ours.result_backend) == ("sqlite://", "sqlite://")
    assert (theirs.broker_url, theirs.result_backend) == ("amqp://guest@localhost//", "disabled://")


def test_nothing_else_differs_between_the_two() -> None:
    ours, theirs = complete({}, {}, "celeriac"), complete({}, {}, "celery")
    differing = {name for name in Settings.__struct_fields__ if getattr(ours, name) != getattr(theirs, name)}
    assert differing == set(CELERY_DEFAULTS)


def test_a_setting_has_the_value_of_the_one_it_follows() -> None:
    settings = complete(
        {"task_default_queue": "main", "task_acks_on_failure_or_timeout": False}, followed(), "celeriac"
    )
    assert (settings.task_default_exchange, settings.task_default_routing_key) == ("main", "main")
    assert (settings.task_acks_on_failure, settings.task_acks_on_timeout) == (False, False)


def test_a_setting_that_is_given_follows_none() -> None:
    given = {"task_acks_on_failure_or_timeout": False, "task_acks_on_timeout": True}
    assert complete(given, followed(), "celeriac").task_acks_on_timeout is True


@pytest.mark.parametrize("flavour", ["celeriac", "celery"])
def test_both_broker_urls_follow_the_one(flavour: str) -> None:
    settings = complete({"broker_url": "redis://h"}, followed(), flavour)  # type: ignore[arg-type]  # a flavour
    assert (settings.broker_read_url, settings.broker_write_url) == ("redis://h", "redis://h")


@pytest.mark.parametrize(
    ("broker", "backend"),
    [("redis://h/1", "redis://h/1"), ("memory://", "memory://"), ("amqp://h", "sqlite://"), ("sqs://", "sqlite://")],
)
def test_results_go_to_the_broker_if_it_holds_results_and_else_to_the_embedded_store(broker: str, backend: str) -> None:
    assert complete({"broker_url": broker}, followed(), "celeriac").result_backend == backend


def test_celery_has_no_results_without_a_backend() -> None:
    assert complete({"broker_url": "redis://h"}, followed(), "celery").result_backend == "disabled://"


def test_results_can_be_disabled_by_a_word() -> None:
    assert complete({"result_backend": "disabled"}, followed(), "celeriac").result_backend == "disabled://"
