"""What users are promised of an application."""

from __future__ import annotations

import pickle
import sys

import pytest

from celeriac import AsyncResult, Celeriac, current
from celeriac.exceptions import ImproperlyConfigured, InvalidSetting, NotRegistered, UnknownSetting
from tests.app.harness import caught, make_app


def body(x=1):
    return x


# -------------------------------------------------------------------------------------------------------- configuration


def test_settings_come_from_an_object_a_mapping_or_a_module(tmp_path, monkeypatch):
    class Config:
        task_serializer = "pickle"
        other = 1

    (tmp_path / "own_config.py").write_text("task_serializer = 'yaml'\n")
    monkeypatch.syspath_prepend(tmp_path)
    for source, expected in ((Config, "pickle"), ({"task_serializer": "msgpack"}, "msgpack"), ("own_config", "yaml")):
        app = make_app()
        app.config_from_object(source)
        assert app.settings.task_serializer == expected
    del sys.modules["own_config"]


def test_a_source_is_read_when_a_setting_is_first_asked_for():
    app = make_app()
    app.config_from_object("no_such_module_at_all")
    app.task(body)
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        _ = app.settings


def test_a_source_is_read_at_once_when_it_is_forced():
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        make_app().config_from_object("no_such_module_at_all", force=True)


def test_a_namespace_is_the_prefix_of_the_names():
    app = make_app()
    app.config_from_object({"CELERY_TASK_SERIALIZER": "pickle", "OTHER": 1}, namespace="CELERY")
    assert app.settings.task_serializer == "pickle"


def test_the_module_may_be_named_by_the_environment(tmp_path, monkeypatch):
    (tmp_path / "env_config.py").write_text("task_serializer = 'yaml'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WHICH", "env_config")
    app = make_app()
    app.config_from_envvar("WHICH")
    assert app.settings.task_serializer == "yaml"
    with pytest.raises(ImproperlyConfigured, match="NO_SUCH_VARIABLE"):
        make_app().config_from_envvar("NO_SUCH_VARIABLE")
    del sys.modules["env_config"]


def test_settings_may_be_given_when_the_app_is_made_and_changed_later():
    app = Celeriac("proj", set_as_current=False, task_serializer="yaml", changes={"task_compression": "gzip"})
    assert (app.conf.task_serializer, app.conf.task_compression) == ("yaml", "gzip")
    app.conf.task_serializer = "pickle"
    app.conf.update(task_compression="bzip2")
    assert (app.settings.task_serializer, app.settings.task_compression) == ("pickle", "bzip2")


def test_defaults_are_below_all_that_is_set():
    app = make_app(task_serializer="yaml")
    app.add_defaults({"task_serializer": "pickle", "task_compression": "gzip"})
    app.add_defaults(lambda: {"task_ignore_result": True})
    assert (app.settings.task_serializer, app.settings.task_compression) == ("yaml", "gzip")
    assert app.settings.task_ignore_result is True


def test_an_unknown_setting_names_the_nearest():
    with pytest.raises(UnknownSetting, match="task_serializer"):
        _ = make_app(task_serialiser="json").settings
    with pytest.raises(InvalidSetting, match="task_max_size"):
        _ = make_app(task_max_size="big").settings


def test_receivers_are_told_around_the_reading_of_the_configuration():
    app = make_app()
    told = []
    app.on_configure.connect(lambda **kwargs: told.append("before"), weak=False)
    app.on_after_configure.connect(lambda source, **kwargs: told.append(source.task_serializer), weak=False)
    assert told == []
    _ = app.settings
    _ = app.settings
    assert told == ["before", "json"]


# --------------------------------------------------------------------------------------------------------- finalisation


def test_asking_for_the_tasks_finalises_the_app():
    app = make_app()
    told = []
    app.on_after_finalize.connect(lambda **kwargs: told.append(1), weak=False)
    assert not app.finalized
    assert app.tasks is app.tasks
    assert app.finalized
    app.finalize()
    assert told == [1]


def test_an_app_may_insist_on_being_finalised_by_hand():
    app = Celeriac("proj", broker="memory://by-hand", set_as_current=False, autofinalize=False)
    task = app.task(body)
    with pytest.raises(RuntimeError, match=r"call app\.finalize\(\)"):
        _ = app.tasks
    app.finalize()
    assert app.tasks[task.name] is task


def test_sending_by_name_finalises_nothing():
    app = make_app()
    with caught(app):
        app.send_task("proj.far")
    assert not app.finalized


# ---------------------------------------------------------------------------------------------------------------- tasks


def test_a_task_is_found_by_its_name(app):
    task = app.task(body)
    assert app.task_named(task.name) is app.tasks[task.name] is task
    with pytest.raises(NotRegistered, match=r"proj\.far"):
        app.task_named("proj.far")


def test_the_apps_base_class_belongs_to_it(app):
    class Own(app.Task):
        def run(self):
            return self.app

    assert app.register_task(Own())() is app


def test_the_current_task_is_told(app):
    @app.task(bind=True)
    def which(self):
        return app.current_task is self

    assert app.current_task is None
    assert which()


# -------------------------------------------------------------------------------------------------------------- sending


def test_send_task_uses_what_is_known_of_the_task(app):
    app.task(name="known", queue="images", priority=7, expires=60, time_limit=9)(body)
    with caught(app) as sent:
        app.send_task("known")
        app.send_task("known", expires=None, time_limit=None, priority=1)
        app.send_task("unknown")
    first, second, third = sent.messages
    assert (sent[0].queue, sent[0].priority, first.headers["timelimit"]) == ("images", 7, [9, None])
    assert first.headers["expires"] is not None
    assert (sent[1].priority, second.headers["expires"], second.headers["timelimit"]) == (1, None, [None, None])
    assert (sent[2].queue, third.headers["task"]) == ("celery", "unknown")


def test_a_batch_is_sent_in_one_step_at_its_end(app):
    task = app.task(body)
    with caught(app) as sent:
        with app.batch():
            results = [task.delay(n) for n in range(3)]
            assert sent == []
        assert [message.headers["id"] for message in sent.messages] == [result.id for result in results]


def test_a_batch_that_raises_sends_nothing(app):
    task = app.task(body)

    def fail_in_a_batch():
        with app.batch():
            task.delay()
            _ = 1 / 0

    with caught(app) as sent, pytest.raises(ZeroDivisionError):
        fail_in_a_batch()
    assert sent == []
    with caught(app) as sent, app.batch():
        pass
    assert sent == []


async def test_a_batch_and_a_call_by_name_have_awaitable_twins(app):
    task = app.task(body)
    async with app.abatch():
        await task.adelay(1)
        await app.asend_task("proj.far")
    store = await app.async_store()
    assert len(await store.peek("celery", 10)) == 2
    await app.aclose()


def test_handles_are_of_the_app(app):
    result = app.AsyncResult("a", task_name="t")
    assert isinstance(result, AsyncResult)
    assert (result.app, result.name) == (app, "t")
    assert app.ResultSet([result]).app is app
    group = app.GroupResult("g", [result], parent=result)
    assert (group.app, group.id, group.children, group.parent) == (app, "g", [result], result)


async def test_several_tasks_are_revoked_at_once(app):
    app.revoke(["a", "b"], terminate=True, signal="KILL")
    await app.arevoke("c")
    _, revocations = await (await app.async_store()).revocations()
    assert [each.task_id for each in revocations] == ["a", "b", "c"]
    await app.aclose()


# --------------------------------------------------------------------------------------------------------- its own life


def test_an_app_is_closed_by_its_block():
    with Celeriac("proj", broker="memory://block") as app:
        assert current.current_app() is app
        app.task(body).delay()
    assert current._default[0] is not app


async def test_an_app_is_closed_by_its_asynchronous_block():
    async with make_app() as app:
        await app.task(body).adelay()


def test_worker_main_wants_a_worker(app):
    with pytest.raises(ValueError, match="'worker'"):
        app.worker_main(["beat"])


def test_it_says_its_name(app):
    assert repr(app).startswith("<Celeriac proj at 0x")


def test_a_task_of_the_current_app_is_found_when_it_is_unpickled(app):
    task = app.task(name="t")(body)
    data = pickle.dumps(task)
    app.set_current()
    assert pickle.loads(data) is task
