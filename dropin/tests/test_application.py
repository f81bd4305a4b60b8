"""``from celery import Celery``: the constructor, Celery's defaults, loaders, fix-ups and parts."""

from __future__ import annotations

import os
import sys
import warnings

import pytest

from celeriac import Celeriac
from celeriac.exceptions import UnsupportedOption


def celery_app(*args, **options):
    from celery import Celery

    return Celery(*args, **{"set_as_current": False, **options})


def test_it_is_a_celeriac_application_with_celerys_defaults():
    app = celery_app("shop")
    assert isinstance(app, Celeriac)
    assert app.settings.broker_url == "amqp://guest@localhost//"
    assert app.settings.result_backend == "disabled://"
    assert app.settings.task_acks_late is False
    assert Celeriac("shop", set_as_current=False).settings.task_acks_late is True


def test_arguments_stand_where_celery_has_them():
    app = celery_app(
        "shop", None, "redis://results", broker="redis://tasks", include=["a"], changes={"timezone": "UTC"}
    )
    assert (app.main, app.settings.result_backend, app.settings.broker_url) == (
        "shop",
        "redis://results",
        "redis://tasks",
    )
    assert list(app.settings.include) == ["a"]


def test_any_setting_is_an_argument():
    assert celery_app("shop", task_always_eager=True).settings.task_always_eager is True


@pytest.mark.parametrize("part", ["amqp", "events", "log", "control"])
def test_parts_of_ones_own_are_refused(part):
    with pytest.raises(UnsupportedOption, match=rf"Celery\({part}=\.\.\.\) is not supported"):
        celery_app("shop", **{part: object})


def test_a_backend_as_a_class_is_refused():
    with pytest.raises(UnsupportedOption, match="chosen by URL"):
        celery_app("shop", backend=object)


def test_a_subclass_that_exchanges_a_part_is_refused():
    from celery import Celery

    class Mine(Celery):
        amqp_cls = "mine:AMQP"

    with pytest.raises(UnsupportedOption, match=r"Mine\.amqp_cls"):
        Mine("shop", set_as_current=False)


def test_a_subclass_can_choose_the_class_of_tasks():
    from celery import Celery, Task

    class MyTask(Task):
        pass

    class Mine(Celery):
        task_cls = MyTask

    app = Mine("shop", set_as_current=False)

    @app.task(shared=False)
    def add(x, y):
        return x + y

    assert isinstance(add, MyTask)
    assert issubclass(app.Task, MyTask)
    assert app.Task is app.Task


def test_a_namespace_in_configuration():
    app = celery_app("shop")
    app.config_from_object({"CELERY_TASK_ALWAYS_EAGER": True, "OTHER": 1}, namespace="CELERY")
    assert app.conf.task_always_eager is True


def test_a_setting_that_does_not_exist_is_warned_of():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        app = celery_app("shop", changes={"task_alway_eager": True})
        _ = app.settings
    assert any("task_always_eager" in str(each.message) for each in caught)


def test_the_fallback_app_takes_its_settings_from_celeryconfig(tmp_path, monkeypatch):
    (tmp_path / "celeryconfig.py").write_text("task_default_queue = 'from_file'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from celery import current_app

    assert current_app.main == "default"
    assert current_app.conf.task_default_queue == "from_file"
    sys.modules.pop("celeryconfig", None)


def test_an_environment_variable_names_the_configuration(tmp_path, monkeypatch):
    (tmp_path / "elsewhere.py").write_text("task_default_queue = 'from_elsewhere'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "elsewhere")
    assert celery_app("shop").conf.task_default_queue == "from_elsewhere"
    sys.modules.pop("elsewhere", None)


def test_a_loader_of_ones_own_hears_of_tasks():
    from celery.loaders.app import AppLoader

    heard = []

    class Listening(AppLoader):
        def on_task_init(self, task_id, task):
            heard.append(("begin", task.name))

        def on_process_cleanup(self):
            heard.append(("end",))

    app = celery_app("shop", loader=Listening, broker="memory://", backend="memory://")

    @app.task(shared=False, name="add")
    def add(x, y):
        return x + y

    assert type(app.loader) is Listening
    assert add.apply((2, 2)).get() == 4
    assert heard == [("begin", "add"), ("end",)]


def test_autodiscovery_without_packages_asks_the_fix_ups(tmp_path, monkeypatch):
    (tmp_path / "discovered").mkdir()
    (tmp_path / "discovered" / "__init__.py").write_text("")
    (tmp_path / "discovered" / "tasks.py").write_text("here = True")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Fixup:
        def __init__(self, app):
            pass

        def autodiscover_tasks(self):
            return ["discovered"]

    app = celery_app("shop", fixups=[Fixup])
    app.autodiscover_tasks()
    assert "discovered.tasks" not in sys.modules
    app.loader.import_default_modules()
    assert sys.modules.pop("discovered.tasks").here
    sys.modules.pop("discovered")


def test_revoking_through_control_reaches_the_result():
    app = celery_app("shop", broker="memory://", backend="memory://")
    app.control.revoke("some-id")
    with pytest.raises(UnsupportedOption, match="destination"):
        app.control.revoke("some-id", destination=["celery@host"])
    app.close()


def test_purging_through_control_counts_what_was_dropped():
    app = celery_app("purged", broker="memory://", backend="memory://")

    @app.task(shared=False)
    def add(x, y):
        return x + y

    for _ in range(3):
        add.delay(1, 1)
    assert app.control.purge() == 3
    assert app.control.purge() == 0
    app.close()


def test_replies_of_several_nodes_become_one_mapping():
    from celery.app.control import flatten_reply
    from celery.exceptions import DuplicateNodenameWarning

    assert flatten_reply([{"a": 1}, {"b": 2}]) == {"a": 1, "b": 2}
    with pytest.warns(DuplicateNodenameWarning, match="'a'"):
        flatten_reply([{"a": 1}, {"a": 2}])


def test_a_shared_task_belongs_to_the_current_app():
    from celery import Celery, shared_task

    @shared_task(name="shared.add")
    def add(x, y):
        return x + y

    app = Celery("shop", task_always_eager=True)
    assert add.delay(2, 2).get() == 4
    assert add.app is app
    assert "shared.add" in app.tasks


def test_settings_from_the_command_line():
    app = celery_app("shop")
    app.config_from_cmdline(["worker.concurrency=3", "task_always_eager=true"])
    assert (app.conf.worker_concurrency, app.conf.task_always_eager) == (3, True)


def test_the_report_of_a_bug_hides_passwords():
    report = celery_app("shop", broker="redis://:hush@localhost").bugreport()
    assert "hush" not in report
    assert "celeriac" in report


def test_the_time_is_aware_and_in_the_apps_zone():
    app = celery_app("shop", timezone="Europe/Berlin")
    assert str(app.timezone) == "Europe/Berlin"
    assert app.now().tzinfo is not None
    assert not app.uses_utc_timezone()
    assert celery_app("shop").uses_utc_timezone()


def test_a_worker_of_the_library_refuses_what_the_command_has_no_option_for():
    app = celery_app("shop")
    assert app.Worker(concurrency=2, queues=["a", "b"]).arguments == ["worker", "--concurrency", "2", "--queues", "a,b"]
    with pytest.raises(UnsupportedOption, match=r"Worker\(autoscale="):
        app.Worker(autoscale="10,3")


def test_worker_main_needs_the_word_worker():
    with pytest.raises(ValueError, match="needs 'worker'"):
        celery_app("shop").worker_main(["--loglevel=INFO"])


def test_the_version_is_celerys_and_names_ours():
    import celery

    assert celery.__version__ == "5.7.0"
    assert celery.VERSION[:3] == (5, 7, 0)
    assert "celeriac" in celery.VERSION_BANNER
    assert os.path.basename(celery.__file__) == "celery.py"


def test_green_pools_are_refused_before_anything_is_patched():
    from celery import maybe_patch_concurrency

    maybe_patch_concurrency(["celery", "worker", "-P", "threads"])
    for arguments in (["worker", "-P", "gevent"], ["worker", "--pool=eventlet"]):
        with pytest.raises(UnsupportedOption, match="not in this release"):
            maybe_patch_concurrency(arguments)
