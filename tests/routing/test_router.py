from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import QueueNotFound
from celeriac.routing import Exchange, Queue, Route, Router
from celeriac.settings import Configuration


def router(**settings: Any) -> Router:
    return Router(Configuration("celeriac", settings, environment={}).snapshot())


def address(route: Route) -> tuple[str | None, str, str]:
    return route.queue, route.exchange, route.routing_key


TOPIC = Queue("tq", Exchange("te", "topic"), "x.#")
DIRECT = Queue("dq", Exchange("de"), "kk")
FANOUT = Queue("fq", Exchange("fe", "fanout"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, ("celery", "", "celery")),
        ({"queue": None}, ("celery", "", "celery")),
        ({"queue": "q"}, ("q", "", "q")),
        ({"routing_key": "k"}, ("celery", "", "celery")),
        ({"exchange": "e"}, ("celery", "", "celery")),
        ({"exchange": "e", "routing_key": "k"}, (None, "e", "k")),
        ({"exchange": Exchange("e"), "routing_key": "k"}, (None, "e", "k")),
        ({"exchange": "", "routing_key": "k"}, ("celery", "", "celery")),
        ({"queue": "q", "exchange": "e"}, ("q", "", "q")),
        ({"queue": "q", "routing_key": "k"}, ("q", "", "q")),
        ({"queue": "q", "exchange": "e", "routing_key": "k"}, ("q", "e", "k")),
        ({"queue": "tq"}, ("tq", "te", "x.#")),
        ({"queue": "tq", "routing_key": "x.1"}, ("tq", "te", "x.1")),
        ({"queue": "tq", "exchange": ""}, ("tq", "", "tq")),
        ({"queue": "tq", "exchange": "", "routing_key": "x.1"}, ("tq", "", "x.1")),
        ({"queue": "tq", "exchange": "te"}, ("tq", "te", "x.#")),
        ({"queue": "dq"}, ("dq", "", "dq")),
        ({"queue": "dq", "routing_key": "x.1"}, ("dq", "", "dq")),
        ({"queue": "fq"}, ("fq", "fe", "celery")),
        ({"queue": Queue("qo", Exchange("eo", "topic"), "k")}, ("qo", "eo", "k")),
        ({"queue": Queue("qo", Exchange("eo"), "k")}, ("qo", "", "qo")),
    ],
)
def test_calls_are_addressed_as_in_celery(
    options: dict[str, Any] | None, expected: tuple[str | None, str, str]
) -> None:
    made = router(task_queues=[Queue("celery"), TOPIC, DIRECT, FANOUT])
    assert address(made.route(options, "t.a")) == expected


def test_a_default_queue_on_a_topic_exchange_is_addressed_by_its_exchange() -> None:
    made = router(task_default_exchange_type="topic", task_default_queue="dd", task_default_routing_key="k.#")
    assert address(made.route(None, "t.a")) == ("dd", "dd", "k.#")
    assert address(made.route({"routing_key": "k.1"}, "t.a")) == ("dd", "dd", "k.1")
    assert made.route({"routing_key": "k.1"}, "t.a").destinations == ("dd",)


def test_options_win_over_the_route_and_the_route_over_the_queue() -> None:
    made = router(
        task_queues=[Queue("q", Exchange("e", delivery_mode=1)), Queue("other")],
        task_routes={"t.*": {"queue": "q", "priority": 3, "serializer": "yaml"}},
    )
    route = made.route(None, "t.a")
    assert (route.queue, route.priority, route.delivery_mode, route.options) == ("q", 3, 1, {"serializer": "yaml"})
    route = made.route({"priority": 9, "queue": "other", "serializer": "json", "countdown": 5}, "t.a")
    assert (route.queue, route.priority, route.delivery_mode) == ("other", 9, 2)
    assert route.options == {"serializer": "json", "countdown": 5}


def test_an_explicit_none_does_not_win() -> None:
    made = router(task_routes={"t.a": {"queue": "q", "priority": 3, "serializer": "yaml"}})
    route = made.route({"priority": None, "queue": None, "serializer": None, "expires": None}, "t.a")
    assert (route.queue, route.priority, route.options) == ("q", 3, {"serializer": "yaml", "expires": None})


def test_the_router_is_asked_even_where_the_queue_is_explicit() -> None:
    made = router(task_routes={"t.a": {"queue": "q", "priority": 3}})
    assert made.route({"queue": "zz"}, "t.a").priority == 3


def test_a_route_may_name_an_exchange_without_a_queue() -> None:
    made = router(task_queues=[TOPIC], task_routes={"t.a": {"exchange": "te", "routing_key": "x.y"}})
    route = made.route(None, "t.a")
    assert address(route) == (None, "te", "x.y")
    assert route.destinations == ("tq",)


def test_an_unknown_queue_is_an_error_where_none_are_created() -> None:
    made = router(task_routes={"t.a": "nope"}, task_create_missing_queues=False)
    with pytest.raises(QueueNotFound, match="nope"):
        made.route(None, "t.a")
    with pytest.raises(QueueNotFound):
        made.route({"queue": "nope"}, "t.b")


def test_a_queue_given_as_an_object_needs_no_declaration() -> None:
    made = router(task_create_missing_queues=False, task_routes={"t.a": {"queue": Queue("qo")}})
    assert made.route(None, "t.a").queue == "qo"
    assert list(made.queues.consumed) == ["celery"]


def test_delivery_modes_may_be_named() -> None:
    assert router().route({"delivery_mode": "transient"}, "t.a").delivery_mode == 1
    assert router(task_default_delivery_mode="transient").route(None, "t.a").delivery_mode == 1


def test_the_default_priority_holds_where_there_is_no_other() -> None:
    made = router(task_default_priority=5)
    assert made.route(None, "t.a").priority == 5
    assert made.route({"priority": 0}, "t.a").priority == 0


def test_functions_see_the_call_and_are_asked_each_time() -> None:
    calls: list[Any] = []

    def route(name: str, args: Any, kwargs: Any, options: Any, task: Any = None) -> Any:
        calls.append((name, args, kwargs, options, task))
        return {"queue": f"q{len(calls)}"}

    made = router(task_routes=route)
    assert made.route({"priority": 3}, "t.a", (1,), {"b": 2}, "the task").queue == "q1"
    assert made.route({"priority": 3}, "t.a", (1,), {"b": 2}, "the task").queue == "q2"
    assert calls == [("t.a", (1,), {"b": 2}, {"priority": 3}, "the task")] * 2


def test_plain_routes_are_kept_and_forgotten_when_a_queue_changes() -> None:
    made = router(task_routes={"t.a": {"exchange": "e", "routing_key": "k"}})
    first = made.route(None, "t.a")
    assert first.destinations == ()
    assert made.route({}, "t.a") is first
    made.queues.add(Queue("late", Exchange("e"), "k"))
    assert made.route(None, "t.a").destinations == ("late",)


def test_a_producer_of_endless_names_does_not_fill_the_memory() -> None:
    made = router()
    for number in range(10_000):
        made.route(None, f"task {number}")
    assert len(made._kept) <= 4096


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "queue": st.sampled_from([None, "a", "tq", "fq"]),
        "exchange": st.sampled_from([None, "", "te", "de"]),
        "routing_key": st.sampled_from([None, "", "x.1", "kk"]),
        "priority": st.sampled_from([None, 0, 9]),
        "delivery_mode": st.sampled_from([None, 1]),
        "serializer": st.sampled_from([None, "yaml"]),
        "countdown": st.just(5),
    },
)


@given(st.lists(st.tuples(OPTIONS, st.sampled_from(["t.a", "t.b", "u"])), max_size=20))
def test_kept_routes_are_the_same_as_fresh_ones(calls: list[tuple[dict[str, Any], str]]) -> None:
    settings = Configuration(
        settings={
            "task_queues": [Queue("celery"), TOPIC, DIRECT, FANOUT],
            "task_routes": {"t.a": {"queue": "tq", "priority": 1}, "t.*": {"exchange": "de", "serializer": "json"}},
        },
        environment={},
    ).snapshot()
    keeping = Router(settings)
    for options, name in calls:
        assert keeping.route(options, name) == Router(settings).route(options, name)
