"""Retrying a call (behaviours.md, section E)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from celeriac import Signature
from celeriac.app.context import Context
from celeriac.app.task import NO_REQUEST
from celeriac.envelope import decode
from celeriac.exceptions import MaxRetriesExceededError, Retry
from celeriac.pools.pool import Kind
from tests.app.harness import Caught, caught, make_app, run, run_all


def sent_by(app, task, *args, **options):
    with caught(app) as sent:
        task.apply_async(args, **options)
    return sent


def test_three_retries_are_four_runs_and_then_the_given_exception(app):
    @app.task(bind=True)
    def task(self):
        runs.append(self.request.retries)
        raise self.retry(exc=ValueError("last"), countdown=0.001)

    runs = []
    outcomes = run_all(app, sent_by(app, task))
    assert runs == [0, 1, 2, 3]
    assert [outcome.kind for outcome in outcomes] == [Kind.RETRY] * 3 + [Kind.FAILURE]
    assert "ValueError" in outcomes[-1].text


def test_without_an_exception_the_end_says_that_the_retries_are_used_up(app):
    @app.task(bind=True, max_retries=0)
    def task(self, x):
        raise self.retry()

    with pytest.raises(MaxRetriesExceededError, match=r"Can't retry .*task") as caught_error:
        task.apply((1,), throw=True)
    assert caught_error.value.task_args == (1,)


def test_no_limit_means_for_ever(app):
    @app.task(bind=True, max_retries=None)
    def task(self):
        if self.request.retries < 2000:
            raise self.retry()
        return self.request.retries

    assert task.apply().get() == 2000


def test_a_limit_of_the_call_beats_the_tasks(app):
    @app.task(bind=True, max_retries=0)
    def task(self):
        if self.request.retries == 0:
            raise self.retry(max_retries=1)
        return "done"

    assert task.apply().get() == "done"


def test_called_as_a_function_it_raises_at_once_and_leaves_no_trace(app):
    @app.task(bind=True)
    def task(self, error=None):
        self.retry(exc=error, max_retries=9)

    with pytest.raises(ValueError, match="mine"):
        task(ValueError("mine"))
    with pytest.raises(Retry):
        task()
    with pytest.raises(Retry):
        task.retry(max_retries=9)
    assert NO_REQUEST.__dict__ == {}


def test_the_new_message_is_the_old_one_with_one_more_retry(app):
    @app.task(bind=True)
    def task(self, x, y=0):
        raise self.retry(countdown=100)

    link, errback = Signature("proj.next"), Signature("proj.failed")
    sent = sent_by(
        app,
        task,
        1,
        kwargs={"y": 2},
        link=link,
        link_error=errback,
        headers={"x_own": 1, "x-death": 2},
        priority=4,
        queue="images",
        expires=1000,
        time_limit=20,
        soft_time_limit=10,
        shadow="another",
        group_id="g",
        group_index=3,
        ignore_result=True,
        stamped_headers=["tenant"],
        stamps={"tenant": "acme"},
        correlation_id="c",
        reply_to="r",
    )
    (old,) = sent.messages
    (again,) = run(app, sent[0]).follow_ups
    new = decode(again.payload)
    assert new.headers["retries"] == 1
    changed = {name for name in old.headers if old.headers[name] != new.headers.get(name)}
    assert changed == {"retries", "eta", "parent_id", "x-death"}
    assert new.headers["parent_id"] == old.headers["id"]
    assert "x-death" not in new.headers
    assert (again.queue, again.priority) == ("images", 4)
    assert abs(again.due - time.time() - 100) < 5
    assert Caught([again]).body == sent.body
    assert new.properties["reply_to"] == "r"


def test_the_default_delay_is_the_tasks(app):
    @app.task(bind=True, default_retry_delay=50)
    def task(self):
        raise self.retry()

    (again,) = run(app, sent_by(app, task)[0]).follow_ups
    assert abs(again.due - time.time() - 50) < 5


def test_it_may_run_at_a_moment(app):
    eta = datetime.now(UTC) + timedelta(hours=1)

    @app.task(bind=True)
    def task(self):
        raise self.retry(eta=eta)

    (again,) = run(app, sent_by(app, task)[0]).follow_ups
    assert again.due == eta.timestamp()


def test_options_of_the_new_message_are_given_and_unknown_ones_refused(app):
    @app.task(bind=True)
    def task(self, **options):
        raise self.retry(**options)

    sent = sent_by(app, task, kwargs={"queue": "slow", "priority": 9})
    (again,) = run(app, sent[0]).follow_ups
    assert (again.queue, again.priority) == ("slow", 9)
    outcome = run(app, sent_by(app, task, kwargs={"countdwn": 3})[0])
    assert outcome.kind is Kind.FAILURE
    assert "did you mean 'countdown'" in outcome.text


def test_other_arguments_displace_those_of_the_same_name(app):
    @app.task(bind=True)
    def task(self, x, y=0, z=0):
        if self.request.retries == 0:
            raise self.retry(args=(5, 6))
        return x, y, z

    assert task.apply(kwargs={"x": 1, "y": 2, "z": 3}).get() == (5, 6, 3)


def test_other_keywords_are_given_too(app):
    @app.task(bind=True)
    def task(self, x, y=0):
        if self.request.retries == 0:
            raise self.retry(kwargs={"y": 9})
        return x, y

    assert task.apply((1,)).get() == (1, 9)


def test_throw_false_returns_it_and_the_retry_is_published_all_the_same(app):
    @app.task(bind=True)
    def task(self):
        told = self.retry(throw=False, countdown=3)
        assert isinstance(told, Retry)
        return told.when

    outcome = run(app, sent_by(app, task)[0])
    assert outcome.kind is Kind.SUCCESS
    assert len(outcome.follow_ups) == 1


def test_retry_raised_by_hand_is_a_retry(app):
    @app.task(bind=True)
    def task(self):
        raise Retry("by hand", when=7)

    outcome = run(app, sent_by(app, task)[0])
    assert outcome.kind is Kind.RETRY
    assert abs(outcome.follow_ups[0].due - time.time() - 7) < 5


def test_the_hook_and_the_stored_state_tell_why(app):
    told = []

    @app.task(bind=True, on_retry=lambda self, exc, *rest: told.append(exc))
    def task(self):
        raise self.retry(exc=ValueError("why"), countdown=1)

    (outcome,) = run_all(app, sent_by(app, task), limit=1)
    assert outcome.state == "RETRY"
    assert isinstance(told[0], ValueError)


def test_a_signature_of_a_request_can_be_made_by_hand(app):
    task = app.task(name="t")(lambda x: x)
    signature = task.signature_from_request(Context(id="a", args=(1,), kwargs={}), queue="q", countdown=3)
    assert (signature.id, signature.args, signature.options["queue"]) == ("a", (1,), "q")


def test_celerys_flavour_takes_options_it_does_not_know():
    app = make_app()
    app.flavour = "celery"

    @app.task(bind=True)
    def task(self):
        raise self.retry(countdown=1, immediate=True)

    assert run(app, sent_by(app, task)[0]).kind is Kind.RETRY
