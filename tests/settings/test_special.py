from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.settings.kinds import Kind
from celeriac.settings.table import table


def kind_of(name: str) -> Kind:
    return table()[name].kind


@pytest.mark.parametrize(
    ("value", "read"), [("10/m", "10/m"), ("5", "5/s"), (5, "5/s"), (0.5, "0.5/s"), ("1.5/h", "1.5/h")]
)
def test_rate_limits_are_tasks_in_a_unit_of_time(value: object, read: str) -> None:
    assert kind_of("task_default_rate_limit").parse(value) == read


@pytest.mark.parametrize("value", ["10/d", "fast", True, -1, "/s", ""])
def test_what_is_no_rate_limit_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a rate limit"):
        kind_of("task_default_rate_limit").parse(value)


@pytest.mark.parametrize("value", [1, 16, "auto", "2x100", None])
def test_concurrency_is_a_number_auto_or_processes_and_slots(value: object) -> None:
    assert kind_of("worker_concurrency").parse(value) == value


@pytest.mark.parametrize("value", [0, -1, "4", "2x0", "x", True, 2.0])
def test_any_other_concurrency_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not|less than"):
        kind_of("worker_concurrency").parse(value)


def test_concurrency_from_the_environment_may_be_a_number() -> None:
    assert kind_of("worker_concurrency").from_text("4") == 4


@pytest.mark.parametrize(("value", "mode"), [(2, 2), ("persistent", 2), (1, 1), ("transient", 1)])
def test_delivery_modes_have_names(value: object, mode: int) -> None:
    assert kind_of("task_default_delivery_mode").parse(value) == mode


@pytest.mark.parametrize("value", [3, "durable", True, 2.0, [], None])
def test_any_other_delivery_mode_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a delivery mode"):
        kind_of("task_default_delivery_mode").parse(value)


@given(st.integers())
def test_priorities_fit_an_octet(value: int) -> None:
    kind = kind_of("task_default_priority")
    if 0 <= value <= 255:
        assert kind.parse(value) == value
    else:
        with pytest.raises(ValueError, match="than"):
            kind.parse(value)


@pytest.mark.parametrize("value", [3, [3], {"q": 3}, {3: {}}, "q"])
def test_what_declares_no_queues_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not|neither|not a dictionary"):
        kind_of("task_queues").parse(value)


@pytest.mark.parametrize("value", [["a", "b"], {"a": {"routing_key": "x"}}, (), None])
def test_queues_are_names_or_options_by_name(value: Any) -> None:
    kind_of("task_queues").parse(value)


@pytest.mark.parametrize("value", [{"t": "q"}, [{"t": "q"}], "proj.routes:route", len, [("t.*", "q")], None])
def test_routes_take_every_form_of_a_router(value: object) -> None:
    kind_of("task_routes").parse(value)


@pytest.mark.parametrize("value", [3, [3]])
def test_what_is_no_router_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a router"):
        kind_of("task_routes").parse(value)


def test_tls_options_are_a_dictionary_or_a_switch() -> None:
    kind = kind_of("broker_use_ssl")
    assert kind.parse(True) is True
    assert kind.parse({"ssl_ca_certs": "ca.pem"}) == {"ssl_ca_certs": "ca.pem"}
    with pytest.raises(ValueError, match="is not True, False or a dictionary"):
        kind.parse("yes")


def test_annotations_are_dictionaries_or_objects_that_annotate() -> None:
    kind = kind_of("task_annotations")
    assert kind.parse({"t": {"rate_limit": "1/s"}}) == {"t": {"rate_limit": "1/s"}}
    with pytest.raises(ValueError, match="annotate"):
        kind.parse([3])
