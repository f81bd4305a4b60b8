"""URLs and TLS options."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.address import address_of, same_server
from celeriac.stores.redis.places import places_of


def read(url: str, **options: Any) -> Any:
    return address_of(StoreOptions(url=url, **options))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", ("localhost", 6379, 0, "", "")),
        ("redis://host", ("host", 6379, 0, "", "")),
        ("redis://host:7000/3", ("host", 7000, 3, "", "")),
        ("redis://:pass@host/", ("host", 6379, 0, "", "pass")),
        ("redis://user:p%40ss%2F@host/12", ("host", 6379, 12, "user", "p@ss/")),
        ("redis://host?db=4", ("host", 6379, 4, "", "")),
        ("valkey://[::1]:7000/1", ("::1", 7000, 1, "", "")),
        ("redis://host/0?password=x&username=u", ("host", 6379, 0, "u", "x")),
    ],
)
def test_a_url_is_read(url: str, expected: tuple[object, ...]) -> None:
    found = read(url)
    assert (found.host, found.port, found.database, found.username, found.password) == expected


@pytest.mark.parametrize("url", ["redis+socket:///run/r.sock?virtual_host=2", "unix:///run/r.sock?db=2"])
def test_a_unix_socket_is_read(url: str) -> None:
    assert (read(url).path, read(url).database) == ("/run/r.sock", 2)


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "redis://host:port",
        "redis://host/name",
        "redis://host?unknown=1",
        "redis://host?ssl_cert_reqs=none",
    ],
)
def test_a_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        read(url)


@given(st.text(min_size=4).filter(lambda text: text.isprintable() and text not in "redis://:@localhost:6379/0"))
def test_the_password_is_never_shown(password: str) -> None:
    address = read(f"redis://:{quote(password, safe='')}@localhost/0")
    assert address.password == password
    assert password not in address.public


def test_tls_requires_certificates_unless_told_otherwise() -> None:
    strict = read("rediss://host").tls_context()
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    loose = read("rediss://host?ssl_cert_reqs=CERT_NONE").tls_context()
    assert (loose.verify_mode, loose.check_hostname) == (ssl.CERT_NONE, False)
    optional = read("redis://host", tls={"ssl_cert_reqs": ssl.CERT_OPTIONAL}).tls_context()
    assert optional.verify_mode == ssl.CERT_OPTIONAL
    assert read("valkeys://host", tls={"ssl_check_hostname": False}).tls_context().check_hostname is False
    assert read("redis://host").tls_context() is None


@pytest.mark.parametrize(
    "tls", [{"ssl_cert_reqs": "sometimes"}, {"ssl_ca_certs": "/does/not/exist"}, {"cert": "x"}, {"ssl_certfile": "/no"}]
)
def test_tls_options_that_make_no_sense_are_refused(tls: dict[str, object]) -> None:
    with pytest.raises(ImproperlyConfigured):
        read("rediss://host", tls=tls)


def test_databases_of_one_server_are_one_server() -> None:
    assert same_server(read("redis://:x@host/1"), read("valkey://:x@host:6379/2"))
    assert not same_server(read("redis://:x@host/1"), read("redis://:y@host/1"))
    assert not same_server(read("redis://host/1"), read("rediss://host/1"))


def test_results_of_another_server_are_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="two stores"):
        places_of(StoreOptions(url="redis://a"), StoreOptions(url="redis://b"))


def test_results_have_their_own_prefix_and_database() -> None:
    messages = StoreOptions(url="redis://a/1", transport_options={"global_keyprefix": "m"})
    results = StoreOptions(url="redis://a/2", transport_options={"global_keyprefix": "r"})
    places = places_of(messages, results)
    assert places.result_database == 2
    assert (places.keys.result("x"), places.keys.unacked) == (b"r_celery-task-meta-x", b"munacked")
    assert places_of(messages).result_database is None
    assert places_of(messages, StoreOptions(url="redis://a/1")).result_database is None
