from __future__ import annotations

from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.settings import kinds
from celeriac.settings.kinds import Kind


def refusal(kind: Kind, value: object) -> str:
    with pytest.raises(ValueError, match=r"\S") as caught:
        kind.parse(value)
    return str(caught.value)


def test_text_is_not_a_number_and_the_message_says_what_to_write() -> None:
    assert refusal(kinds.SECONDS, "5") == '"5" is not a number of seconds; write 5'
    assert refusal(kinds.SECONDS, "soon") == '"soon" is not a number of seconds; write a number such as 15'


def test_a_timedelta_is_a_number_of_seconds() -> None:
    assert kinds.SECONDS.parse(timedelta(hours=1)) == 3600.0


@pytest.mark.parametrize("value", [True, None, float("nan"), [5], timedelta(seconds=-1), -0.5])
def test_what_is_no_duration_is_refused(value: object) -> None:
    refusal(kinds.SECONDS, value)


@pytest.mark.parametrize("value", [1, 0, "yes", None])
def test_only_true_and_false_are_booleans(value: object) -> None:
    refusal(kinds.BOOLEAN, value)


@pytest.mark.parametrize(("word", "value"), [("1", True), ("Yes", True), ("on", True), ("0", False), ("FALSE", False)])
def test_the_environment_has_words_for_booleans(word: str, value: bool) -> None:
    assert kinds.BOOLEAN.from_text(word) is value


def test_a_word_that_is_no_boolean_is_refused_from_the_environment() -> None:
    with pytest.raises(ValueError, match='"maybe" is not True or False'):
        kinds.BOOLEAN.from_text("maybe")


@given(st.integers(min_value=0))
def test_a_count_reads_every_whole_number_and_its_text(number: int) -> None:
    assert kinds.COUNT.parse(number) == number
    assert kinds.COUNT.from_text(f" {number} ") == number


@pytest.mark.parametrize("value", [1.5, "7", True, -1])
def test_a_count_refuses_anything_else(value: object) -> None:
    refusal(kinds.COUNT, value)


def test_a_list_of_names_becomes_a_tuple_and_a_single_text_is_refused() -> None:
    assert kinds.NAMES.parse(["json", "yaml"]) == ("json", "yaml")
    assert refusal(kinds.NAMES, "json") == '"json" is not a list of strings; write ["json"]'
    assert refusal(kinds.NAMES, ["json", 3]).startswith("3 is not a string")


def test_a_single_module_may_be_given_as_text() -> None:
    assert kinds.MODULES.parse("proj.tasks") == ("proj.tasks",)


def test_several_urls_are_joined_by_semicolons() -> None:
    assert kinds.URLS.parse(["redis://a", "redis://b"]) == "redis://a;redis://b"
    refusal(kinds.URLS, [])
    refusal(kinds.URLS, [1])


def test_a_path_object_is_a_path() -> None:
    assert kinds.PATH.parse(Path("/var/x.sqlite3")) == "/var/x.sqlite3"
    refusal(kinds.PATH, b"/var")


def test_time_zones_are_read_by_name_and_a_wrong_name_gets_a_suggestion() -> None:
    assert kinds.ZONE.parse("utc") is UTC
    assert kinds.ZONE.parse("Europe/Paris") == ZoneInfo("Europe/Paris")
    fixed = timezone(timedelta(hours=2))
    assert kinds.ZONE.parse(fixed) is fixed
    assert 'did you mean "Europe/Paris"?' in refusal(kinds.ZONE, "Europe/Pariss")


def test_priority_steps_are_sorted_and_distinct() -> None:
    assert kinds.STEPS.parse([6, 0, 3, 3]) == (0, 3, 6)
    assert kinds.STEPS.from_text("0, 5") == (0, 5)
    refusal(kinds.STEPS, [])
    refusal(kinds.STEPS, [-1])


@pytest.mark.parametrize(
    ("kind", "value", "converted"),
    [
        (kinds.SECONDS, "5", 5.0),
        (kinds.COUNT, "5", 5),
        (kinds.COUNT, 5.0, 5),
        (kinds.BOOLEAN, 1, True),
        (kinds.BOOLEAN, "no", False),
        (kinds.NAMES, "json", ("json",)),
    ],
)
def test_lenient_reading_converts_what_it_can_and_reports_it(kind: Kind, value: object, converted: Any) -> None:
    reports: list[str] = []
    assert kind.coerce(value, reports.append) == converted
    assert len(reports) == 1


def test_lenient_reading_reports_nothing_when_nothing_is_wrong() -> None:
    reports: list[str] = []
    assert kinds.COUNT.coerce(3, reports.append) == 3
    assert reports == []


def test_lenient_reading_refuses_what_stands_for_nothing() -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        kinds.COUNT.coerce("many", lambda _: None)


def test_a_long_wrong_value_is_shortened_in_the_message() -> None:
    assert len(refusal(kinds.COUNT, "x" * 10_000)) < 150
