"""Which servers a store may be on, and who tells where it is now: one server, a list, Sentinel or Cluster."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.failover import Strategy
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.address import CLUSTER, SENTINEL, Address, read_url, same_server, tls_context_of

__all__ = ["Kind", "Topology", "same_deployment", "topology_of"]

_QUESTION_TIMEOUT: Final = 1.0
"""Seconds for asking one server where the data is: there are others to ask, and the answer is needed at once."""
_SENTINEL_OPTIONS: Final = ("username", "password", "ssl", "db", "socket_timeout", "socket_connect_timeout")
_SENTINEL_KEEPALIVE: Final = ("socket_keepalive", "socket_keepalive_options")


class Kind(enum.Enum):
    """Who tells where the data is."""

    SERVERS = enum.auto()
    """Nobody: the one server that is named, or the first of a list that answers as a master."""
    SENTINEL = enum.auto()
    CLUSTER = enum.auto()


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment.

    Attributes:
        kind: see :class:`Kind`.
        entrance: how the server that has the data is entered: credentials, database, TLS; with a single server its
            place too. Its ``public`` names the deployment.
        nodes: who is asked: the servers themselves, the sentinels, or nodes of the cluster.
        strategy: in which order the servers of a list are tried.
        master: the name by which the sentinels know the master.
        min_other_sentinels: a sentinel that knows fewer others is not believed.
        question_timeout: seconds for asking one of the nodes.
    """

    kind: Kind
    entrance: Address
    nodes: tuple[Address, ...]
    strategy: Strategy = "round-robin"
    master: str = ""
    min_other_sentinels: int = 0
    question_timeout: float = _QUESTION_TIMEOUT

    @property
    def moves(self) -> bool:
        """Whether the data may be at another place after a failure."""
        return self.kind is not Kind.SERVERS or len(self.nodes) > 1

    @property
    def public(self) -> str:
        """What messages call it; no password."""
        return self.entrance.public

    def at(self, host: str, port: int) -> Address:
        """How a server at that place is entered."""
        scheme = "rediss" if self.entrance.tls is not None else "redis"
        return msgspec.structs.replace(self.entrance, host=host, port=port, scheme=scheme, label="")


def same_deployment(one: Topology, other: Topology) -> bool:
    """Whether both are databases of one deployment, entered with the same credentials: one script settles in both."""
    places = ({node.place for node in each.nodes} for each in (one, other))
    return (
        (one.kind, one.master) == (other.kind, other.master)
        and next(places) == next(places)
        and same_server(one.entrance, other.entrance)
    )


def topology_of(options: StoreOptions) -> Topology:
    """Read the deployment of a store.

    Args:
        options: ``url`` and ``alternates``, see :func:`~celeriac.stores.redis.address.read_url`; ``tls``;
            ``failover_strategy``; of the transport options ``master_name``, ``min_other_sentinels``,
            ``sentinel_kwargs``, ``socket_keepalive`` and ``socket_keepalive_options``.

    Raises:
        ImproperlyConfigured: something cannot be understood, or does not fit together.
    """
    given: dict[str, Any] = dict(options.transport_options)
    servers: list[Address] = []
    for url in (options.url, *options.alternates):
        found, extra = read_url(url, options.tls)
        servers += found
        given |= extra
    servers = _with_keepalive(servers, given)
    schemes = {server.scheme for server in servers}
    if SENTINEL in schemes:
        return _sentinel(servers, given, options)
    if schemes & {*CLUSTER}:
        return _cluster(servers, options)
    return Topology(
        kind=Kind.SERVERS,
        entrance=msgspec.structs.replace(servers[0], label=_label(servers) if len(servers) > 1 else ""),
        nodes=tuple(servers),
        strategy=options.failover_strategy,
        question_timeout=min(_QUESTION_TIMEOUT, options.connect_timeout),
    )


def _sentinel(servers: list[Address], given: Mapping[str, Any], options: StoreOptions) -> Topology:
    master = given.get("master_name")
    if not master or not isinstance(master, str):
        raise ImproperlyConfigured(
            "sentinel:// needs the name of the master: broker_transport_options (and result_backend_transport_options) "
            '= {"master_name": "..."}, or ?master_name=... in the URL'
        )
    wanted = given.get("min_other_sentinels", 0)
    if not str(wanted).isdigit():
        raise ImproperlyConfigured(f"min_other_sentinels must be a number, it is {wanted!r}")
    keywords = given.get("sentinel_kwargs") or {}
    entrance = _entrance(servers, f" (master {master})")
    return Topology(
        kind=Kind.SENTINEL,
        entrance=entrance,
        nodes=tuple(_watchman(server, keywords) for server in servers),
        strategy=options.failover_strategy,
        master=master,
        min_other_sentinels=int(wanted),
        question_timeout=_question_timeout(keywords, options.connect_timeout),
    )


def _cluster(servers: list[Address], options: StoreOptions) -> Topology:
    entrance = _entrance(servers, "")
    if entrance.database:
        raise ImproperlyConfigured(f"Redis Cluster has database 0 only, the URL names database {entrance.database}")
    return Topology(
        kind=Kind.CLUSTER,
        entrance=entrance,
        nodes=tuple(servers),
        strategy=options.failover_strategy,
        question_timeout=min(_QUESTION_TIMEOUT, options.connect_timeout),
    )


def _entrance(servers: list[Address], note: str) -> Address:
    """What the URLs say of credentials, TLS and database: each may be said by any of them, and by none differently."""
    said: dict[str, Any] = {}
    for server in servers:
        if server.scheme != servers[0].scheme:
            raise ImproperlyConfigured(
                f"the URLs of one deployment begin alike, these with {servers[0].scheme}:// and {server.scheme}://"
            )
        for name in ("username", "password", "database"):
            value = getattr(server, name)
            if value and said.setdefault(name, value) != value:
                raise ImproperlyConfigured(f"the URLs of {_label(servers)} name different {name}s")
    return msgspec.structs.replace(servers[0], host="", port=0, label=_label(servers, said) + note, **said)


def _label(servers: list[Address], said: Mapping[str, Any] | None = None) -> str:
    """All servers in one word, without passwords."""
    if said is None:
        return ";".join(server.public for server in servers)
    places = ",".join(server.place for server in servers)
    return f"{servers[0].scheme}://{places}/{said.get('database', 0)}"


def _watchman(server: Address, keywords: Mapping[str, Any]) -> Address:
    """How a sentinel is entered: with ``sentinel_kwargs`` alone, as Celery and kombu do."""
    tls = {name: value for name, value in keywords.items() if name.startswith("ssl_")}
    for name in keywords:
        if name not in (*_SENTINEL_OPTIONS, *_SENTINEL_KEEPALIVE, *tls):
            known = ", ".join((*_SENTINEL_OPTIONS, *_SENTINEL_KEEPALIVE, "ssl_..."))
            raise ImproperlyConfigured(f"unknown option {name!r} in sentinel_kwargs; there are {known}")
    if tls and not keywords.get("ssl"):
        raise ImproperlyConfigured('sentinel_kwargs has TLS options and no TLS; add "ssl": True')
    if keywords.get("ssl"):
        tls_context_of(tls)
    return msgspec.structs.replace(
        server,
        database=0,
        username=str(keywords.get("username") or ""),
        password=str(keywords.get("password") or ""),
        tls=tls if keywords.get("ssl") else None,
    )


def _question_timeout(keywords: Mapping[str, Any], connect_timeout: float) -> float:
    wanted = keywords.get("socket_timeout") or keywords.get("socket_connect_timeout")
    return float(wanted) if wanted else min(_QUESTION_TIMEOUT, connect_timeout)


def _with_keepalive(servers: list[Address], given: Mapping[str, Any]) -> list[Address]:
    options = given.get("socket_keepalive_options") or {}
    if not isinstance(options, Mapping) or not all(isinstance(part, int) for pair in options.items() for part in pair):
        raise ImproperlyConfigured(
            "socket_keepalive_options must be numbers of socket options and their values, such as "
            f"{{socket.TCP_KEEPIDLE: 10}}; it is {options!r}"
        )
    wanted = given.get("socket_keepalive")
    keepalive = True if wanted is None else bool(wanted)
    return [msgspec.structs.replace(server, keepalive=keepalive, keepalive_options=dict(options)) for server in servers]
