"""What kombu and Celeriac have to know of each other: connections, queues, serializers, exceptions."""

from __future__ import annotations

import json
import sys

import pytest

from celeriac.exceptions import ImproperlyConfigured, UnsupportedOption
from celeriac.testing import run_worker
from tests.servers import need, redis_server

kombu = pytest.importorskip("kombu", reason="kombu is not installed")


def celery_app(name="shop", **options):
    from celery import Celery

    return Celery(name, set_as_current=False, **options)


def test_queues_of_kombu_are_understood_in_settings_and_routes():
    from kombu import Exchange, Queue, binding

    media = Exchange("media", type="topic")
    app = celery_app(
        task_queues=(
            Queue("default", routing_key="task.#"),
            Queue("videos", media, routing_key="media.video", max_priority=5),
            Queue("both", [binding(media, routing_key="image.#"), binding(media, routing_key="video.#")]),
        ),
        task_routes={"shop.video": Queue("videos", media, routing_key="media.video"), "shop.any": "default"},
    )
    assert list(app.queues) == ["default", "videos", "both"]
    assert (app.queues["videos"].source.name, app.queues["videos"].source.type) == ("media", "topic")
    assert app.router.route({}, "shop.video").queue == "videos"
    assert app.router.route({}, "shop.any").queue == "default"
    assert {bound.routing_key for bound in app.queues["both"].bound} >= {"image.#", "video.#"}


def test_queues_are_kombus_where_programs_ask_for_them():
    app = celery_app(task_queues={"videos": {"exchange": "media", "exchange_type": "topic", "routing_key": "v.#"}})
    queue = app.amqp.queues["videos"]
    assert isinstance(queue, kombu.Queue)
    assert (queue.exchange.name, queue.exchange.type, queue.routing_key) == ("media", "topic", "v.#")
    assert list(app.amqp.queues.consume_from) == ["videos"]
    app.amqp.queues.select_add("more")
    assert list(app.amqp.queues.consume_from) == ["videos", "more"]
    assert ".> videos" in app.amqp.queues.format()
    assert app.amqp.router.route({}, "any")["queue"].name == "celery"
    assert app.amqp.default_exchange.name == "celery"


def test_queues_by_themselves():
    from celery.app.amqp import Queues
    from celery.exceptions import QueueNotFound

    queues = Queues([kombu.Queue("a")], create_missing=False)
    assert "a" in queues
    with pytest.raises(QueueNotFound):
        _ = queues["b"]


def test_a_queue_of_one_worker_alone():
    from celery.utils.nodenames import worker_direct

    queue = worker_direct("celery@host")
    assert (queue.name, queue.exchange.name, queue.routing_key) == ("celery@host.dq2", "C.dq2", "celery@host")
    assert worker_direct(queue) is queue


def test_a_connection_is_kombus_to_the_configured_broker():
    app = celery_app(broker="redis://127.0.0.1:1/3", broker_write_url="redis://127.0.0.1:2/4")
    read, write = app.connection_for_read(), app.connection_for_write()
    assert (read.hostname, read.port, read.virtual_host) == ("127.0.0.1", 1, "3")
    assert (write.transport_cls, write.port, write.virtual_host) == ("redis", 2, "4")
    assert app.connection_for_write("memory://").transport_cls == "memory"
    with app.connection_or_acquire(pool=False) as connection:
        assert isinstance(connection, kombu.Connection)


def test_the_embedded_broker_is_not_kombus():
    with pytest.raises(UnsupportedOption, match="need redis:// or amqp://"):
        celery_app(broker="sqlite://").connection_for_write()


def test_without_kombu_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "kombu", None)
    with pytest.raises(ImproperlyConfigured, match="pip install kombu"):
        celery_app(broker="redis://localhost").connection_for_write()


@pytest.fixture
def redis_url():
    need("redis-server")
    with redis_server() as server:
        yield str(server)


def test_a_consumer_and_a_producer_of_ones_own(redis_url):
    app = celery_app(broker=redis_url, backend=redis_url)

    @app.task(shared=False, name="add")
    def add(x, y):
        return x + y

    seen = []
    with app.connection_for_read() as connection, connection.channel() as channel:
        queue = app.amqp.queues["celery"](channel)
        queue.declare()
        with app.producer_or_acquire() as producer:
            producer.publish({"hello": 1}, routing_key="celery", serializer="json")
        add.delay(2, 2)
        assert queue.queue_declare(passive=True).message_count == 2
        with app.amqp.TaskConsumer(channel, callbacks=[lambda body, message: seen.append((body, message.ack()))]):
            while len(seen) < 2:
                connection.drain_events(timeout=10)
    assert {"hello": 1} in [body for body, _ in seen]
    assert any(body[0] == [2, 2] for body, _ in seen if isinstance(body, list))
    app.close()
    _close_pools()


def _close_pools() -> None:
    from kombu import pools

    pools.reset()


# --------------------------------------------------------------------------------------------------------- serializers


def test_a_serializer_that_is_registered_with_kombu_is_ours_too():
    from kombu.serialization import register, unregister

    from celeriac import serialization
    from celeriac.exceptions import SerializerNotInstalled

    register("shouting", lambda value: json.dumps(value).upper(), lambda text: json.loads(text.lower()), "text/x-loud")
    app = celery_app(
        "loud",
        broker="memory://",
        backend="memory://",
        task_serializer="shouting",
        accept_content=["shouting", "json"],
    )

    @app.task(shared=False)
    def echo(text):
        return text

    with run_worker(app):
        assert echo.delay("hello").get(timeout=10) == "hello"
    app.close()
    assert serialization.dumps(["a"], "shouting") == ("text/x-loud", "utf-8", b'["A"]')
    unregister("shouting")
    with pytest.raises(SerializerNotInstalled):
        serialization.dumps(["a"], "shouting")


def test_a_serializer_that_was_registered_before_is_found(program):
    program.write(
        {
            "early.py": """
                import json

                from kombu.serialization import register

                register("early", json.dumps, json.loads, "text/x-early")
                import celery
                from celeriac import serialization

                print(serialization.dumps([1], "early")[2].decode())
            """
        }
    )
    assert program.run("early.py") == "[1]\n"


# ---------------------------------------------------------------------------------------------------------- exceptions


def test_our_exceptions_are_caught_as_kombus_and_billiards():
    import billiard.exceptions
    import kombu.exceptions
    from celery import exceptions

    import celeriac.exceptions as ours

    assert issubclass(exceptions.OperationalError, kombu.exceptions.OperationalError)
    assert issubclass(ours.BrokerUnreachable, kombu.exceptions.KombuError)
    assert issubclass(ours.EncodeError, kombu.exceptions.SerializationError)
    assert issubclass(exceptions.SoftTimeLimitExceeded, billiard.exceptions.SoftTimeLimitExceeded)
    assert issubclass(exceptions.WorkerLostError, billiard.exceptions.WorkerLostError)


def test_a_broker_that_is_away_is_caught_as_kombu_names_it():
    import kombu.exceptions

    app = celery_app("away", broker="redis://127.0.0.1:1", publish_timeout=0.2)

    @app.task(shared=False)
    def add(x, y):
        return x + y

    with pytest.raises(kombu.exceptions.OperationalError):
        add.delay(2, 2)
    app.close()
