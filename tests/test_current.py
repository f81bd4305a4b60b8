"""Which app and which task are current."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import celeriac
from celeriac import Celeriac, Task, current
from celeriac.app.context import Context
from tests.app.harness import make_app


def in_a_thread(act: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    thread.join()
    return found[0]


def test_the_app_that_was_made_last_is_current_in_every_thread():
    first, second = Celeriac("first"), Celeriac("second")
    assert current.current_app() is second
    first.set_current()
    assert current.current_app() is first
    assert in_a_thread(current.current_app) is first


def test_an_app_may_ask_not_to_be_current():
    first = Celeriac("first")
    make_app()
    assert current.current_app() is first


def test_without_any_app_there_is_one_named_default():
    current.set_current_app(None)
    fallback = current.current_app()
    assert fallback.main == "default"
    assert current.current_app() is fallback


def test_a_closed_app_is_current_no_more():
    first = Celeriac("first")
    assert first in current.active_apps
    first.close()
    assert current.current_app() is not first
    assert first not in current.active_apps


def test_a_default_app_is_used_where_no_other_is():
    here, default = Celeriac("here"), make_app(main="default one")
    default.set_default()
    assert current.current_app() is here
    assert in_a_thread(current.current_app) is default


def test_the_names_in_the_package_follow_what_is_current():
    from celeriac import current_app, current_task

    app = Celeriac("one")
    assert current_app == app
    assert isinstance(current_app, Celeriac)
    assert current_app.main == "one"
    other = Celeriac("two")
    assert current_app == other
    assert current_app != app
    assert hash(current_app) == hash(other)
    assert repr(current_app) == repr(other)
    assert "task" in dir(current_app)
    current_app.strict_typing = False
    assert other.strict_typing is False
    current_app.own = 1
    del current_app.own
    assert not hasattr(other, "own")
    assert not current_task
    with pytest.raises(AttributeError):
        _ = celeriac.no_such_name

    @other.task(name="t")
    def task() -> Any:
        assert current_task
        assert isinstance(current_task, Task)
        return current_task.name, current_app.current_task

    assert task() == ("t", task)


def test_requests_are_entered_and_left():
    app = make_app()
    task: Any = app.task(name="t")(lambda: None)
    other: Any = app.task(name="u")(lambda: None)
    assert current.current_task() is None
    assert current.current_context() is None
    worker, direct = Context(id="a", called_directly=False), Context(id="b")
    token = current.push_request(task, worker)
    assert current.current_worker_task() is task
    inner = current.push_request(other, direct)
    assert (current.current_task(), current.current_context()) == (other, direct)
    assert (current.current_worker_task(), current.current_worker_context()) == (task, worker)
    assert (task.request, other.request) == (worker, direct)
    current.pop_request(inner)
    current.pop_request(token)
    assert current.current_worker_task() is None
    task.push_request(id="c")
    assert task.request.id == "c"
    assert task.pop_request().id == "c"
    assert task.pop_request() is None


async def test_each_coroutine_sees_its_own_request():
    task: Any = make_app().task(name="t")(lambda: None)
    both = asyncio.Barrier(2)

    async def call(number: int) -> int:
        token = current.push_request(task, Context(id=number))
        await both.wait()
        seen: int = task.request.id
        current.pop_request(token)
        return seen

    assert await asyncio.gather(call(1), call(2)) == [1, 2]
