"""Callbacks, errbacks and the next step of a chain: messages that travel with the settlement."""

from __future__ import annotations

import pytest

from celeriac import Signature
from celeriac.envelope import decode
from celeriac.pools.pool import Kind
from tests.app.harness import Caught, caught, run, run_all, store_result


@pytest.fixture
def calls(app):
    """What the tasks of these tests were called with."""
    seen = []

    @app.task(name="add")
    def add(x, y):
        seen.append(("add", x, y))
        return x + y

    @app.task(name="fail")
    def fail(*args):
        raise ValueError("broken")

    @app.task(name="note")
    def note(value):
        seen.append(("note", value))

    return seen


def sent_by(app, name, *args, **options):
    with caught(app) as sent:
        app.tasks[name].apply_async(args, **options)
    return sent


def test_a_callback_gets_the_result_first(app, calls):
    run_all(app, sent_by(app, "add", 1, 2, link=Signature("add", (10,))))
    assert calls == [("add", 1, 2), ("add", 3, 10)]


def test_several_callbacks_and_their_own_callbacks(app, calls):
    link = [Signature("note"), Signature("add", (10,), options={"link": [Signature("note")]})]
    run_all(app, sent_by(app, "add", 1, 2, link=link))
    assert calls == [("add", 1, 2), ("note", 3), ("add", 3, 10), ("note", 13)]


def test_an_immutable_callback_gets_its_own_arguments_only(app, calls):
    run_all(app, sent_by(app, "add", 1, 2, link=Signature("note", ("fixed",), immutable=True)))
    assert calls[1:] == [("note", "fixed")]


def test_a_chain_is_walked_from_its_end(app, calls):
    chain = [dict(Signature("note")), dict(Signature("add", (20,))), dict(Signature("add", (10,)))]
    run_all(app, sent_by(app, "add", 1, 2, chain=chain))
    assert calls == [("add", 1, 2), ("add", 3, 10), ("add", 13, 20), ("note", 33)]


def test_a_follow_up_knows_its_parent_and_root(app, calls):
    sent = sent_by(app, "add", 1, 2, link=Signature("note"), task_id="first", root_id="root")
    (follow_up,) = run(app, sent[0]).follow_ups
    headers = Caught([follow_up]).headers
    assert (headers["parent_id"], headers["root_id"]) == ("first", "root")


def test_a_callback_keeps_its_options(app, calls):
    link = Signature("note", options={"queue": "slow", "priority": 3, "task_id": "mine"})
    (follow_up,) = run(app, sent_by(app, "add", 1, 2, link=link)[0]).follow_ups
    assert (follow_up.queue, follow_up.priority, Caught([follow_up]).headers["id"]) == ("slow", 3, "mine")


def test_callbacks_and_next_steps_are_children_of_the_result(app, calls):
    sent = sent_by(app, "add", 1, 2, link=Signature("note"), chain=[Signature("note", options={"task_id": "next"})])
    run_all(app, sent)
    children = app.AsyncResult(sent.headers["id"]).children
    assert [str(child) for child in children][1] == "next"
    assert all(child.get(timeout=1) is None for child in children)


def test_a_task_without_a_trail_remembers_no_children(app, calls):
    app.tasks["add"].trail = False
    sent = sent_by(app, "add", 1, 2, link=Signature("note"))
    run_all(app, sent)
    assert app.AsyncResult(sent.headers["id"]).children == []


def test_what_a_task_sends_itself_is_its_child_if_it_keeps_a_trail(app, calls):
    @app.task(name="parent", bind=True)
    def parent(self, trail):
        self.trail = trail
        return [app.tasks["note"].delay(1).id, app.tasks["note"].apply_async((2,), add_to_parent=False).id]

    for trail in (True, False):
        sent = sent_by(app, "parent", trail)
        with caught(app):
            (outcome,) = [run(app, sent[0])]
        store = app.AsyncResult(sent.headers["id"])
        from celeriac import documents

        children = documents.decode(outcome.result, "json")["children"]
        first = documents.decode(outcome.result, "json")["result"][0]
        assert children == ([[[first, None], None]] if trail else [])
        assert store.state == "PENDING"


def test_a_failure_sends_errbacks_with_the_id_and_no_callbacks(app, calls):
    sent = sent_by(app, "fail", link=Signature("note"), link_error=Signature("note"), chain=[dict(Signature("note"))])
    outcomes = run_all(app, sent)
    assert [outcome.kind for outcome in outcomes] == [Kind.FAILURE, Kind.SUCCESS]
    assert calls == [("note", sent.headers["id"])]


def test_an_errback_that_takes_more_is_called_here(app, calls):
    @app.task(name="details")
    def details(request, error, traceback):
        calls.append((request.id, type(error), "broken" in traceback))

    sent = sent_by(app, "fail", link_error=[Signature("details"), Signature("elsewhere")])
    outcome = run(app, sent[0])
    assert calls == [(sent.headers["id"], ValueError, True)]
    assert [decode(follow_up.payload).headers["task"] for follow_up in outcome.follow_ups] == ["elsewhere"]


def test_an_errback_that_fails_here_changes_nothing(app, calls, caplog):
    app.task(name="worse")(lambda request, error, traceback: 1 / 0)
    outcome = run(app, sent_by(app, "fail", link_error=Signature("worse"))[0])
    assert outcome.kind is Kind.FAILURE
    assert "ZeroDivisionError" in caplog.text


def test_an_errback_with_arguments_of_its_own_is_sent(app, calls):
    app.task(name="partial")(lambda request, error, traceback: calls.append("here"))
    outcome = run(app, sent_by(app, "fail", link_error=Signature("partial", (1, 2)))[0])
    assert len(outcome.follow_ups) == 1
    assert calls == []


def test_errbacks_do_not_run_when_the_call_is_retried(app, calls):
    @app.task(name="again", bind=True)
    def again(self):
        raise self.retry(countdown=1)

    outcome = run(app, sent_by(app, "again", link_error=Signature("note"))[0])
    (retried,) = outcome.follow_ups
    assert Caught([retried]).headers["task"] == "again"
    assert Caught([retried]).body[2]["errbacks"][0]["task"] == "note"


@pytest.mark.parametrize("kind", ["chain", "group"])
def test_an_empty_workflow_is_no_callback(app, calls, kind):
    outcome = run(app, sent_by(app, "add", 1, 2, link=Signature(f"celery.{kind}", subtask_type=kind))[0])
    assert (outcome.kind, outcome.follow_ups) == (Kind.SUCCESS, [])


def test_a_callback_that_cannot_be_sent_fails_the_call(app, calls):
    outcome = run(app, sent_by(app, "add", 1, 2, link=Signature("celery.chord", subtask_type="chord"))[0])
    assert outcome.kind is Kind.FAILURE
    assert "the chord has no body" in outcome.text


def test_results_of_callbacks_can_be_waited_for_through_their_handle(app, calls):
    callback = Signature("note", app=app)
    handle = callback.freeze()
    run_all(app, sent_by(app, "add", 1, 2, link=callback))
    assert handle.get(timeout=1) is None
    store_result(app, "x", 1)
