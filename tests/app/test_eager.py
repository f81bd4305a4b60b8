"""Running a call in the caller's process (behaviours.md, section R)."""

from __future__ import annotations

import asyncio
import threading

import pytest

from celeriac import EagerResult, Signature
from celeriac.exceptions import AlwaysEagerIgnored, EncodeError
from tests.app.harness import caught, make_app


@pytest.fixture
def eager():
    """An app with task_always_eager."""
    app = make_app(task_always_eager=True)
    yield app
    app.close()


def add(x, y):
    return x + y


def test_apply_runs_the_task_at_once(app):
    with caught(app) as sent:
        result = app.task(add).apply((1,), {"y": 2}, task_id="mine")
    assert isinstance(result, EagerResult)
    assert (result.get(), result.state, result.id, result.name) == (3, "SUCCESS", "mine", "tests.app.test_eager.add")
    assert sent == []


def test_a_failure_is_told_by_the_result_with_its_traceback(app):
    result = app.task(add).apply((1, "2"))
    assert result.state == "FAILURE"
    assert "in add" in result.traceback
    with pytest.raises(TypeError):
        result.get()


@pytest.mark.parametrize(
    ("given", "setting", "raises"), [(True, False, True), (False, True, False), (None, True, True)]
)
def test_a_failure_is_raised_when_it_is_asked_for(app, given, setting, raises):
    app.conf.task_eager_propagates = setting
    task = app.task(add)
    if raises:
        with pytest.raises(TypeError):
            task.apply((1, "2"), throw=given)
    else:
        assert task.apply((1, "2"), throw=given).state == "FAILURE"


def test_delay_raises_what_propagates(eager):
    eager.conf.task_eager_propagates = True
    with pytest.raises(TypeError):
        eager.task(add).delay(1, "2")


def test_a_result_need_not_be_serializable(app):
    value = object()
    assert app.task(name="t")(lambda: value).apply().get() is value


def test_arguments_pass_through_the_serializer_as_if_they_were_sent(eager):
    task = eager.task(name="t")(lambda x: x)
    assert task.delay((1, 2)).get() == [1, 2]
    with pytest.raises(EncodeError):
        task.delay(object())
    assert task.apply(((1, 2),)).get() == (1, 2)
    assert task.apply_async(((1, 2),), serializer="pickle").get() == (1, 2)
    assert eager.task(name="u", serializer="pickle")(lambda x: x).delay((1, 2)).get() == (1, 2)


def test_the_request_says_that_it_is_eager(app):
    @app.task(bind=True)
    def task(self):
        return self.request

    request = task.apply(headers={"x_own": 1, "get": 2}, retries=3, priority=4).get()
    assert request.is_eager
    assert not request.called_directly
    assert (request.delivery_info["is_eager"], request.delivery_info["priority"]) == (True, 4)
    assert (request.retries, request.x_own, request.headers) == (3, 1, {"x_own": 1, "get": 2})
    assert callable(request.get)


def test_a_call_within_a_call_knows_its_parent_and_root(eager):
    @eager.task(bind=True)
    def inner(self):
        return self.request.root_id, self.request.parent_id

    @eager.task(bind=True)
    def outer(self):
        return inner.delay().get(disable_sync_subtasks=False)

    assert outer.apply_async(task_id="root").get() == ("root", "root")


def test_waiting_for_a_sent_task_inside_a_task_is_refused_as_in_a_worker(eager):
    inner = eager.task(name="inner")(lambda: 1)

    @eager.task
    def outer():
        return inner.delay().get()

    with pytest.raises(RuntimeError, match="inside a task"):
        outer.delay().get()
    assert inner.delay().get() == 1


def test_retries_run_at_once_whatever_their_countdown(eager):
    runs = []

    @eager.task(bind=True)
    def task(self, x):
        runs.append((self.request.retries, self.request.id))
        if len(runs) < 3:
            raise self.retry(countdown=3600)
        return x

    assert task.apply_async((5,), task_id="a").get() == 5
    assert runs == [(0, "a"), (1, "a"), (2, "a")]


def test_callbacks_run_too_and_get_the_result(app):
    seen = []
    note = app.task(name="note")(lambda *args: seen.append(args))
    app.task(add).apply((1, 2), link=[note.s(), note.si("fixed"), dict(note.s("more"))])
    assert seen == [(3,), ("fixed",), (3, "more")]


@pytest.mark.parametrize("propagates", [False, True])
def test_errbacks_run_too_in_both_forms_before_the_error_is_raised(app, propagates):
    seen = []

    @app.task
    def by_id(task_id):
        seen.append(task_id)

    @app.task
    def by_request(request, error, traceback):
        seen.append((request.id, type(error), "TypeError" in traceback))

    task = app.task(add)
    if propagates:
        with pytest.raises(TypeError):
            task.apply((1, "2"), link_error=[by_id.s(), by_request.s()], task_id="a", throw=True)
    else:
        task.apply((1, "2"), link_error=[by_id.s(), by_request.s()], task_id="a")
    assert seen == ["a", ("a", TypeError, True)]


@pytest.mark.parametrize("store", [False, True])
def test_results_are_stored_only_when_that_is_asked_for(app, store):
    app.conf.task_store_eager_result = store
    good, bad = app.task(add).apply((1, 2)), app.task(add).apply((1, "2"))
    assert app.AsyncResult(good.id).state == ("SUCCESS" if store else "PENDING")
    assert app.AsyncResult(bad.id).state == ("FAILURE" if store else "PENDING")


def test_options_it_does_not_know_are_refused(app, eager):
    with pytest.raises(TypeError, match="did you mean 'countdown'"):
        app.task(add).apply((1, 2), countdwn=3)
    with pytest.raises(TypeError, match="did you mean 'countdown'"):
        eager.task(add).apply_async((1, 2), countdwn=3)


def test_send_task_is_not_eager_and_warns(eager):
    with caught(eager) as sent, pytest.warns(AlwaysEagerIgnored, match=r"proj\.far") as warned:
        eager.send_task("proj.far")
    assert sent.headers["task"] == "proj.far"
    assert warned[0].filename == __file__


def test_signatures_are_eager_too(eager):
    eager.task(name="add")(add)
    assert Signature("add", (1,), app=eager).delay(5).get() == 6
    assert eager.signature("add", (1, 2)).apply().get() == 3


# ----------------------------------------------------------------------------------------------------------- coroutines


async def test_a_coroutine_runs_in_the_callers_loop_when_that_awaits_it(eager):
    loop = asyncio.get_running_loop()

    @eager.task
    async def where():
        await asyncio.sleep(0)
        return asyncio.get_running_loop() is loop

    eager.task(name="plain")(add)
    eager.conf.task_eager_propagates = True
    seen = []
    eager.task(name="note")(seen.append)
    result = await where.aapply_async(link=eager.signature("note"))
    assert seen == [True]
    assert await result


async def test_a_coroutine_runs_in_a_loop_of_its_own_when_it_is_called_from_one(app):
    @app.task
    async def where():
        await asyncio.sleep(0)
        return threading.current_thread() is threading.main_thread()

    assert where.apply().get() is False


def test_a_coroutine_runs_where_there_is_no_loop(app):
    @app.task
    async def where():
        await asyncio.sleep(0)
        return threading.current_thread() is threading.main_thread()

    assert where.apply().get() is True


async def test_what_ends_a_process_reaches_the_caller_from_the_other_thread(app):
    @app.task
    async def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        leave.apply()
