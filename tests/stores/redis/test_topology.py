"""Deployments, read from URLs and options."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.topology import Kind, same_deployment, topology_of

MASTER = {"master_name": "m"}


def read(*urls: str, tls: dict[str, object] | None = None, **transport_options: Any) -> Any:
    return topology_of(
        StoreOptions(url=urls[0], alternates=urls[1:], tls=tls, transport_options=transport_options, connect_timeout=4)
    )


def test_one_server_is_not_searched_for() -> None:
    found = read("redis://:secret@host:7000/2")
    assert (found.kind, found.moves, found.public) == (Kind.SERVERS, False, "redis://host:7000/2")


def test_a_list_of_servers_keeps_what_each_url_says() -> None:
    found = read("redis://:one@a/1", "rediss://:two@b/1")
    assert found.moves
    assert [node.password for node in found.nodes] == ["one", "two"]
    assert [node.tls for node in found.nodes] == [None, {}]
    assert found.public == "redis://a:6379/1;rediss://b:6379/1"


@pytest.mark.parametrize(
    "urls",
    [
        ("sentinel://:pw@a:26379", "sentinel://b:26380/3"),
        ("sentinel://a", "sentinel://:pw@b:26380/3"),
        ("sentinel://:pw@a,b:26380/3",),
    ],
)
def test_sentinels_are_named_in_any_form(urls: tuple[str, ...]) -> None:
    found = read(*urls, **MASTER)
    assert found.kind is Kind.SENTINEL
    assert [node.place for node in found.nodes] == ["a:26379", "b:26380"]
    assert (found.entrance.password, found.entrance.database) == ("pw", 3)
    assert [node.password for node in found.nodes] == ["", ""]
    assert found.public == "sentinel://a:26379,b:26380/3 (master m)"
    server = found.at("10.0.0.1", 6400)
    assert (server.public, server.password) == ("redis://10.0.0.1:6400/3", "pw")


def test_the_name_of_the_master_may_stand_in_the_url() -> None:
    found = read("sentinel://a/0?master_name=m&min_other_sentinels=2")
    assert (found.master, found.min_other_sentinels) == ("m", 2)


def test_sentinels_are_entered_with_their_own_options() -> None:
    sentinel_kwargs = {"password": "own", "ssl": True, "ssl_cert_reqs": "none", "socket_timeout": 0.3}
    found = read("sentinel://:pw@a", tls={}, sentinel_kwargs=sentinel_kwargs, **MASTER)
    (sentinel,) = found.nodes
    assert (sentinel.password, sentinel.tls) == ("own", {"ssl_cert_reqs": "none"})
    assert (found.entrance.password, found.entrance.tls, found.question_timeout) == ("pw", {}, 0.3)
    assert read("sentinel://a", tls={}, **MASTER).nodes[0].tls is None


def test_nodes_of_a_cluster_are_named_in_any_form() -> None:
    for urls in (("redis+cluster://u:pw@a:7000,b:7001/",), ("redis+cluster://u:pw@a:7000", "redis+cluster://b:7001")):
        found = read(*urls)
        assert (found.kind, found.entrance.username, found.entrance.password) == (Kind.CLUSTER, "u", "pw")
        assert [node.place for node in found.nodes] == ["a:7000", "b:7001"]
    assert read("rediss+cluster://a?ssl_cert_reqs=none").at("b", 1).tls == {"ssl_cert_reqs": "none"}


@pytest.mark.parametrize(
    ("urls", "options", "text"),
    [
        (("sentinel://a",), {}, "master_name"),
        (("sentinel://a",), {"min_other_sentinels": "many", **MASTER}, "min_other_sentinels"),
        (("sentinel://a",), {"sentinel_kwargs": {"pasword": "x"}, **MASTER}, "'pasword'"),
        (("sentinel://a",), {"sentinel_kwargs": {"ssl_cert_reqs": "none"}, **MASTER}, '"ssl": True'),
        (("sentinel://:one@a", "sentinel://:two@b"), MASTER, "different passwords"),
        (("sentinel://a/1", "sentinel://b/2"), MASTER, "different databases"),
        (("sentinel://a", "redis://b"), MASTER, "begin alike"),
        (("redis+cluster://a", "redis://b"), {}, "begin alike"),
        (("redis://a",), {"socket_keepalive_options": {"idle": 3}}, "socket_keepalive_options"),
    ],
)
def test_what_does_not_fit_together_is_refused(urls: tuple[str, ...], options: dict[str, Any], text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=text) as raised:
        read(*urls, **options)
    assert "one" not in str(raised.value).replace("one deployment", "")


def test_keepalive_is_on_unless_told_otherwise() -> None:
    assert read("redis://a").nodes[0].keepalive
    assert not read("redis://a", socket_keepalive=False).nodes[0].keepalive
    options = {socket.SO_KEEPALIVE: 1}
    assert read("sentinel://a", socket_keepalive_options=options, **MASTER).at("b", 1).keepalive_options == options


def test_one_deployment_is_recognized() -> None:
    one = read("sentinel://a,b/1", **MASTER)
    assert same_deployment(one, read("sentinel://b", "sentinel://a/2", **MASTER))
    assert not same_deployment(one, read("sentinel://a,b/1", master_name="n"))
    assert not same_deployment(one, read("sentinel://a/1", **MASTER))
    assert not same_deployment(read("redis://a"), read("redis://a", "redis://b"))
