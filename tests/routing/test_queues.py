from __future__ import annotations

from typing import Any

import pytest

from celeriac.exceptions import InvalidSetting, QueueNotFound
from celeriac.routing import Exchange, Queue, Queues
from celeriac.settings import Configuration


def queues(**settings: Any) -> Queues:
    return Queues(Configuration("celeriac", settings, environment={}).snapshot())


def shape(queue: Queue) -> tuple[str, str, str, str]:
    return queue.name, queue.source.name, queue.source.type, queue.routing_key


def test_without_declared_queues_there_is_the_default_one() -> None:
    known = queues()
    assert list(known) == ["celery"]
    assert shape(known.default) == ("celery", "celery", "direct", "celery")


def test_the_default_queue_is_as_configured() -> None:
    known = queues(
        task_default_queue="dq",
        task_default_exchange_type="topic",
        task_default_routing_key="rk",
        task_queue_max_priority=7,
        task_default_queue_type="quorum",
    )
    assert shape(known.default) == ("dq", "dq", "topic", "rk")
    assert known.default.declaration_arguments() == {"x-queue-type": "quorum", "x-max-priority": 7}


def test_a_list_of_queues_is_completed_with_the_defaults() -> None:
    known = queues(
        task_queues=[
            Queue("a"),
            Queue("b", Exchange("eb"), "kb"),
            Queue("c", routing_key="kc"),
            Queue("d", Exchange("")),
        ]
    )
    assert [shape(known[name]) for name in known] == [
        ("a", "celery", "direct", "celery"),
        ("b", "eb", "direct", "kb"),
        ("c", "celery", "direct", "kc"),
        ("d", "celery", "direct", "celery"),
    ]


def test_a_dictionary_of_queues_binds_each_by_its_name() -> None:
    known = queues(task_queues={"a": {}, "b": {"exchange": "eb", "exchange_type": "topic", "binding_key": "kb"}})
    assert [shape(known[name]) for name in known] == [("a", "celery", "direct", "a"), ("b", "eb", "topic", "kb")]


def test_a_dictionary_may_hold_queues() -> None:
    assert shape(queues(task_queues={"a": Queue("", Exchange("e"), "k")})["a"]) == ("a", "e", "direct", "k")


def test_a_wrong_option_of_a_queue_is_named() -> None:
    with pytest.raises(InvalidSetting, match=r'"a" has an option "routing_ky".*did you mean "routing_key"'):
        queues(task_queues={"a": {"routing_ky": "x"}})


def test_names_alone_declare_queues() -> None:
    assert list(queues(task_queues=["a", "b"])) == ["a", "b"]


def test_a_queue_without_a_name_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="no name"):
        queues(task_queues=[Queue()])


def test_a_missing_queue_is_created_with_exchange_and_key_of_its_name() -> None:
    assert shape(queues()["new"]) == ("new", "new", "direct", "new")
    known = queues(
        task_create_missing_queue_type="quorum",
        task_create_missing_queue_exchange_type="topic",
        task_queue_max_priority=7,
    )
    assert shape(known["new"]) == ("new", "new", "topic", "new")
    assert known["new"].declaration_arguments() == {"x-queue-type": "quorum", "x-max-priority": 7}


def test_a_missing_queue_is_not_consumed_and_is_the_same_from_then_on() -> None:
    known = queues()
    created = known["new"]
    assert known["new"] is created
    assert list(known.consumed) == ["celery"]


def test_looking_without_taking_creates_none() -> None:
    known = queues()
    assert known.get("new") is None
    assert "new" not in known
    assert len(known) == 1


def test_a_missing_queue_is_an_error_with_a_suggestion_where_none_are_created() -> None:
    known = queues(task_queues=["video", "audio"], task_create_missing_queues=False)
    with pytest.raises(QueueNotFound, match='did you mean "video"'):
        known["vido"]
    with pytest.raises(QueueNotFound):
        known.select(["nope"])
    with pytest.raises(QueueNotFound):
        _ = known.default


def test_the_default_queue_is_created_beside_declared_ones_when_it_is_needed() -> None:
    known = queues(task_default_queue="nq", task_default_exchange_type="topic", task_queues=[Queue("other")])
    assert list(known) == ["other"]
    assert shape(known.default) == ("nq", "nq", "direct", "nq")


def test_selecting_narrows_what_is_consumed_and_keeps_the_rest_for_routing() -> None:
    known = queues(task_queues=["a", "b", "c"])
    known.select("b, new")
    assert list(known.consumed) == ["b", "new"]
    known.deselect("new")
    assert list(known.consumed) == ["b"]
    assert "a" in known


def test_deselecting_everything_leaves_nothing() -> None:
    known = queues()
    known.deselect(["celery"])
    assert known.consumed == {}


def test_a_queue_can_be_added_to_what_is_consumed() -> None:
    known = queues(task_queues=["a", "b"])
    known.select(["a"])
    known.select_add("b")
    known.select_add("c", exchange="e")
    assert list(known.consumed) == ["a", "b", "c"]
    assert known["c"].source.name == "e"


def test_an_alias_is_another_name() -> None:
    known = queues(task_queues=[Queue("long-name", alias="short")])
    assert known["short"] is known["long-name"]
    known.select(["short"])
    assert list(known.consumed) == ["long-name"]


def test_bound_queues_follow_the_type_of_the_exchange() -> None:
    media, news, all_of_them = Exchange("media", "topic"), Exchange("news"), Exchange("all", "fanout")
    known = queues(
        task_queues=[
            Queue("video", media, "media.video.#"),
            Queue("any", media, "media.*.new"),
            Queue("n1", news, "n"),
            Queue("n2", news, "n"),
            Queue("n3", news, "other"),
            Queue("f1", all_of_them),
            Queue("f2", all_of_them),
        ]
    )
    assert known.bound_queues("media", "media.video.new") == ("video", "any")
    assert known.bound_queues("media", "media.audio.new") == ("any",)
    assert known.bound_queues("news", "n") == ("n1", "n2")
    assert known.bound_queues("all", "whatever") == ("f1", "f2")
    assert known.bound_queues("nowhere", "n") == ()
    assert known.bound_queues("", "undeclared") == ("undeclared",)


def test_a_queue_may_have_several_bindings_and_is_found_once() -> None:
    topic = Exchange("t", "topic")
    queue = Queue.of(Queue("q", topic, "a.#", bindings=(Queue("x", topic, "*.b").bound[0],)))
    known = queues(task_queues=[queue])
    assert known.bound_queues("t", "a.b") == ("q",)
    assert known.bound_queues("t", "c.b") == ("q",)
    assert known.bound_queues("t", "c.d") == ()
