"""What users are promised of many results at once."""

from __future__ import annotations

import asyncio

import pytest

from celeriac import AsyncResult, EagerResult
from celeriac.exceptions import TimeoutError, UnsupportedOption  # noqa: A004 - the name is Celery's
from celeriac.result import GroupResult, ResultSet, allow_join_result, denied_join_result
from tests.app.harness import store_result


def handles(app, names="abc"):
    return [AsyncResult(name, app=app) for name in names]


def store_all(app, names="abc"):
    for number, name in enumerate(names):
        store_result(app, name, number)


@pytest.mark.parametrize("join", ["get", "join", "join_native"])
def test_values_come_in_the_order_of_the_results(app, later, join):
    later(lambda: store_all(app, "cba"))
    assert getattr(ResultSet(handles(app)), join)(timeout=10) == [2, 1, 0]


@pytest.mark.parametrize("join", ["get", "join", "join_native"])
def test_a_set_shares_one_time_among_its_results(app, join):
    store_result(app, "a", 0)
    with pytest.raises(TimeoutError):
        getattr(ResultSet(handles(app)), join)(timeout=0)
    with pytest.raises(TimeoutError):
        getattr(ResultSet(handles(app)), join)(timeout=0.01)


def test_a_time_out_says_how_many_are_lacking(app):
    store_result(app, "a", 0)
    with pytest.raises(TimeoutError, match="2 of 3 tasks have no result after 0 s: b, c"):
        ResultSet(handles(app)).get(timeout=0)


@pytest.mark.parametrize("join", ["get", "join", "join_native"])
def test_with_no_time_a_set_takes_what_is_there(app, join):
    store_all(app)
    assert getattr(ResultSet(handles(app)), join)(timeout=0) == [0, 1, 2]


@pytest.mark.parametrize("join", ["get", "join", "join_native"])
def test_an_empty_set_is_joined_at_once(app, join):
    assert getattr(ResultSet([], app=app), join)() == []


def test_join_native_fails_when_the_first_failure_comes(app, later):
    later(lambda: store_result(app, "c", KeyError("c"), state="FAILURE"))
    with pytest.raises(KeyError):
        ResultSet(handles(app)).join_native(timeout=10)


def test_join_fails_on_the_first_failure_in_order(app):
    store_result(app, "a", KeyError("a"), state="FAILURE")
    store_result(app, "b", ValueError("b"), state="FAILURE")
    with pytest.raises(KeyError):
        ResultSet(handles(app, "ab")).join(timeout=1)


@pytest.mark.parametrize("join", ["get", "join", "join_native"])
def test_failures_are_values_when_they_are_not_to_be_raised(app, join):
    store_result(app, "a", 0)
    store_result(app, "b", ValueError("b"), state="FAILURE")
    value, error = getattr(ResultSet(handles(app, "ab")), join)(timeout=1, propagate=False)
    assert value == 0
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("join", ["get", "join", "join_native"])
def test_a_callback_gets_the_values_instead(app, join):
    store_all(app)
    told = []
    assert getattr(ResultSet(handles(app)), join)(timeout=1, callback=lambda *pair: told.append(pair)) == []
    assert sorted(told) == [("a", 0), ("b", 1), ("c", 2)]


@pytest.mark.parametrize("join", ["get", "join", "join_native"])
def test_documents_are_told_as_they_come(app, join):
    store_all(app)
    told = []
    getattr(ResultSet(handles(app)), join)(timeout=1, on_message=told.append)
    assert sorted(meta["result"] for meta in told) == [0, 1, 2]


def test_on_interval_is_called_until_all_are_there(app):
    names = list("abc")
    results = ResultSet(handles(app))
    values = results.join_native(
        timeout=10, interval=0.001, on_interval=lambda: names and store_result(app, names.pop(), 1)
    )
    assert values == [1, 1, 1]


def test_waiting_for_a_set_inside_a_task_is_refused(app):
    store_all(app)
    results = ResultSet(handles(app))
    with denied_join_result():
        for join in (results.get, results.join, results.join_native):
            with pytest.raises(RuntimeError, match="inside a task"):
                join(timeout=1)
        assert results.get(timeout=1, disable_sync_subtasks=False) == [0, 1, 2]
        with allow_join_result():
            assert results.join(timeout=1) == [0, 1, 2]


def test_iter_native_yields_each_as_it_comes(app, later):
    store_result(app, "b", 1)
    coming = ResultSet(handles(app)).iter_native(timeout=10)
    task_id, meta = next(coming)
    assert (task_id, meta["result"]) == ("b", 1)
    later(lambda: store_all(app, "ac"))
    assert sorted(task_id for task_id, _ in coming) == ["a", "c"]


def test_several_handles_of_one_task_all_get_its_value(app, later):
    results = ResultSet(handles(app, "aab"))
    later(lambda: store_all(app, "ab"))
    assert results.get(timeout=10) == [0, 0, 1]


def test_ignored_and_eager_results_are_waited_for_by_nobody(app):
    store_result(app, "a", 1)
    ignored = AsyncResult("i", app=app, ignored=True)
    eager = EagerResult("e", 2, "SUCCESS", app=app)
    results = ResultSet([AsyncResult("a", app=app), ignored, eager])
    assert results.get(timeout=0) == [1, None, 2]
    assert results.join(timeout=0) == [1, None, 2]


@pytest.mark.parametrize("join", ["get", "join", "join_native"])
def test_a_group_in_a_set_gives_a_list(app, join):
    store_all(app, "abcd")
    inner = GroupResult("g", handles(app, "bc"), app=app)
    results = ResultSet([AsyncResult("a", app=app), inner, AsyncResult("d", app=app)])
    assert getattr(results, join)(timeout=0) == [0, [1, 2], 3]


# ------------------------------------------------------------------------------------------------------------ its state


def test_the_state_of_a_set_is_that_of_all_its_results(app):
    results = ResultSet(handles(app))
    assert results.waiting()
    assert not results.ready()
    assert not results.successful()
    assert results.completed_count() == 0
    store_all(app, "ab")
    assert results.completed_count() == 2
    assert not results.ready()
    store_result(app, "c", KeyError("c"), state="FAILURE")
    assert results.ready()
    assert results.failed()
    assert not results.successful()
    assert results.completed_count() == 2
    with pytest.raises(KeyError):
        results.maybe_throw()


def test_a_set_is_asked_in_one_round_trip_and_what_is_final_no_more(app, counting):
    results = ResultSet(handles(app))
    store_all(app, "ab")
    counting.calls.clear()
    results.ready()
    assert [ids for _, ids in counting.calls] == [["a", "b", "c"]]
    results.completed_count()
    assert [ids for _, ids in counting.calls][1:] == [["c"]]


def test_a_set_is_waited_for_with_one_wait(app, counting):
    store_all(app)
    counting.calls.clear()
    ResultSet(handles(app)).get(timeout=1)
    assert [name for name, _ in counting.calls] == ["wait"]


def test_maybe_throw_calls_back_for_what_did_not_fail(app):
    store_all(app)
    told = []
    ResultSet(handles(app)).maybe_reraise(callback=lambda *pair: told.append(pair))
    assert told == [("a", 0), ("b", 1), ("c", 2)]


def test_then_is_called_once_when_all_have_ended(app):
    told = []
    results = ResultSet(handles(app, "ab"))
    assert results.then(told.append) is results
    store_result(app, "a", 1)
    results.ready()
    assert told == []
    store_result(app, "b", 1)
    results.join(timeout=1)
    results.ready()
    assert told == [results]
    ResultSet(handles(app, "ab")).then(told.append)
    assert len(told) == 2


def test_then_tells_on_error_that_one_failed(app):
    told = []
    store_result(app, "a", 1)
    store_result(app, "b", KeyError(), state="FAILURE")
    ResultSet(handles(app, "ab")).then(lambda results: told.append("good"), lambda results: told.append("bad"))
    assert told == ["bad"]


# -------------------------------------------------------------------------------------------------------------- members


def test_members_are_added_once_and_taken_out_by_result_or_id(app):
    a, b, c = handles(app)
    results = ResultSet([a])
    results.add(b)
    results.add(AsyncResult("b", app=app))
    results.update([a, c])
    assert list(results) == [a, b, c]
    assert (len(results), results[1], bool(results)) == (3, b, True)
    results.remove("b")
    results.discard("b")
    results.discard(c)
    assert results.results == [a]
    with pytest.raises(KeyError):
        results.remove("b")
    members = results.results
    results.clear()
    assert members == []
    assert not results


def test_sets_are_equal_when_their_results_are(app):
    assert ResultSet(handles(app)) == ResultSet(handles(app))
    assert ResultSet(handles(app)) != ResultSet(handles(app, "ab"))
    assert ResultSet(handles(app)) != 3
    assert repr(ResultSet(handles(app, "ab"))) == "<ResultSet: [a, b]>"


def test_a_set_asks_the_app_of_its_results(app):
    assert ResultSet(handles(app)).app is app
    assert ResultSet([], app=app).app is app
    assert ResultSet(handles(app)).backend is app.backend


# --------------------------------------------------------------------------------------------------------------- acting


def test_forget_deletes_all_and_their_parents_in_one_step(app, counting):
    store_all(app, "abp")
    parent = AsyncResult("p", app=app)
    results = ResultSet([AsyncResult("a", app=app, parent=parent), AsyncResult("b", app=app, parent=parent)])
    results.ready()
    results.forget()
    assert counting.calls[-1] == ("forget", ["a", "b", "p"])
    assert results.waiting()


async def test_revoke_revokes_all_in_one_step(app):
    ResultSet([*handles(app, "ab"), GroupResult("g", handles(app, "c"), app=app)]).revoke(terminate=True)
    _, revocations = await (await app.async_store()).revocations()
    assert [each.task_id for each in revocations] == ["a", "b", "c"]
    with pytest.raises(UnsupportedOption):
        ResultSet(handles(app)).revoke(wait=True)
    await app.aclose()


async def test_a_set_has_awaitable_twins(app):
    results = ResultSet([*handles(app, "ab"), GroupResult("g", handles(app, "c"), app=app)])
    assert await results.awaiting()
    assert await results.acompleted_count() == 0
    asyncio.get_running_loop().call_later(0.02, store_all, app)
    assert await results == [0, 1, [2]]
    assert await results.ajoin(timeout=0) == [0, 1, [2]]
    assert await results.aready()
    assert await results.asuccessful()
    assert not await results.afailed()
    assert sorted([task_id async for task_id, _ in results.aiter_native(timeout=0)]) == ["a", "b", "c"]
    await results.aforget()
    assert not await results.aready()
    await results.arevoke()
    with pytest.raises(TimeoutError, match="3 of 3"):
        await results.aget(timeout=0)
    await app.aclose()
