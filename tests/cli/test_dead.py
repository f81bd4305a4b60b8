"""``celeriac dead``."""

from __future__ import annotations

import json

import pytest

from celeriac import Celeriac

from .burying import bury, bury_raw
from .conftest import Project


@pytest.fixture
def app(project: Project) -> Celeriac:
    """An app on the project's store."""
    return Celeriac("shop", set_as_current=False)


def listed(project: Project, *options: str) -> list[dict[str, object]]:
    ran = project("dead", "list", "--json", *options)
    assert ran.code == 0, ran
    found: list[dict[str, object]] = json.loads(ran.out)
    return found


def test_without_dead_letters_it_says_so(project: Project) -> None:
    ran = project("dead", "list")
    assert ran.code == 0
    assert "no dead letters" in ran.err
    assert listed(project) == []


def test_the_table_names_task_queue_and_reason(project: Project, app: Celeriac) -> None:
    bury(app, "shop.add", [1, 2], "it was [red]rejected")
    ran = project("dead", "list")
    assert "shop.add" in ran.out
    assert "it was [red]rejected" in ran.out
    assert "celery" in ran.out


def test_a_list_is_of_one_queue_and_no_longer_than_asked_for(project: Project, app: Celeriac) -> None:
    for number in range(3):
        bury(app, "shop.add", [number, 0])
    bury(app, "shop.fail", ["x"], queue="other")
    assert [each["task"] for each in listed(project, "--queue", "other")] == ["shop.fail"]
    assert len(listed(project, "--limit", "2")) == 2
    assert "--limit shows more" in project("dead", "list", "--limit", "2").err


def test_one_letter_is_shown_with_arguments_history_and_headers(project: Project, app: Celeriac) -> None:
    task_id = bury(app, "shop.add", [1, "two"], "it was rejected")
    (letter,) = listed(project)
    ran = project("dead", "show", str(letter["id"]))
    assert ran.code == 0
    for text in (task_id, "shop.add", "(1, 'two')", "it was rejected", "0 losses and 0 retries", "root_id"):
        assert text in ran.out
    assert json.loads(project("dead", "show", str(letter["id"]), "--json").out)["args"] == "(1, 'two')"


def test_a_letter_that_is_no_task_message_is_shown_all_the_same(project: Project, app: Celeriac) -> None:
    bury_raw(app, b"\xffgarbage")
    (letter,) = listed(project)
    ran = project("dead", "show", str(letter["id"]))
    assert ran.code == 0
    assert "unreadable" in ran.out
    assert "not a task message" in ran.out


def test_a_letter_in_a_format_that_is_not_accepted_shows_what_its_headers_say(project: Project, app: Celeriac) -> None:
    app.conf.accept_content = ["json", "pickle"]
    app.conf.task_serializer = "pickle"
    bury(app, "shop.add", [1, 2])
    (letter,) = listed(project)
    assert letter["args"] == "[1, 2]" or letter["args"] == "(1, 2)"
    assert "pickle" in str(letter["problem"])


def test_a_letter_that_does_not_exist_is_an_error(project: Project) -> None:
    ran = project("dead", "show", "nothing")
    assert ran.code == 1
    assert "no dead letter nothing" in ran.err


def test_a_replayed_letter_is_in_its_queue_again(project: Project, app: Celeriac) -> None:
    bury(app, "shop.add", [1, 2], queue="other")
    (letter,) = listed(project)
    ran = project("dead", "replay", str(letter["id"]))
    assert (ran.code, ran.out) == (0, "Replayed 1 dead letter.\n")
    assert listed(project) == []
    (counts,) = json.loads(project("queues", "-Q", "other", "--json").out)
    assert (counts["ready"], counts["dead"]) == (1, 0)


def test_all_letters_of_one_queue_are_replayed_and_the_others_stay(project: Project, app: Celeriac) -> None:
    for queue in ("one", "one", "two"):
        bury(app, "shop.add", [1, 2], queue=queue)
    assert project("dead", "replay", "--all", "--queue", "one").out == "Replayed 2 dead letters.\n"
    assert [each["queue"] for each in listed(project)] == ["two"]


def test_dropped_letters_are_gone(project: Project, app: Celeriac) -> None:
    bury(app, "shop.add", [1, 2])
    bury(app, "shop.add", [3, 4])
    newest = str(listed(project)[0]["id"])
    assert project("dead", "drop", newest).out == "Dropped 1 dead letter.\n"
    assert len(listed(project)) == 1
    assert project("dead", "drop", "--all", "--force").out == "Dropped 1 dead letter.\n"
    assert listed(project) == []


def test_dropping_all_asks_first(project: Project, app: Celeriac) -> None:
    bury(app, "shop.add", [1, 2])
    with project.process("-A", project.name, "dead", "drop", "--all") as process:
        assert process.wait() == 1
    assert len(listed(project)) == 1


def test_ids_that_do_not_exist_are_an_error(project: Project) -> None:
    ran = project("dead", "replay", "nothing")
    assert ran.code == 1
    assert "Replayed 0 dead letters." in ran.out


@pytest.mark.parametrize("words", [["replay"], ["replay", "x", "--all"], ["drop", "x", "--queue", "y"]])
def test_a_choice_must_be_clear(words: list[str], project: Project) -> None:
    ran = project("dead", *words)
    assert ran.code == 2
    assert "--all" in ran.err
