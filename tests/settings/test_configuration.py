from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

import pytest

from celeriac.exceptions import CeleriacWarning, ImproperlyConfigured, InvalidSetting, UnknownSetting
from celeriac.settings import Configuration


def strict(**settings: Any) -> Configuration:
    return Configuration("celeriac", settings, environment={})


def lenient(**settings: Any) -> Configuration:
    return Configuration("celery", settings, environment={})


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    made = types.ModuleType("settings_of_a_test")
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


# ---------------------------------------------------------------------------------------------------- the mutable face


def test_items_and_attributes_are_the_same() -> None:
    conf = strict()
    conf.task_always_eager = True
    conf["worker_concurrency"] = 3
    assert conf["task_always_eager"] is True
    assert conf.worker_concurrency == 3


def test_old_names_stand_for_new_ones_on_both_sides() -> None:
    conf = strict()
    conf.CELERY_ACKS_LATE = False
    assert conf.task_acks_late is False
    conf.task_acks_late = True
    assert conf["CELERY_ACKS_LATE"] is True


def test_update_takes_mappings_and_keywords() -> None:
    conf = strict()
    conf.update({"task_acks_late": False}, worker_concurrency=3)
    assert (conf.task_acks_late, conf.worker_concurrency) == (False, 3)


def test_setdefault_sets_only_what_nobody_has_set() -> None:
    conf = strict(worker_concurrency=3)
    assert conf.setdefault("worker_concurrency", 9) == 3
    assert conf.setdefault("task_ignore_result", True) is True
    assert conf.snapshot().task_ignore_result is True


def test_what_was_set_can_be_taken_back() -> None:
    conf = strict(worker_concurrency=3)
    del conf.worker_concurrency
    assert conf.worker_concurrency is None
    conf.task_always_eager = True
    assert conf.pop("task_always_eager") is True
    assert conf.pop("task_always_eager", "nothing") == "nothing"
    with pytest.raises(KeyError):
        del conf["task_always_eager"]
    with pytest.raises(AttributeError):
        del conf.task_always_eager


def test_clear_takes_back_everything() -> None:
    conf = strict(worker_concurrency=3)
    conf.clear()
    assert conf.without_defaults() == {}


def test_before_anything_was_read_only_what_was_written_is_in_it_and_nothing_is_loaded() -> None:
    conf = strict(worker_concurrency=3)
    conf.config_from_object("no_such_module_at_all")
    assert "worker_concurrency" in conf
    assert "task_acks_late" not in conf


def test_after_loading_every_setting_is_in_it() -> None:
    conf = strict().finalize()
    assert "task_acks_late" in conf
    assert "CELERY_ACKS_LATE" in conf
    assert "nonsense" not in conf
    assert len(conf) == len(list(conf)) > 100


def test_reading_what_does_not_exist_says_what_was_meant() -> None:
    conf = strict()
    with pytest.raises(AttributeError, match='did you mean "task_acks_late"'):
        _ = conf.task_ack_late
    with pytest.raises(KeyError, match="task_acks_late"):
        conf["task_ack_late"]
    assert conf.get("task_ack_late", 5) == 5


def test_settings_that_follow_another_do_so_as_attributes_and_not_as_items() -> None:
    conf = strict(task_default_queue="main", broker_url="redis://h")
    assert (conf.task_default_exchange, conf["task_default_exchange"]) == ("main", None)
    assert conf.broker_read_url == "redis://h"


def test_unset_urls_read_as_none() -> None:
    assert (strict().broker_url, lenient().result_backend) == (None, None)


# ------------------------------------------------------------------------------------------------------------- mistakes


def test_an_unknown_setting_is_an_error_where_it_is_written() -> None:
    with pytest.raises(UnknownSetting, match=r'"task_ack_late" \(set in app.conf\).*did you mean "task_acks_late"\?$'):
        strict().task_ack_late = True
    with pytest.raises(UnknownSetting, match=r"set in Celeriac\(\.\.\.\)"):
        strict(task_ack_late=True)


def test_a_value_of_the_wrong_type_is_an_error_where_it_is_written_and_changes_nothing() -> None:
    conf = strict(worker_lease=20)
    with pytest.raises(InvalidSetting) as caught:
        conf.worker_lease = "5"
    assert str(caught.value) == 'worker_lease (set in app.conf): "5" is not a number of seconds; write 5.'
    assert conf.worker_lease == 20


def test_all_mistakes_of_a_source_are_told_at_once() -> None:
    conf = strict()
    conf.config_from_object({"task_ack_late": True, "worker_lease": "x", "worker_concurrency": 0})
    with pytest.raises(ImproperlyConfigured) as caught:
        conf.finalize()
    text = str(caught.value)
    assert text.startswith("3 settings are wrong:")
    assert all(name in text for name in ("task_acks_late", "worker_lease", "worker_concurrency"))
    assert "config_from_object({...})" in text


def test_a_source_with_mistakes_of_one_kind_raises_that_kind() -> None:
    conf = strict()
    conf.config_from_object({"worker_lease": "x", "worker_concurrency": 0})
    with pytest.raises(InvalidSetting, match="2 settings are wrong"):
        conf.finalize()


def test_a_wrong_secret_is_not_shown() -> None:
    with pytest.raises(InvalidSetting) as caught:
        strict(broker_url=["redis://user:pw12345@host/0", 3])
    assert "pw12345" not in str(caught.value)


def test_celery_warns_of_what_celeriac_refuses_and_names_the_line() -> None:
    conf = lenient()
    with pytest.warns(CeleriacWarning, match='did you mean "task_acks_late"') as caught:
        conf.task_ack_late = True
    assert caught[0].filename == __file__
    with pytest.warns(CeleriacWarning, match="is not a number of seconds") as caught:
        conf.update(worker_lease="5")
    assert caught[0].filename == __file__
    assert conf.snapshot().worker_lease == 5.0


def test_celery_ignores_a_value_that_it_can_make_nothing_of_and_says_so() -> None:
    conf = lenient()
    with pytest.warns(CeleriacWarning, match="It is ignored"):
        conf.task_time_limit = "soon"
    assert conf.snapshot().task_time_limit is None


def test_celery_keeps_settings_of_others_without_a_word() -> None:
    conf = lenient(my_company_flag=3)
    conf.config_from_object({"redbeat_redis_url": "redis://h", "CELERY_X_Y_Z": 1})
    assert (conf.my_company_flag, conf["redbeat_redis_url"], conf.get("CELERY_X_Y_Z")) == (3, "redis://h", 1)
    assert "redbeat_redis_url" in conf


def test_celery_keeps_what_is_not_supported_yet_under_its_new_name_and_warns() -> None:
    conf = lenient()
    with pytest.warns(CeleriacWarning, match="does not support yet"):
        conf.CELERYBEAT_SCHEDULE = {"a": 1}
    assert conf.beat_schedule == {"a": 1}


def test_a_snapshot_does_not_warn_again() -> None:
    conf = lenient()
    with pytest.warns(CeleriacWarning):
        conf.task_acks_late = "yes"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert conf.snapshot().task_acks_late is True


def test_none_is_as_good_as_not_given_where_the_type_has_no_none() -> None:
    conf = strict(task_serializer="yaml")
    conf.task_serializer = None
    assert conf.snapshot().task_serializer == "json"


# -------------------------------------------------------------------------------------------------------------- sources


def test_a_module_is_read_at_the_first_use(module: types.ModuleType) -> None:
    conf = strict()
    conf.config_from_object("settings_of_a_test")
    module.worker_concurrency = 7  # type: ignore[attr-defined]  # a module made here
    assert conf.worker_concurrency == 7
    assert conf.origin("worker_concurrency") == "config_from_object('settings_of_a_test')"


def test_a_missing_module_is_an_error_at_the_first_use_and_again_at_the_next() -> None:
    conf = strict()
    conf.config_from_object("no_such_module_at_all")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError) as caught:
            conf.snapshot()
    assert "It was named by config_from_object('no_such_module_at_all')." in caught.value.__notes__


def test_a_missing_module_may_be_silent_and_one_with_a_broken_import_never_is(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "broken_settings.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    conf = strict()
    conf.config_from_object("no_such_settings", silent=True)
    assert conf.worker_concurrency is None
    with pytest.raises(ModuleNotFoundError):
        conf.config_from_object("broken_settings", silent=True)


def test_force_reads_at_once() -> None:
    with pytest.raises(ModuleNotFoundError):
        strict().config_from_object("no_such_module_at_all", force=True)


def test_a_new_object_takes_the_place_of_the_former_and_not_of_what_was_written() -> None:
    conf = strict(task_track_started=True)
    conf.config_from_object({"task_acks_late": False})
    assert conf.task_acks_late is False
    conf.config_from_object({"worker_concurrency": 3})
    assert (conf.task_acks_late, conf.worker_concurrency, conf.task_track_started) == (True, 3, True)


def test_the_environment_names_the_module(module: types.ModuleType) -> None:
    module.worker_concurrency = 7  # type: ignore[attr-defined]  # a module made here
    conf = Configuration(environment={"PROJ_SETTINGS": "settings_of_a_test"})
    assert conf.config_from_envvar("PROJ_SETTINGS") is True
    assert conf.worker_concurrency == 7


def test_an_environment_variable_that_is_not_set_is_an_error_unless_silent() -> None:
    with pytest.raises(ImproperlyConfigured, match="PROJ_SETTINGS is not set"):
        strict().config_from_envvar("PROJ_SETTINGS")
    assert strict().config_from_envvar("PROJ_SETTINGS", silent=True) is False


def test_defaults_lie_below_everything_and_the_latest_counts_first() -> None:
    conf = strict()
    conf.add_defaults({"worker_concurrency": 1, "task_delivery_limit": 1})
    conf.add_defaults(lambda: {"worker_concurrency": 2})
    conf.config_from_object({"task_delivery_limit": 2})
    assert (conf.worker_concurrency, conf.task_delivery_limit) == (2, 2)
    assert conf.origin("worker_concurrency") == "add_defaults(...)"


def test_callbacks_surround_the_loading_and_may_write() -> None:
    conf = strict()
    stages: list[tuple[str, Any]] = []

    def callback(stage: str) -> None:
        stages.append((stage, conf.worker_concurrency))
        conf.task_track_started = True

    conf.on_load(callback)
    conf.config_from_object({"worker_concurrency": 7})
    assert conf.snapshot().task_track_started is True
    assert stages == [("before", None), ("after", 7)]


def test_a_module_that_reads_the_configuration_while_it_is_imported_sees_what_there_is(
    module: types.ModuleType,
) -> None:
    conf = strict(worker_concurrency=3)

    class Source:
        @property
        def task_track_started(self) -> bool:
            return bool(conf.worker_concurrency == 3)

    conf.config_from_object(Source())
    assert conf.task_track_started is True


def test_refresh_reads_the_object_again() -> None:
    class Source:
        worker_concurrency = 3

    conf = strict()
    conf.config_from_object(Source)
    assert conf.snapshot().worker_concurrency == 3
    Source.worker_concurrency = 4
    conf.refresh()
    assert conf.snapshot().worker_concurrency == 4


# ---------------------------------------------------------------------------------------------------------- environment


def test_celerys_variables_beat_attributes_and_snapshots_and_not_items() -> None:
    conf = Configuration(settings={"broker_url": "redis://set"}, environment={"CELERY_BROKER_URL": "redis://env"})
    assert conf.broker_url == "redis://env"
    assert conf.snapshot().broker_url == conf.snapshot().broker_write_url == "redis://env"
    assert conf["broker_url"] == conf.get("broker_url") == "redis://set"
    assert conf.origin("broker_url") == "environment variable CELERY_BROKER_URL"


def test_our_variable_beats_celerys_and_an_empty_one_counts_as_none() -> None:
    both = {"CELERIAC_RESULT_BACKEND": "memory://ours", "CELERY_RESULT_BACKEND": "memory://theirs"}
    assert Configuration(environment=both).snapshot().result_backend == "memory://ours"
    assert Configuration(environment={**both, "CELERIAC_RESULT_BACKEND": ""}).result_backend == "memory://theirs"


def test_our_settings_have_variables_of_their_types() -> None:
    conf = Configuration(
        environment={"CELERIAC_WORKER_LEASE": "7.5", "CELERIAC_TASK_DELIVERY_LIMIT": "0", "CELERIAC_STORE": "/x"}
    )
    settings = conf.snapshot()
    assert (settings.worker_lease, settings.task_delivery_limit, settings.store_path) == (7.5, 0, "/x")


def test_a_wrong_variable_is_an_error_that_names_it() -> None:
    conf = Configuration("celery", environment={"CELERIAC_WORKER_LEASE": "long"})
    with pytest.raises(InvalidSetting, match="environment variable CELERIAC_WORKER_LEASE"):
        conf.snapshot()


# ------------------------------------------------------------------------------------------------------------- snapshot


def test_a_snapshot_stays_the_same_until_something_is_written() -> None:
    conf = strict()
    first, version = conf.snapshot(), conf.version
    assert conf.snapshot() is first
    conf.task_always_eager = True
    assert conf.version > version
    assert conf.snapshot().task_always_eager is True
    assert first.task_always_eager is False


def test_a_write_that_changes_nothing_keeps_the_snapshot() -> None:
    conf = strict(task_always_eager=True)
    first = conf.snapshot()
    conf.task_always_eager = True
    assert conf.snapshot() is first


def test_values_have_the_types_of_the_snapshot() -> None:
    conf = strict(result_expires=timedelta(days=2), accept_content=["json", "yaml"], timezone="UTC")
    settings = conf.snapshot()
    assert (settings.result_expires, settings.accept_content, settings.timezone) == (172800.0, ("json", "yaml"), UTC)


def test_a_dictionary_that_was_given_stays_live() -> None:
    routes: dict[str, Any] = {}
    conf = strict(task_routes=routes)
    first, version = conf.snapshot(), conf.version
    assert conf.task_routes is routes
    conf.task_routes["t"] = {"queue": "q"}
    assert conf.snapshot().task_routes == {"t": {"queue": "q"}}
    assert first.task_routes == {}
    assert conf.version > version


def test_a_change_deep_inside_is_seen_as_well() -> None:
    conf = strict(task_routes={"t": {"queue": "a"}})
    first = conf.snapshot()
    conf.task_routes["t"]["queue"] = "b"
    assert conf.snapshot().task_routes == {"t": {"queue": "b"}}
    assert first.task_routes == {"t": {"queue": "a"}}


def test_reading_a_dictionary_without_changing_it_keeps_snapshot_and_version() -> None:
    conf = strict(task_routes={"t": "q"})
    first, version = conf.snapshot(), conf.version
    assert conf.task_routes == {"t": "q"}
    assert conf.snapshot() is first
    assert conf.version == version


def test_options_may_be_written_into_the_empty_default() -> None:
    conf = strict()
    assert conf.broker_transport_options == {}
    assert conf.origin("broker_transport_options") == "default"
    conf.broker_transport_options["visibility_timeout"] = 60
    assert conf.snapshot().broker_transport_options == {"visibility_timeout": 60.0}
    assert conf.origin("broker_transport_options") == "app.conf"
    assert strict().broker_transport_options == {}


def test_a_mistake_written_into_a_live_dictionary_is_found_at_the_next_snapshot() -> None:
    conf = strict(broker_transport_options={})
    conf.broker_transport_options["visibilty_timeout"] = 60
    with pytest.raises(InvalidSetting, match='did you mean "visibility_timeout"'):
        conf.snapshot()


# ----------------------------------------------------------------------------------------------------- showing settings


def test_the_origin_of_every_value_is_known(module: types.ModuleType) -> None:
    conf = Configuration("celery", {"task_delivery_limit": 1}, environment={"CELERY_BROKER_URL": "redis://h"})
    conf.config_from_object({"CELERYD_CONCURRENCY": 3})
    conf.task_always_eager = True
    assert conf.origin("task_delivery_limit") == "Celery(...)"
    assert conf.origin("worker_concurrency") == "config_from_object({...}) as CELERYD_CONCURRENCY"
    assert conf.origin("task_always_eager") == "app.conf"
    assert conf.origin("broker_url") == "environment variable CELERY_BROKER_URL"
    assert conf.origin("task_serializer") == "default"
    with pytest.raises(KeyError):
        conf.origin("nonsense")


def test_the_table_shows_what_was_set_with_secrets_masked() -> None:
    conf = strict(broker_url="redis://u:pw@h/0", worker_concurrency=3)
    assert conf.table() == {
        "broker_url": "redis://u:********@h/0",
        "worker_concurrency": 3,
    }
    assert conf.table(censored=False)["broker_url"] == "redis://u:pw@h/0"
    assert conf.table(with_defaults=True)["task_default_routing_key"] == "celery"


def test_humanize_is_the_table_as_lines() -> None:
    assert strict(worker_concurrency=3, task_serializer="json").humanize() == (
        "task_serializer: 'json'\nworker_concurrency: 3"
    )


def test_get_by_parts_joins_them() -> None:
    assert strict(task_acks_late=False).get_by_parts("task", "acks_late") is False
