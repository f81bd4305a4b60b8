"""Tasks of every app."""

from __future__ import annotations

import pytest

from celeriac import Task, shared_task
from celeriac.app.task import CoroutineTask
from tests.app.harness import caught, make_app


def test_a_shared_task_belongs_to_apps_that_come_later():
    @shared_task
    def add(x, y):
        return x + y

    app = make_app()
    assert app.tasks["tests.app.test_shared.add"].app is app


def test_a_shared_task_belongs_to_apps_that_are_finalised_already():
    first, second = make_app(), make_app()
    first.finalize()
    second.finalize()

    @shared_task(name="late")
    def late():
        return 1

    for app in (first, second):
        assert app.tasks["late"].app is app


def test_it_stands_for_the_current_apps_copy():
    @shared_task(bind=True, max_retries=7)
    def whose(self):
        return self.app

    for app in (make_app(), make_app()):
        app.set_current()
        assert whose() is app
        assert whose.app is app
        assert whose.max_retries == 7
        assert whose.s().app is app
        with caught(app) as sent:
            whose.delay()
        assert sent.headers["task"] == "tests.app.test_shared.whose"


def test_it_says_to_be_a_task():
    make_app().set_current()

    @shared_task
    def plain():
        """Said."""

    @shared_task
    async def fetch():
        return 1

    assert isinstance(plain, Task)
    assert isinstance(fetch, CoroutineTask)
    assert plain.__doc__ == "Said."
    assert repr(plain) == "<@task: tests.app.test_shared.plain of proj>"


def test_an_attribute_is_set_on_the_copy():
    make_app().set_current()

    @shared_task
    def plain():
        return None

    plain.rate_limit = "1/s"
    assert plain.app.tasks[plain.name].rate_limit == "1/s"


def test_more_than_a_function_is_refused():
    with pytest.raises(TypeError):
        shared_task(print, print)
    with pytest.raises(TypeError, match="needs a function"):
        shared_task("name")


def test_tasks_of_one_app_are_in_the_others_unless_they_are_not_shared():
    one = make_app()

    @one.task(name="shared")
    def shared():
        return 1

    @one.task(name="own", shared=False)
    def own():
        return 1

    other = make_app()
    assert other.tasks["shared"].app is other
    assert "own" not in other.tasks
    assert one.tasks["shared"] is shared


def test_a_shared_task_does_not_displace_an_apps_own():
    one, other = make_app(), make_app()

    @other.task(name="same", shared=False)
    def own():
        return "own"

    @one.task(name="same")
    def shared():
        return "shared"

    assert other.tasks["same"]() == "own"
