"""What users are promised of a handle for one task."""

from __future__ import annotations

import asyncio
import copy
import pickle

import pytest

from celeriac import AsyncResult, Celeriac
from celeriac.exceptions import (
    IncompleteStream,
    TaskRevokedError,
    TimeoutError,  # noqa: A004 - the name is Celery's
    UnsupportedOption,
)
from celeriac.result import GroupResult, ResultSet, allow_join_result, denied_join_result
from tests.app.harness import make_app, store_result


def test_a_handle_without_an_id_is_refused(app):
    with pytest.raises(ValueError, match="id"):
        AsyncResult(None, app=app)


def test_get_returns_what_the_task_returned(app):
    store_result(app, "a", 5)
    assert AsyncResult("a", app=app).get() == 5


def test_get_waits_until_the_result_is_there(app, later):
    later(lambda: store_result(app, "a", 5))
    assert AsyncResult("a", app=app).get(timeout=10) == 5


def test_get_goes_on_waiting_while_the_task_only_tells_of_its_progress(app, later):
    store_result(app, "a", {"done": 1}, state="PROGRESS")
    later(lambda: store_result(app, "a", 5))
    assert AsyncResult("a", app=app).get(timeout=10) == 5


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_get_gives_up_when_its_time_is_over_and_zero_is_a_time(app, timeout):
    with pytest.raises(TimeoutError, match="task a has no result"):
        AsyncResult("a", app=app).get(timeout=timeout)


def test_get_with_no_time_takes_what_is_there(app):
    store_result(app, "a", 5)
    assert AsyncResult("a", app=app).get(timeout=0) == 5


def test_the_time_out_is_celerys_and_an_attribute(app):
    with pytest.raises(AsyncResult.TimeoutError):
        AsyncResult("a", app=app).get(timeout=0)


def test_wait_is_get(app):
    store_result(app, "a", 5)
    assert AsyncResult("a", app=app).wait(timeout=1) == 5


def test_a_failure_is_raised_as_itself(app):
    store_result(app, "a", KeyError("x"), state="FAILURE", traceback="Traceback ...")
    result = AsyncResult("a", app=app)
    with pytest.raises(KeyError, match="x"):
        result.get()
    assert result.failed()
    assert result.ready()
    assert result.traceback == "Traceback ..."


def test_a_failure_is_returned_when_it_is_not_to_be_raised(app):
    store_result(app, "a", KeyError("x"), state="FAILURE")
    value = AsyncResult("a", app=app).get(propagate=False)
    assert isinstance(value, KeyError)


def test_a_revoked_task_raises_that(app):
    store_result(app, "a", TaskRevokedError("expired"), state="REVOKED")
    with pytest.raises(TaskRevokedError, match="expired"):
        AsyncResult("a", app=app).get()


def test_the_traceback_of_the_task_is_shown_when_it_is_asked_for():
    app = make_app(task_remote_tracebacks=True)
    store_result(app, "a", KeyError("x"), state="FAILURE", traceback="in the worker")
    with pytest.raises(KeyError) as caught:
        AsyncResult("a", app=app).get()
    assert "in the worker" in str(caught.value.__cause__)
    app.close()


def test_callbacks_of_get_are_told(app):
    store_result(app, "a", 5)
    told = []
    AsyncResult("a", app=app).get(callback=lambda *pair: told.append(pair), on_message=lambda meta: told.append(meta))
    assert told[0]["status"] == "SUCCESS"
    assert told[1] == ("a", 5)


def test_on_interval_is_called_while_waiting(app):
    calls = []

    def on_interval():
        calls.append(1)
        if len(calls) == 3:
            store_result(app, "a", 5)

    assert AsyncResult("a", app=app).get(timeout=10, interval=0.001, on_interval=on_interval) == 5
    assert len(calls) == 3


def test_on_interval_does_not_stretch_the_time(app):
    with pytest.raises(TimeoutError):
        AsyncResult("a", app=app).get(timeout=0.01, interval=0.002, on_interval=lambda: None)


def test_an_ignored_result_is_none_at_once(app, counting):
    result = AsyncResult("a", app=app, ignored=True)
    assert result.get(timeout=None) is None
    assert counting.calls == []


def test_forget_deletes_it_and_its_parents(app):
    for name in "ab":
        store_result(app, name, 1)
    child = AsyncResult("b", app=app, parent=AsyncResult("a", app=app))
    assert child.get() == 1
    child.forget()
    assert app.store.results(["a", "b"]) == [None, None]
    assert child.state == "PENDING"


def test_a_failure_of_a_parent_is_raised_first(app):
    store_result(app, "a", ValueError("first"), state="FAILURE")
    store_result(app, "b", KeyError("second"), state="FAILURE")
    child = AsyncResult("b", app=app, parent=AsyncResult("a", app=app))
    with pytest.raises(ValueError, match="first"):
        child.get()
    with pytest.raises(KeyError):
        child.get(follow_parents=False)


def test_a_parent_that_fails_ends_the_wait_for_its_child(app, later):
    child = AsyncResult("c", app=app, parent=AsyncResult("b", app=app, parent=AsyncResult("a", app=app)))
    later(lambda: store_result(app, "a", ValueError("first"), state="FAILURE"))
    with pytest.raises(ValueError, match="first"):
        child.get(timeout=10)


def test_a_member_of_a_group_before_it_counts_as_a_parent(app):
    store_result(app, "a", ValueError("member"), state="FAILURE")
    group = GroupResult("g", [AsyncResult("a", app=app), AsyncResult("b", app=app)], app=app)
    with pytest.raises(ValueError, match="member"):
        AsyncResult("body", app=app, parent=group).get(timeout=0)


def test_waiting_inside_a_task_is_refused(app):
    store_result(app, "a", 5)
    result = AsyncResult("a", app=app)
    with denied_join_result():
        with pytest.raises(RuntimeError, match="inside a task"):
            result.get()
        assert result.get(disable_sync_subtasks=False) == 5
        with allow_join_result():
            assert result.get() == 5


# ----------------------------------------------------------------------------------------------------------------- then


def test_then_is_called_at_once_for_a_task_that_has_ended(app):
    store_result(app, "a", 5)
    told = []
    result = AsyncResult("a", app=app)
    assert result.then(told.append) is result
    assert told == [result]


def test_then_is_called_once_when_the_handle_learns_of_the_end(app):
    told = []
    result = AsyncResult("a", app=app).then(told.append)
    assert told == []
    store_result(app, "a", 5)
    result.get()
    result.get()
    assert told == [result]


def test_then_tells_failures_to_on_error_where_there_is_one(app):
    good, bad = [], []
    store_result(app, "a", KeyError(), state="FAILURE")
    AsyncResult("a", app=app).then(good.append, bad.append)
    AsyncResult("a", app=app).then(good.append)
    assert (len(good), len(bad)) == (1, 1)


# --------------------------------------------------------------------------------------------------------------- acting


def test_revoke_is_a_record_in_the_broker(app):
    AsyncResult("a", app=app).revoke(terminate=True, signal="KILL")
    asyncio.run(_revoked(app, ["a"], terminate=True))


async def _revoked(app: Celeriac, ids: list[str], terminate: bool = False) -> None:
    _, revocations = await (await app.async_store()).revocations()
    assert [each.task_id for each in revocations] == ids
    assert all(each.terminate is terminate for each in revocations)
    await app.aclose()


@pytest.mark.parametrize("option", [{"connection": object()}, {"wait": True}, {"timeout": 1.0}])
def test_what_revoke_cannot_honour_it_refuses(app, option):
    with pytest.raises(UnsupportedOption, match=next(iter(option))):
        AsyncResult("a", app=app).revoke(**option)


def test_get_leaf_is_the_value_of_the_last_task(app):
    store_result(app, "a", 1, children=[[["b", None], None]])
    store_result(app, "b", 2)
    result = AsyncResult("a", app=app)
    assert result.get_leaf() == 2
    assert [(str(node), value) for node, value in result.collect()] == [("a", 1), ("b", 2)]


def test_a_walk_over_a_tree_that_is_not_complete_says_so(app):
    store_result(app, "a", 1, children=[[["b", None], None]])
    with pytest.raises(IncompleteStream, match="b"):
        list(AsyncResult("a", app=app).iterdeps())
    assert [str(node) for _, node in AsyncResult("a", app=app).iterdeps(intermediate=True)] == ["a", "b"]


def test_collect_waits_for_each_task_of_the_tree(app, later):
    store_result(app, "a", 1, children=[[["b", None], None]])
    later(lambda: store_result(app, "b", 2, children=[[["c", None], None]]))
    later(lambda: store_result(app, "c", 3))
    collected = AsyncResult("a", app=app).collect(timeout=10)
    assert [(str(node), value) for node, value in collected] == [("a", 1), ("b", 2), ("c", 3)]


# ----------------------------------------------------------------------------------------------------------- as a value


def test_a_handle_survives_pickling_and_copying(app):
    result = AsyncResult("a", app=app, task_name="t", parent=AsyncResult("p", app=app), ignored=True)
    for other in (pickle.loads(pickle.dumps(result)), copy.copy(result)):
        assert (other.id, other.task_name, other.parent, other.ignored) == ("a", "t", "p", True)
    assert copy.copy(result).app is app


def test_as_list_goes_up_to_the_root(app):
    result = AsyncResult("c", app=app, parent=AsyncResult("b", app=app, parent=AsyncResult("a", app=app)))
    assert result.as_list() == ["c", "b", "a"]
    assert result.as_tuple() == (("c", (("b", (("a", None), None)), None)), None)


def test_the_app_may_be_given_in_celerys_place(app):
    @app.task
    def add(x, y):
        return x + y

    assert AsyncResult("a", backend=add).app is app
    assert add.AsyncResult("a").name == "tests.result.test_async_result.add"


# ------------------------------------------------------------------------------------------------------------ awaitable


async def test_everything_that_blocks_has_an_awaitable_twin(app):
    result = AsyncResult("a", app=app)
    assert (await result.astate(), await result.aexists(), await result.aready()) == ("PENDING", False, False)
    store_result(app, "a", KeyError("x"), state="FAILURE", traceback="tb", children=[[["b", None], None]])
    assert await result.aexists()
    assert await result.afailed()
    assert not await result.asuccessful()
    assert isinstance(await result.aresult(), KeyError)
    assert await result.atraceback() == "tb"
    assert await result.achildren() == ["b"]
    await result.aforget()
    assert await result.astate() == "PENDING"
    await result.arevoke()
    await _revoked(app, ["a"])


async def test_awaiting_a_result_waits_for_it(app):
    asyncio.get_running_loop().call_later(0.02, store_result, app, "a", 5)
    told = []
    assert await AsyncResult("a", app=app) == 5
    assert await AsyncResult("a", app=app).aget(callback=lambda *pair: told.append(pair)) == 5
    assert told == [("a", 5)]
    await app.aclose()


@pytest.mark.parametrize("timeout", [0, 0.01])
async def test_awaiting_ends_when_its_time_is_over(app, timeout):
    with pytest.raises(TimeoutError, match="task a has no result"):
        await AsyncResult("a", app=app).aget(timeout=timeout)
    await app.aclose()


async def test_awaiting_raises_the_failure_of_a_parent(app):
    child = AsyncResult("b", app=app, parent=AsyncResult("a", app=app))
    asyncio.get_running_loop().call_later(0.02, lambda: store_result(app, "a", ValueError("first"), state="FAILURE"))
    with pytest.raises(ValueError, match="first"):
        await child.aget(timeout=10)
    with pytest.raises(ValueError, match="first"):
        await child.aget(timeout=10)
    assert await AsyncResult("x", app=app, ignored=True) is None
    await app.aclose()


# ------------------------------------------------------------------------------------------------------------- disabled


@pytest.mark.parametrize(
    "act",
    [
        lambda result: result.get(timeout=0),
        lambda result: result.state,
        lambda result: result.children,
        AsyncResult.ready,
        AsyncResult.exists,
        lambda result: ResultSet([result]).get(timeout=0),
        lambda result: ResultSet([result]).ready(),
    ],
)
def test_without_a_result_backend_asking_names_the_setting(act):
    app = make_app(result_backend="disabled")
    with pytest.raises(NotImplementedError, match="set result_backend"):
        act(AsyncResult("a", app=app))
    AsyncResult("a", app=app).forget()
    app.close()


async def test_without_a_result_backend_awaiting_names_the_setting():
    app = make_app(result_backend="disabled")
    with pytest.raises(NotImplementedError, match="set result_backend"):
        await AsyncResult("a", app=app)
    with pytest.raises(NotImplementedError, match="set result_backend"):
        await AsyncResult("a", app=app).astate()
    await app.aclose()
