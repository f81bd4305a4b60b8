from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings.sources import is_missing, locate, read_layer


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    made = types.ModuleType("settings_of_a_test")
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


def test_modules_attributes_and_classes_are_located(module: types.ModuleType) -> None:
    class Production:
        worker_concurrency = 4

    module.Production = Production  # type: ignore[attr-defined]  # a module made here
    assert locate("settings_of_a_test") is module
    assert locate("settings_of_a_test:Production") is Production
    assert locate("settings_of_a_test.Production") is Production
    assert locate("settings_of_a_test:Production.worker_concurrency") == 4


@pytest.mark.parametrize("path", ["no_such_module", "no_such.module", "settings_of_a_test.nothing", "celeriac:nothing"])
def test_what_is_not_there_is_an_import_error_that_names_it(path: str, module: types.ModuleType) -> None:
    with pytest.raises(ImportError) as caught:
        locate(path)
    assert is_missing(caught.value, path) == (":" not in path)


def test_a_path_that_ends_in_py_gets_a_note() -> None:
    with pytest.raises(ImportError) as caught:
        locate("proj/celeryconfig.py")
    assert 'write "proj.celeryconfig"' in "".join(caught.value.__notes__)


def test_a_module_that_misses_another_is_not_missing_itself() -> None:
    assert not is_missing(ModuleNotFoundError("No module named 'redis'", name="redis"), "proj.settings")
    assert is_missing(ModuleNotFoundError("No module named 'proj'", name="proj"), "proj.settings")


def test_old_names_are_read_under_their_new_ones() -> None:
    layer = read_layer({"CELERY_ACKS_LATE": True, "CELERYD_CONCURRENCY": 4}, "here")
    assert layer.values == {"task_acks_late": True, "worker_concurrency": 4}
    assert layer.origin_of("task_acks_late") == "here as CELERY_ACKS_LATE"


@pytest.mark.parametrize(
    ("settings", "rename"),
    [
        (
            {"CELERY_ACKS_LATE": 1, "BROKER_URL": "x", "CELERYD_CONCURRENCY": 4, "task_track_started": True},
            "task_track_started                   -> CELERY_TRACK_STARTED",
        ),
        (
            {"task_track_started": 1, "task_acks_late": 1, "worker_concurrency": 3, "BROKER_URL": "x"},
            "BROKER_URL                           -> broker_url",
        ),
    ],
)
def test_mixing_old_and_new_names_is_refused_with_the_renames_of_the_minority(
    settings: dict[str, Any], rename: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match="mixes the old names") as caught:
        read_layer(settings, "here")
    assert rename in str(caught.value)


def test_a_setting_given_in_both_spellings_is_no_mixture_and_the_new_one_counts() -> None:
    layer = read_layer({"BROKER_URL": "old", "broker_url": "new", "task_acks_late": True}, "here")
    assert layer.values["broker_url"] == "new"


@pytest.mark.parametrize("namespace", ["CELERY", "CELERY_"])
def test_with_a_namespace_the_prefixed_name_counts_before_the_plain_and_the_old_one(namespace: str) -> None:
    source = {"CELERY_TASK_ACKS_LATE": 1, "task_acks_late": 2, "CELERY_ACKS_LATE": 3}
    assert read_layer(source, "here", namespace).values["task_acks_late"] == 1
    del source["CELERY_TASK_ACKS_LATE"]
    assert read_layer(source, "here", namespace).values["task_acks_late"] == 2
    del source["task_acks_late"]
    assert read_layer(source, "here", namespace).values["task_acks_late"] == 3


def test_a_namespace_in_lower_case_has_settings_in_lower_case() -> None:
    source = {"celery_broker_url": "lower", "CELERY_BROKER_URL": "upper"}
    assert read_layer(source, "here", "celery").values["broker_url"] == "lower"


def test_djangos_time_zone_is_taken_when_there_is_no_other() -> None:
    assert read_layer({"TIME_ZONE": "Europe/Paris"}, "here", "CELERY").values["timezone"] == "Europe/Paris"
    both = {"TIME_ZONE": "Europe/Paris", "CELERY_TIMEZONE": "UTC"}
    assert read_layer(both, "here", "CELERY").values["timezone"] == "UTC"


def test_djangos_other_settings_are_none_of_our_business() -> None:
    source = {"INSTALLED_APPS": [], "DATABASES": {}, "BASE_DIR": "/", "CACHES": {}, "DEBUG": True}
    assert read_layer(source, "here", "CELERY").strangers == {}


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [("CELERY_TASK_ACK_LATE", "CELERY_TASK_ACKS_LATE"), ("CELRY_BROKER_URL", "CELERY_BROKER_URL")],
)
def test_a_typo_under_a_namespace_is_answered_in_the_style_of_the_namespace(spelled: str, meant: str) -> None:
    (stranger,) = read_layer({spelled: 1}, "here", "CELERY").strangers.values()
    assert stranger.spelled == spelled
    assert f'did you mean "{meant}"' in stranger.diagnosis.text


def test_helpers_in_a_module_are_no_strangers_and_typos_are(module: types.ModuleType) -> None:
    vars(module).update(
        os=sys,
        host="localhost",
        REDIS_URL="redis://h",
        helper=lambda: None,
        Base=object,
        broker_url="redis://h",
        task_ack_late=True,
    )
    layer = read_layer(module, "here")
    assert layer.values == {"broker_url": "redis://h"}
    assert list(layer.strangers) == ["task_ack_late"]


def test_the_variables_that_settings_are_made_of_are_no_strangers(module: types.ModuleType) -> None:
    names = "REDIS_HOST REDIS_DB redis_url default_exchange queues broker host port max_jobs region sep sentinel_kwargs"
    vars(module).update(dict.fromkeys(names.split(), "x"))
    assert read_layer(module, "here").strangers == {}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RESULT_BACKEND", "result_backend"),
        ("TASK_SERIALIZER", "task_serializer"),
        ("worker_acks_late", "task_acks_late"),
        ("worker_reject_on_worker_lost", "task_reject_on_worker_lost"),
        ("CELERY_BROKER_URL", "broker_url"),
        ("visibility_timeout", "broker_transport_options"),
    ],
)
def test_mistakes_seen_in_public_modules_are_found(name: str, meant: str, module: types.ModuleType) -> None:
    vars(module)[name] = "x"
    (stranger,) = read_layer(module, "here").strangers.values()
    assert stranger.diagnosis.certain
    assert meant in stranger.diagnosis.text


def test_settings_that_celery_has_given_up_are_strangers_in_a_module(module: types.ModuleType) -> None:
    vars(module)["CELERY_SEND_TASK_ERROR_EMAILS"] = True
    (stranger,) = read_layer(module, "here").strangers.values()
    assert not stranger.diagnosis.certain


def test_in_a_dictionary_every_unknown_name_is_a_stranger() -> None:
    assert set(read_layer({"host": "h", "beat_schedule": {}}, "here").strangers) == {"host", "beat_schedule"}


def test_a_setting_not_supported_yet_is_kept_under_its_new_name() -> None:
    assert set(read_layer({"CELERYBEAT_SCHEDULE": {}}, "here").strangers) == {"beat_schedule"}
    assert set(read_layer({"CELERY_BEAT_SCHEDULE": {}}, "here", "CELERY").strangers) == {"beat_schedule"}


def test_only_settings_are_read_from_an_object_so_that_its_other_properties_do_not_run() -> None:
    class Source:
        broker_url = "redis://h"

        @property
        def connection(self) -> object:
            raise AssertionError("was read")

    assert read_layer(Source(), "here").values == {"broker_url": "redis://h"}
