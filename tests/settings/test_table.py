from __future__ import annotations

import subprocess
import sys

import pytest

from celeriac.settings.future import FUTURE, FUTURE_OLD
from celeriac.settings.options import FUTURE_OPTIONS, OPTION_TABLES
from celeriac.settings.snapshot import Settings
from celeriac.settings.table import name_of, old_names, table


def test_every_field_of_the_snapshot_has_a_row() -> None:
    assert list(table()) == list(Settings.__struct_fields__)
    assert all(row.meaning.endswith(".") for row in table().values())


@pytest.mark.parametrize("name", sorted(table()))
def test_every_default_is_of_its_own_kind(name: str) -> None:
    row = table()[name]
    assert row.kind.parse(row.default) == row.default


def test_numbers_of_something_have_a_unit() -> None:
    assert table()["worker_lease"].unit == "seconds"
    assert table()["task_max_size"].unit == "bytes"
    assert table()["worker_max_memory_per_child"].unit == "KiB"
    assert table()["result_backend_base_sleep_between_retries_ms"].unit == "milliseconds"


def test_our_settings_have_an_environment_variable_and_no_old_name() -> None:
    ours = [row for row in table().values() if row.ours]
    assert "task_delivery_limit" in {row.name for row in ours}
    for row in ours:
        assert f"CELERIAC_{row.name.upper()}" in row.environment
        assert row.old == ""


def test_the_store_has_a_short_environment_variable_and_urls_have_those_of_celery() -> None:
    assert table()["store_path"].environment == ("CELERIAC_STORE", "CELERIAC_STORE_PATH")
    assert table()["broker_url"].environment == ("CELERIAC_BROKER_URL", "CELERY_BROKER_URL")
    assert table()["result_backend"].environment == ("CELERIAC_RESULT_BACKEND", "CELERY_RESULT_BACKEND")


def test_old_names_are_distinct_and_lead_to_the_new_ones() -> None:
    assert len(old_names()) == sum(1 for row in table().values() if row.old)
    assert name_of("CELERYD_CONCURRENCY") == "worker_concurrency"
    assert name_of("CELERY_ALWAYS_EAGER") == "task_always_eager"
    assert name_of("worker_concurrency") == "worker_concurrency"
    assert name_of("WORKER_CONCURRENCY") is None


def test_a_setting_is_either_supported_or_not_yet() -> None:
    assert not FUTURE & set(table())
    assert not FUTURE_OLD.keys() & old_names().keys()
    assert not any(FUTURE_OPTIONS & OPTION_TABLES[name].__annotations__.keys() for name in list(OPTION_TABLES)[:1])


def test_settings_follow_settings_that_exist_and_follow_none() -> None:
    for row in table().values():
        if row.follows:
            assert table()[row.follows].follows == ""


def test_the_groups_are_the_parts_of_celeriac() -> None:
    assert list(dict.fromkeys(row.group for row in table().values())) == [
        "general",
        "broker",
        "result",
        "task",
        "worker",
        "store",
    ]


def test_the_import_of_the_settings_does_not_build_the_table() -> None:
    program = (
        "import celeriac.settings, sys; from celeriac.settings.table import table; print(table.cache_info().misses)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
