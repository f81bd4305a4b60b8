"""The task registry."""

from __future__ import annotations

import pytest

from celeriac.exceptions import NotRegistered


def test_a_missing_task_is_named_with_the_nearest(app):
    app.task(name="proj.add")(lambda: None)
    with pytest.raises(NotRegistered) as caught:
        app.tasks["proj.adb"]
    assert caught.value.args == ("proj.adb",)
    assert caught.value.__notes__ == ["Did you mean 'proj.add'?"]
    with pytest.raises(KeyError):
        app.tasks["something else"]


def test_tasks_are_added_and_removed(app):
    task = app.task(name="proj.add")(lambda: None)
    app.tasks.unregister(task)
    assert "proj.add" not in app.tasks
    with pytest.raises(NotRegistered):
        app.tasks.unregister("proj.add")
    app.tasks.register(task)
    assert app.tasks["proj.add"] is task


def test_built_in_tasks_are_not_regular(app):
    app.task(name="celery.own")(lambda: None)
    app.task(name="celeriac.own")(lambda: None)
    app.task(name="proj.add")(lambda: None)
    assert list(app.tasks.regular()) == ["proj.add"]
