"""``celeriac doctor``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..servers import redis_server
from .conftest import Project


def report(project: Project, *words: str) -> tuple[int, dict[str, Any]]:
    ran = project(*words, "doctor", "--json")
    assert ran.err == ""
    return ran.code, json.loads(ran.out)


def setting(found: dict[str, Any], name: str) -> tuple[Any, str] | None:
    rows = [(row["value"], row["origin"]) for row in found["settings"] if row["setting"] == name]
    return rows[0] if rows else None


def test_a_healthy_app_gets_a_clean_bill(project: Project) -> None:
    ran = project("doctor")
    assert ran.code == 0, ran
    for text in (f"{project.name}.add", "at least once", "store.sqlite3", "round trip", "Nothing is wrong."):
        assert text in ran.out


def test_each_setting_comes_with_where_it_was_set(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(
        """
        from celeriac import Celeriac
        app = Celeriac("shop", task_acks_late=True)
        app.conf.task_time_limit = 30
        app.config_from_object({"result_expires": 60})
        """
    )
    monkeypatch.setenv("CELERIAC_WORKER_LEASE", "20")
    _, found = report(project)
    assert setting(found, "task_acks_late") == (True, "Celeriac(...)")
    assert setting(found, "task_time_limit") == (30, "app.conf")
    assert setting(found, "result_expires") == (60, "config_from_object({...})")
    assert setting(found, "worker_lease") == (20, "environment variable CELERIAC_WORKER_LEASE")
    assert setting(found, "task_default_queue") is None


def test_all_settings_are_listed_on_demand(project: Project) -> None:
    ran = project("doctor", "--all")
    assert "task_default_queue" in ran.out
    assert "default" in ran.out


def test_an_error_is_the_exit_code(project: Project) -> None:
    project.write('from celeriac import Celeriac\napp = Celeriac("shop", task_time_limit=5, task_soft_time_limit=6)')
    ran = project("doctor")
    assert ran.code == 1
    assert "task_soft_time_limit, task_time_limit" in ran.out
    assert "1 error" in ran.out


def test_a_broker_that_cannot_be_reached_is_an_error_among_the_rest(project: Project) -> None:
    ran = project.run("-A", project.name, "-b", "redis://:hidden-word@127.0.0.1:1/0", "doctor")
    assert ran.code == 1
    assert "cannot reach" in ran.out
    assert f"{project.name}.add" in ran.out
    assert "hidden-word" not in ran.out + ran.err


def test_passwords_are_masked_everywhere(project: Project) -> None:
    with redis_server(password="hidden-word", appendonly=True) as server:
        ran = project.run("-A", project.name, "-b", server, "doctor")
        machine = project.run("-A", project.name, "-b", server, "doctor", "--json")
    assert ran.code == 0, ran
    assert "hidden-word" not in ran.out + machine.out
    assert "maxmemory-policy" in ran.out


def test_messages_and_results_in_two_places_are_both_looked_at(project: Project) -> None:
    with redis_server(appendonly=True) as server:
        ran = project.run("-A", project.name, "--result-backend", server, "doctor", "--json")
    found = json.loads(ran.out)
    assert "another store" in found["stores"]["results"]
    assert {"broker file", "results maxmemory-policy"} <= found["stores"]["facts"].keys()


def test_a_broker_inside_of_one_process_is_a_warning(project: Project) -> None:
    code, found = report(project, "-b", "memory://")
    assert code == 0
    assert [each["severity"] for each in found["findings"]] == ["warning"]
    assert "inside one process" in found["findings"][0]["text"]


def test_a_file_that_cannot_be_made_is_an_error(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.folder / "file").write_text("")
    monkeypatch.setenv("CELERIAC_STORE", str(project.folder / "file" / "store.sqlite3"))
    code, found = report(project)
    assert code == 1
    assert "store_path" in found["findings"][0]["text"]


def test_an_app_without_a_name_is_told_what_it_lacks(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("from celeriac import Celeriac\napp = Celeriac()")
    monkeypatch.delenv("CELERIAC_STORE")
    ran = project("doctor")
    assert ran.code == 1
    assert "has no name" in ran.err
    assert "Traceback" not in ran.err
