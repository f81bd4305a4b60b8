"""One call from its request to its outcome (behaviours.md, section D)."""

from __future__ import annotations

import json

import pytest

from celeriac import AsyncResult, Task, signals
from celeriac.exceptions import Ignore, Reject, ResultTooLarge
from celeriac.pools.pool import Kind
from celeriac.result import GroupResult
from tests.app.harness import caught, make_app, run, run_all


def sent_by(app, task, *args, **options):
    with caught(app) as sent:
        task.apply_async(args, **options)
    return sent


def outcome_of(app, task, *args, **options):
    return run(app, sent_by(app, task, *args, **options)[0])


HAPPENED: list[str] = []


class Noting(Task):
    """Notes which of its hooks are called."""

    def before_start(self, *args):
        HAPPENED.append("before_start")

    def on_success(self, retval, *rest):
        HAPPENED.append(f"on_success {retval}")

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        HAPPENED.append(f"on_failure {exc!r} {'Traceback' in str(einfo)}")

    def on_retry(self, exc, *rest):
        HAPPENED.append(f"on_retry {exc!r}")

    def after_return(self, status, retval, *rest):
        HAPPENED.append(f"after_return {status} {retval!r}")


@pytest.fixture
def happened():
    """What happened, in order: hooks and signals."""
    HAPPENED.clear()

    def note(signal, **kwargs):
        HAPPENED.append(signal.name)

    names = ("task_prerun", "task_success", "task_failure", "task_retry", "task_postrun")
    for name in names:
        getattr(signals, name).connect(note)
    yield HAPPENED
    for name in names:
        getattr(signals, name).disconnect(note)


def test_the_order_of_a_success(app, happened):
    task = app.task(name="t", base=Noting)(lambda: happened.append("body"))
    assert outcome_of(app, task).kind is Kind.SUCCESS
    assert happened == [
        "task_prerun",
        "before_start",
        "body",
        "on_success None",
        "task_success",
        "after_return SUCCESS None",
        "task_postrun",
    ]


def test_the_order_of_a_failure(app, happened):
    task = app.task(name="t", base=Noting)(lambda: 1 / 0)
    assert outcome_of(app, task).kind is Kind.FAILURE
    error = "ZeroDivisionError('division by zero')"
    assert happened == [
        "task_prerun",
        "before_start",
        f"on_failure {error} True",
        "task_failure",
        f"after_return FAILURE {error}",
        "task_postrun",
    ]


def test_a_retry_and_an_ignored_call_have_not_returned(app, happened):
    @app.task(name="t", base=Noting, bind=True)
    def again(self):
        raise self.retry(exc=OSError("x"), countdown=1)

    def ignored():
        raise Ignore

    outcome_of(app, again)
    assert happened == ["task_prerun", "before_start", "on_retry OSError('x')", "task_retry", "task_postrun"]
    happened.clear()
    outcome_of(app, app.task(name="u", base=Noting)(ignored))
    assert happened == ["task_prerun", "before_start", "task_postrun"]


@pytest.mark.parametrize("hook", ["on_success", "after_return", "on_failure"])
def test_a_hook_that_raises_changes_nothing_and_is_logged(app, hook, caplog):
    def broken(self, *args):
        raise RuntimeError("hook")

    body = (lambda: 1 / 0) if hook == "on_failure" else (lambda: 5)
    outcome = outcome_of(app, app.task(name="t", **{hook: broken})(body))
    assert outcome.kind is (Kind.FAILURE if hook == "on_failure" else Kind.SUCCESS)
    assert "RuntimeError: hook" in caplog.text


def test_an_error_before_the_start_is_a_failure(app):
    def before_start(self, *args):
        raise RuntimeError("before")

    outcome = outcome_of(app, app.task(name="t", before_start=before_start)(lambda: 5))
    assert (outcome.kind, outcome.text) == (Kind.FAILURE, "RuntimeError('before')")


def test_what_ends_the_process_is_no_outcome(app):
    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        outcome_of(app, app.task(name="t")(leave))
    assert app.current_task is None


# -------------------------------------------------------------------------------------------------------------- results


def document_of(outcome):
    return json.loads(outcome.result)


def test_a_result_that_cannot_be_serialized_is_a_failure_that_says_what_to_do(app):
    told = []

    def receiver(exception, **kwargs):
        told.append(exception)

    signals.task_internal_error.connect(receiver)
    try:
        outcome = outcome_of(app, app.task(name="t")(lambda: {"x": object()}))
    finally:
        signals.task_internal_error.disconnect(receiver)
    assert (outcome.kind, outcome.state) == (Kind.FAILURE, "FAILURE")
    document = document_of(outcome)
    assert (document["result"]["exc_type"], document["result"]["exc_module"]) == ("EncodeError", "kombu.exceptions")
    assert "['x']" in document["result"]["exc_message"][0]
    assert len(told) == 1


def test_a_result_that_is_too_large_is_a_failure_that_says_what_to_do():
    app = make_app(result_max_size=1000)
    outcome = outcome_of(app, app.task(name="t")(lambda: "x" * 2000))
    assert outcome.kind is Kind.FAILURE
    assert "result_max_size = 1,000" in document_of(outcome)["result"]["exc_message"][0]
    assert ResultTooLarge.__name__ in outcome.text


def test_an_exception_that_cannot_be_rebuilt_comes_back_as_text(app):
    class Unbuildable(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} {two}")

    def fail():
        raise Unbuildable(1, 2)

    sent = sent_by(app, app.task(name="t")(fail))
    run_all(app, sent)
    with pytest.raises(Exception, match="1 2"):
        app.AsyncResult(sent.headers["id"]).get(timeout=0)


def test_an_exception_with_arguments_that_cannot_be_serialized_keeps_their_text(app):
    def fail():
        raise ValueError(object, "plain")

    sent = sent_by(app, app.task(name="t")(fail))
    run_all(app, sent)
    with pytest.raises(ValueError, match=r"class 'object'.*plain"):
        app.AsyncResult(sent.headers["id"]).get(timeout=0)


@pytest.mark.parametrize(
    ("task_option", "call_option", "stored"),
    [(False, None, True), (True, None, False), (True, False, True), (False, True, False)],
)
def test_whether_a_result_is_stored_is_the_calls_choice_then_the_tasks(app, task_option, call_option, stored):
    task = app.task(name="t", ignore_result=task_option)(lambda: 5)
    options = {} if call_option is None else {"ignore_result": call_option}
    assert (outcome_of(app, task, **options).result is not None) is stored


@pytest.mark.parametrize("store", [True, False])
def test_errors_of_ignored_results_are_stored_when_that_is_asked_for(app, store):
    task = app.task(name="t", ignore_result=True, store_errors_even_if_ignored=store)(lambda: 1 / 0)
    assert (outcome_of(app, task).result is not None) is store


@pytest.mark.parametrize("track", [True, False])
def test_a_start_is_stored_when_that_is_asked_for(app, track):
    seen = []

    @app.task(name="t", bind=True, track_started=track)
    def task(self):
        seen.append((app.AsyncResult(self.request.id).state, app.AsyncResult(self.request.id).info))

    outcome_of(app, task)
    ((state, meta),) = seen
    assert state == ("STARTED" if track else "PENDING")
    if track:
        assert meta["hostname"] == "test@here"


def test_a_result_that_is_a_handle_is_stored_as_its_tuple(app):
    members = [AsyncResult("a", app=app)]
    group = app.task(name="t")(lambda: GroupResult("g", members, app=app))
    assert document_of(outcome_of(app, group))["result"] == [["g", None], [[["a", None], None]]]


def test_extended_documents_tell_of_the_call():
    app = make_app(result_extended=True)
    task = app.task(name="t")(lambda x, y: x)
    document = document_of(outcome_of(app, task, 1, kwargs={"y": 2}, stamped_headers=["tenant"], tenant="acme"))
    told = {name: document[name] for name in ("name", "args", "kwargs", "worker", "retries", "queue", "tenant")}
    assert told == {
        "name": "t",
        "args": [1],
        "kwargs": {"y": 2},
        "worker": "test@here",
        "retries": 0,
        "queue": "celery",
        "tenant": "acme",
    }


# ------------------------------------------------------------------------------------------------------ what comes next


@pytest.mark.parametrize(("requeue", "kind"), [(False, Kind.REJECT), (True, Kind.REQUEUE)])
def test_a_task_may_reject_its_message(app, requeue, kind):
    def reject():
        raise Reject("no", requeue=requeue)

    outcome = outcome_of(app, app.task(name="t")(reject))
    assert outcome.kind is kind
    assert (outcome.state == "FAILURE") is not requeue


def test_an_ignored_call_stores_nothing(app):
    def ignore():
        raise Ignore

    outcome = outcome_of(app, app.task(name="t")(ignore))
    assert (outcome.kind, outcome.result) == (Kind.IGNORE, None)


def test_expected_exceptions_are_marked_as_such(app):
    task = app.task(name="t", throws=(LookupError,))(lambda: {}["x"])
    assert outcome_of(app, task).expected
    assert not outcome_of(app, app.task(name="u")(lambda: {}["x"])).expected


# -------------------------------------------------------------------------------------------------------------- request


def test_the_request_tells_all_of_the_call(app):
    @app.task(name="t", bind=True)
    def task(self, x):
        request = self.request
        return [
            request.id,
            request.task,
            request.args,
            request.hostname,
            request.timelimit,
            request.headers,
            request.called_directly,
            request.is_eager,
            request.delivery_info["queue"],
            request.argsrepr,
            request.reply_to,
        ]

    options = {"task_id": "a", "time_limit": 5, "headers": {"x_own": 1}, "queue": "q", "reply_to": "r"}
    document = document_of(outcome_of(app, task, 1, **options))
    assert document["result"] == [
        "a",
        "t",
        [1],
        "test@here",
        [5, None],
        {"x_own": 1},
        False,
        False,
        "q",
        "(1,)",
        "r",
    ]


def test_a_result_is_described_shortly(app):
    task = app.task(name="t", resultrepr_maxsize=20)(lambda: "x" * 100)
    text = outcome_of(app, task).text
    assert len(text) == 20
    assert text.endswith("...")
