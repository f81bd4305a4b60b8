"""URLs and options of RabbitMQ."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.amqp.address import DEFAULT_HEARTBEAT, address_of
from celeriac.stores.options import StoreOptions


def read(url: str, tls: dict[str, object] | None = None, **transport_options: object) -> Any:
    return address_of(StoreOptions(url=url, tls=tls, transport_options=transport_options))


@pytest.mark.parametrize(
    ("url", "host", "port", "virtual_host", "username", "password"),
    [
        ("amqp://", "localhost", 5672, "/", "guest", "guest"),
        ("amqp://guest@localhost//", "localhost", 5672, "/", "guest", "guest"),
        ("pyamqp://example.org", "example.org", 5672, "/", "guest", "guest"),
        ("librabbitmq://example.org/", "example.org", 5672, "/", "guest", "guest"),
        ("amqp://me:s%40crt%2F@example.org:1234/shop", "example.org", 1234, "shop", "me", "s@crt/"),
        ("amqp://[::1]:1234/%2Fshop", "::1", 1234, "/shop", "guest", "guest"),
        ("amqp://h/%2F", "h", 5672, "/", "guest", "guest"),
        ("amqps://h", "h", 5671, "/", "guest", "guest"),
    ],
)
def test_urls_are_read_as_celery_does(
    url: str, host: str, port: int, virtual_host: str, username: str, password: str
) -> None:
    (node,) = read(url).nodes
    assert (node.host, node.port, node.virtual_host) == (host, port, virtual_host)
    assert (node.username, node.password) == (username, password)
    assert (node.tls is None) is not url.startswith("amqps")


def test_a_list_of_urls_is_a_cluster() -> None:
    address = read("amqp://a:x;y@one/v;amqp://two:1/v ; amqp://three")
    assert [(node.host, node.port, node.virtual_host) for node in address.nodes] == [
        ("one", 5672, "v"),
        ("two", 1, "v"),
        ("three", 5672, "/"),
    ]
    assert address.public == "amqp://a@one:5672/v;amqp://guest@two:1/v;amqp://guest@three:5672//"


def test_options_come_from_the_transport_options_and_the_url_has_the_last_word() -> None:
    address = read("amqp://h?heartbeat=30&login_method=amqplain", heartbeat=60, failover_strategy="shuffle")
    assert (address.heartbeat, address.login_method, address.failover_strategy) == (30, "AMQPLAIN", "shuffle")
    assert read("amqp://h", heartbeat=None).heartbeat == DEFAULT_HEARTBEAT
    assert read("amqp://h", heartbeat=0).heartbeat == 0
    assert read("amqp://h", heartbeat="120.0").heartbeat == 120


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://h",
        "amqp://h:port",
        "amqp://h?heartbeat=often",
        "amqp://h?heartbeat=-1",
        "amqp://h?heartbeat=inf",
        "amqp://h?failover_strategy=hope",
        "amqp://h?login_method=trust",
        "amqp://h?unknown=1",
        "amqp://h?ssl_ca_certs=file",
        "amqps://me:secret@h?cert_reqs=perhaps",
        "amqps://me:secret@h?ca_certs=/does/not/exist",
    ],
)
def test_what_cannot_be_understood_is_an_error_without_the_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        read(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("options", [{"client_properties": "me"}, {"failover_strategy": 3}])
def test_options_of_the_wrong_type_are_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        read("amqp://h", **options)


def test_certificates_are_required_unless_the_options_say_otherwise() -> None:
    (node,) = read("amqps://h").nodes
    context = node.tls_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    (node,) = read("amqps://h?cert_reqs=none").nodes
    assert node.tls_context().verify_mode == ssl.CERT_NONE
    (node,) = read("amqp://h", tls={"cert_reqs": ssl.CERT_OPTIONAL, "server_hostname": "other"}).nodes
    assert (node.tls_context().verify_mode, node.port, node.server_hostname) == (ssl.CERT_OPTIONAL, 5671, "other")


def test_a_key_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pem").write_text("no certificate")
    with pytest.raises(ImproperlyConfigured):
        read("amqp://h", tls={"certfile": str(tmp_path / "pem")})
