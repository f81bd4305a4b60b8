"""What a handle tells of the document that is stored for its task."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import pytest

from celeriac import AsyncResult
from celeriac.exceptions import DecodeError
from celeriac.result import GroupResult
from celeriac.stores.store import ResultRecord
from tests.app.harness import store_result


def test_an_unknown_task_is_pending(app):
    result = AsyncResult("nowhere", app=app)
    assert (result.state, result.result, result.traceback, result.children) == ("PENDING", None, None, None)
    assert not result.ready()
    assert not result.exists()
    assert not result.successful()
    assert not result.failed()


def test_a_retried_task_tells_why_and_is_not_ready(app):
    store_result(app, "a", OSError("again"), state="RETRY")
    result = AsyncResult("a", app=app)
    assert isinstance(result.info, OSError)
    assert not result.ready()


def test_what_is_final_is_read_once(app, counting):
    store_result(app, "a", 5)
    result = AsyncResult("a", app=app)
    counting.calls.clear()
    assert (result.state, result.result, result.get(), result.ready()) == ("SUCCESS", 5, 5, True)
    assert len(counting.calls) == 1


def test_what_is_not_final_is_read_again(app):
    result = AsyncResult("a", app=app)
    assert result.state == "PENDING"
    store_result(app, "a", 1, state="STARTED")
    assert result.state == "STARTED"


def test_extended_documents_are_read(app):
    done = datetime(2030, 1, 1, tzinfo=UTC)
    extension = {"name": "t", "args": [1], "kwargs": {"y": 2}, "worker": "w@h", "retries": 3, "queue": "q"}
    store_result(app, "a", 5, date_done=done.isoformat(), **extension)
    result = AsyncResult("a", app=app)
    assert {name: getattr(result, name) for name in extension} == extension
    assert result.date_done == done
    assert result.date_done.utcoffset() == timedelta(0)


def test_children_are_results_again_groups_too(app):
    store_result(app, "a", 5, children=[[["b", None], None], [["g", ["a", None]], [[["c", None], None]]]])
    child, group = AsyncResult("a", app=app).children
    assert child == AsyncResult("b", app=app)
    assert isinstance(group, GroupResult)
    assert (group.id, [str(each) for each in group.results]) == ("g", ["c"])


@pytest.mark.parametrize("children", [[1], [["b"]], [[[1, None], None]], [[["b", None], [3]]]])
def test_damaged_children_are_an_error_that_says_so(app, children):
    store_result(app, "a", 5, children=children)
    with pytest.raises(DecodeError, match="task a"):
        _ = AsyncResult("a", app=app).children


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b'{"status": 3}', b'{"result": 1}', b'{"status": []}'])
def test_a_damaged_document_is_an_error_that_says_so(app, payload):
    app.store.store_results([ResultRecord("a", payload, "SUCCESS")])
    with pytest.raises(DecodeError):
        _ = AsyncResult("a", app=app).state


def test_a_result_of_another_serializer_is_not_accepted_in_silence(app):
    app.store.store_results([ResultRecord("a", pickle.dumps({"status": "SUCCESS"}), "SUCCESS")])
    with pytest.raises(DecodeError):
        AsyncResult("a", app=app).get(timeout=0)


def test_maybe_throw_raises_only_what_failed(app):
    assert AsyncResult("a", app=app).maybe_throw() is None
    store_result(app, "a", KeyError("x"), state="FAILURE")
    with pytest.raises(KeyError):
        AsyncResult("a", app=app).maybe_reraise()
    assert isinstance(AsyncResult("a", app=app).maybe_throw(propagate=False), KeyError)


def test_a_handle_equals_its_id_and_is_a_key(app):
    result = AsyncResult("a", app=app)
    assert result == AsyncResult("a", app=app) == "a"
    assert result != AsyncResult("b", app=app)
    assert result != 3
    assert {result: 1}["a"] == 1
    assert str(result) == "a"
    assert repr(result) == "<AsyncResult: a>"
