from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from celeriac.settings.derivation import OptionsKind, kind_of
from celeriac.settings.setting import Seconds
from celeriac.settings.table import table

TRANSPORT = table()["broker_transport_options"].kind
RETRY = table()["task_publish_retry_policy"].kind


def test_an_optional_type_takes_none_and_says_so() -> None:
    kind = kind_of(Seconds | None)
    assert kind.parse(None) is None
    assert kind.optional
    with pytest.raises(ValueError, match=r'^"x" is not a number of seconds or None; write a number such as 15$'):
        kind.parse("x")


def test_none_is_text_for_none_in_the_environment_where_the_type_has_it() -> None:
    assert kind_of(Seconds | None).from_text("None") is None


def test_a_choice_suggests_the_nearest_value() -> None:
    kind = kind_of(Literal["hold", "reject"])
    assert kind.parse("hold") == "hold"
    with pytest.raises(ValueError, match=r'^"rejct" is not "hold" or "reject"; did you mean "reject"\?$'):
        kind.parse("rejct")


def test_a_choice_of_numbers_does_not_take_true_for_one() -> None:
    kind = kind_of(Literal[2, 1])
    assert kind.parse(1) == 1
    assert kind.from_text("2") == 2
    with pytest.raises(ValueError, match="True is not 2 or 1"):
        kind.parse(True)


def test_the_first_alternative_that_fits_is_taken() -> None:
    kind = kind_of(bool | str)
    assert kind.parse(False) is False
    assert kind.parse("x") == "x"
    with pytest.raises(ValueError, match="3 is not True or False or a string"):
        kind.parse(3)


def test_options_are_converted_one_by_one_and_only_what_was_given_is_there() -> None:
    assert TRANSPORT.parse({"visibility_timeout": 60, "priority_steps": [0, 9]}) == {
        "visibility_timeout": 60.0,
        "priority_steps": (0, 9),
    }


def test_a_retry_policy_is_completed() -> None:
    assert RETRY.parse({"max_retries": None}) == {
        "max_retries": None,
        "interval_start": 0.0,
        "interval_step": 0.2,
        "interval_max": 1.0,
    }


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"visibilty_timeout": 3}, 'there is no key "visibilty_timeout"; did you mean "visibility_timeout"?'),
        ({"region": "eu"}, 'the key "region" is not supported yet'),
        ({"result_expires": 3}, '"result_expires" is not one of its keys but a setting of its own'),
        ({"visibility_timeout": "3"}, 'key "visibility_timeout": "3" is not a number of seconds; write 3'),
        ({"body_encoding": "base46"}, 'did you mean "base64"?'),
        ({3: 4}, "the key 3 is not a string"),
    ],
)
def test_a_wrong_option_is_named_with_what_was_meant(options: dict[Any, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        TRANSPORT.parse(options)
    assert reason in str(caught.value)


def test_all_wrong_options_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"zzz.*socket_timeout"):
        TRANSPORT.parse({"zzz": 1, "socket_timeout": "x"})


def test_lenient_options_report_and_keep_what_can_be_read() -> None:
    reports: list[str] = []
    read = TRANSPORT.coerce({"zzz": 1, "socket_timeout": "5", "max_connections": 3}, reports.append)
    assert read == {"socket_timeout": 5.0, "max_connections": 3}
    assert len(reports) == 2


def test_options_come_as_json_from_the_environment() -> None:
    class Keys:
        limit: Annotated[int, "a plain number"]

    kind = OptionsKind(Keys)
    assert kind.from_text('{"limit": 3}') == {"limit": 3}
    with pytest.raises(ValueError, match="is not a dictionary"):
        kind.from_text("limit=3")
