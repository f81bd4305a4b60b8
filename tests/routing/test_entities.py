from __future__ import annotations

from types import SimpleNamespace

import pytest

from celeriac.routing import Binding, Exchange, Queue


def kombu_exchange(name: str = "", type: str = "direct", delivery_mode: int | None = None) -> SimpleNamespace:  # noqa: A002 - kombu's name
    """Return what looks like kombu's exchange to whoever reads its attributes."""
    return SimpleNamespace(
        name=name, type=type, durable=True, auto_delete=False, delivery_mode=delivery_mode, arguments=None
    )


def kombu_queue(name: str, **attributes: object) -> SimpleNamespace:
    """Return what looks like kombu's queue to whoever reads its attributes."""
    defaults: dict[str, object] = dict.fromkeys(
        ["queue_arguments", "binding_arguments", "alias", "max_priority", "expires", "message_ttl", "max_length"]
    )
    defaults |= {"max_length_bytes": None, "bindings": set(), "exchange": None, "routing_key": ""}
    defaults |= {"durable": True, "auto_delete": False, "exclusive": False}
    return SimpleNamespace(name=name, **{**defaults, **attributes})


def test_a_queue_is_declared_with_kombus_positional_arguments() -> None:
    queue = Queue("video", Exchange("media", "topic"), "media.video.#", max_priority=9)
    assert (queue.name, queue.source.name, queue.source.type, queue.routing_key) == (
        "video",
        "media",
        "topic",
        "media.video.#",
    )


def test_a_queue_refuses_arguments_that_it_would_have_to_ignore() -> None:
    with pytest.raises(TypeError, match="priorities"):
        Queue("video", priorities=3)  # type: ignore[call-arg]  # what is tested


def test_an_exchange_may_be_given_by_name() -> None:
    assert Queue("video", "media").source == Exchange("media")
    assert Queue("video").source == Exchange("")


def test_kombus_queue_is_read_by_its_attributes() -> None:
    queue = Queue.of(
        kombu_queue(
            "q",
            exchange=kombu_exchange("e", "topic", 1),
            routing_key="a.#",
            max_priority=5,
            message_ttl=3.0,
            alias="other",
            bindings=[SimpleNamespace(exchange=kombu_exchange("f"), routing_key="b", arguments=None)],
        )
    )
    assert queue.source == Exchange("e", "topic", delivery_mode=1)
    assert (queue.routing_key, queue.max_priority, queue.message_ttl, queue.alias) == ("a.#", 5, 3.0, "other")
    assert queue.bindings == (Binding(Exchange("f"), "b"),)


def test_a_queue_of_ours_stays_itself() -> None:
    queue = Queue("q")
    assert Queue.of(queue) is queue
    assert Exchange.of(Exchange("e")) == Exchange("e")


def test_a_dictionary_of_options_is_a_queue() -> None:
    queue = Queue.named("b", {"exchange": "eb", "exchange_type": "topic", "binding_key": "kb", "max_priority": 3})
    assert (queue.source, queue.routing_key, queue.max_priority) == (Exchange("eb", "topic"), "kb", 3)
    assert Queue.named("a", {}).routing_key == "a"


def test_limits_become_the_arguments_that_amqp_has_for_them() -> None:
    queue = Queue("q", type="quorum", max_priority=5, expires=1.5, message_ttl=2, max_length=3, max_length_bytes=4)
    assert queue.declaration_arguments() == {
        "x-queue-type": "quorum",
        "x-max-priority": 5,
        "x-expires": 1500,
        "x-message-ttl": 2000,
        "x-max-length": 3,
        "x-max-length-bytes": 4,
    }
    assert Queue("q", queue_arguments={"x-queue-mode": "lazy"}).declaration_arguments() == {"x-queue-mode": "lazy"}
