"""What the app's settings say of RabbitMQ's connections reaches the server."""

from __future__ import annotations

import pytest

from celeriac import Celeriac
from celeriac.app.connections import broker_options
from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.amqp import open_store, open_sync_store
from celeriac.stores.amqp.store import AmqpStore
from tests.rabbitmq import RabbitServer
from tests.stores.conformance.messages import message


def app_at(url: str, **settings: object) -> Celeriac:
    app = Celeriac("settings", broker=url)
    app.conf.update(**settings)
    return app


def shown(server: RabbitServer, url: str) -> list[list[str]]:
    """Heartbeat and login method of the connections to a virtual host."""
    host = url.rpartition("/")[2]
    rows = server.ctl("list_connections", "vhost", "timeout", "auth_mechanism").splitlines()
    return [row.split("\t")[1:] for row in rows if row.startswith(host)]


async def test_heartbeat_and_login_method_are_honoured(rabbitmq: RabbitServer, vhost_url: str) -> None:
    store = open_store(broker_options(app_at(vhost_url, broker_heartbeat=7, broker_login_method="AMQPLAIN")))
    await store.open()
    assert shown(rabbitmq, vhost_url) == [["7", "AMQPLAIN"]]
    await store.close()


async def test_no_heartbeat_is_none(rabbitmq: RabbitServer, vhost_url: str) -> None:
    store = open_store(broker_options(app_at(vhost_url, broker_heartbeat=None)))
    await store.open()
    assert shown(rabbitmq, vhost_url) == [["0", "PLAIN"]]
    await store.close()


def test_a_client_logs_in_as_the_settings_say(rabbitmq: RabbitServer, vhost_url: str) -> None:
    client = open_sync_store(broker_options(app_at(vhost_url, broker_login_method="AMQPLAIN")))
    client.publish([message("a")])
    assert [method for _, method in shown(rabbitmq, vhost_url)] == ["AMQPLAIN"]
    client.close()


@pytest.mark.parametrize("strategy", ["round-robin", "shuffle", lambda urls: iter(urls)])
def test_the_order_of_the_nodes_is_that_of_the_settings(strategy: object) -> None:
    app = app_at("amqp://one;amqp://two", broker_failover_strategy=strategy)
    store = open_store(broker_options(app))
    assert isinstance(store, AmqpStore)
    address = store._receiving._address
    assert [node.host for node in address.nodes] == ["one", "two"]
    assert address.failover_strategy == strategy


@pytest.mark.parametrize(
    ("options", "meant"),
    [({"client_propertys": {}}, "client_properties"), ({"consumer_timout": 5}, "consumer_timeout")],
)
def test_an_option_that_nobody_knows_is_an_error_that_names_the_nearest(options: dict[str, object], meant: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=meant):
        broker_options(app_at("amqp://host", broker_transport_options=options))


def test_an_option_of_the_url_that_nobody_knows_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ImproperlyConfigured, match='did you mean "heartbeat"'):
        open_store(broker_options(app_at("amqp://host?heartbeet=3")))
