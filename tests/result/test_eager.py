"""What users are promised of a result that is there already."""

from __future__ import annotations

import copy
import pickle

import pytest

from celeriac import EagerResult
from celeriac.exceptions import Ignore, TaskRevokedError
from celeriac.result import denied_join_result


def test_it_is_there_without_any_store(app, counting):
    result = EagerResult("a", 5, "SUCCESS", name="t", app=app)
    assert (result.get(), result.wait(), result.state, result.result, result.ready()) == (5, 5, "SUCCESS", 5, True)
    assert (result.successful(), result.failed(), result.name, result.traceback) == (True, False, "t", None)
    result.forget()
    assert result.get() == 5
    assert counting.calls == []


def test_a_failure_is_raised_or_returned(app):
    result = EagerResult("a", KeyError("x"), "FAILURE", "tb", app=app)
    with pytest.raises(KeyError):
        result.get()
    assert isinstance(result.get(propagate=False), KeyError)
    assert result.traceback == "tb"


def test_a_failure_without_an_exception_is_raised_all_the_same(app):
    with pytest.raises(Exception, match="broken"):
        EagerResult("a", "broken", "FAILURE", app=app).get()


def test_a_task_that_ended_without_a_value_gives_none(app):
    assert EagerResult("a", Ignore(), "IGNORED", app=app).get() is None


def test_revoking_it_says_so_afterwards(app):
    result = EagerResult("a", 5, "SUCCESS", app=app)
    result.revoke()
    assert result.state == "REVOKED"
    with pytest.raises(TaskRevokedError):
        result.get()


def test_one_that_stands_for_a_sent_task_refuses_to_wait_inside_a_task(app):
    with denied_join_result():
        assert EagerResult("a", 5, "SUCCESS", app=app).get() == 5
        sent = EagerResult("a", 5, "SUCCESS", app=app, sent=True)
        with pytest.raises(RuntimeError, match="inside a task"):
            sent.get()
        assert sent.get(disable_sync_subtasks=False) == 5


def test_then_is_called_at_once(app):
    told = []
    EagerResult("a", 5, "SUCCESS", app=app).then(told.append)
    EagerResult("b", KeyError(), "FAILURE", app=app).then(told.append, lambda result: told.append("bad"))
    assert told == ["a", "bad"]


def test_it_survives_pickling_and_copying(app):
    result = EagerResult("a", 5, "SUCCESS", "tb", "t", app=app)
    for other in (pickle.loads(pickle.dumps(result)), copy.copy(result)):
        assert (other.id, other.get(), other.state, other.traceback, other.name) == ("a", 5, "SUCCESS", "tb", "t")


async def test_it_can_be_awaited(app):
    result = EagerResult("a", 5, "SUCCESS", app=app)
    assert await result == await result.aget(timeout=1) == 5
    assert await result.astate() == "SUCCESS"
    await result.aforget()
    await result.arevoke()
    with pytest.raises(TaskRevokedError):
        await result
