"""Where a Redis or Valkey server is and how to get in, read from a URL and options."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.options import StoreOptions

__all__ = ["CLUSTER", "SCHEMES", "SENTINEL", "Address", "address_of", "read_url", "same_server", "tls_context_of"]

_PLAIN: Final = ("redis", "valkey")
_TLS: Final = ("rediss", "valkeys", "rediss+cluster", "valkeys+cluster")
_SOCKET: Final = ("redis+socket", "valkey+socket", "unix")
SENTINEL: Final = "sentinel"
CLUSTER: Final = ("redis+cluster", "valkey+cluster", "rediss+cluster", "valkeys+cluster")
SCHEMES: Final = tuple(dict.fromkeys((*_PLAIN, *_TLS, *_SOCKET, SENTINEL, *CLUSTER)))
_DEFAULT_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_DEFAULT_HOST: Final = "localhost"
_TLS_OPTIONS: Final = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
_DEPLOYMENT_OPTIONS: Final = ("master_name", "min_other_sentinels", "wait_replicas", "wait_replicas_timeout")
"""Transport options that may stand in the URL too, so that one environment variable says everything."""
_OPTIONS: Final = ("db", "virtual_host", "username", "password", *_DEPLOYMENT_OPTIONS, *_TLS_OPTIONS)
_CERT_REQS: Final[dict[object, ssl.VerifyMode]] = {
    "required": ssl.CERT_REQUIRED,
    "cert_required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "cert_optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
    "cert_none": ssl.CERT_NONE,
    **{mode: mode for mode in ssl.VerifyMode},
}


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A server and a database on it.

    Attributes:
        host: name or address; empty with ``path``.
        port: TCP port.
        path: of a Unix socket, empty for TCP.
        database: its number.
        username: for HELLO, "default" when only a password is known.
        password: empty without one.
        tls: the TLS options, None without TLS.
        keepalive: let the kernel notice a peer that is gone.
        keepalive_options: what to set instead of our own: numbers of socket options and their values.
        scheme: of the URL, for messages.
        label: what messages call it instead of its URL.
    """

    host: str = ""
    port: int = _DEFAULT_PORT
    path: str = ""
    database: int = 0
    username: str = ""
    password: str = ""
    tls: dict[str, object] | None = None
    keepalive: bool = True
    keepalive_options: dict[int, int] = {}
    scheme: str = "redis"
    label: str = ""

    @property
    def public(self) -> str:
        """The URL without the password."""
        if self.label:
            return self.label
        user = f"{self.username}@" if self.username else ""
        if self.path:
            return f"{self.scheme}://{user}{self.path}?db={self.database}"
        return f"{self.scheme}://{user}{self.place}/{self.database}"

    @property
    def place(self) -> str:
        """Host and port, or the path of the socket: what two addresses of one server have in common."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS context, None without TLS."""
        return None if self.tls is None else tls_context_of(self.tls)


def same_server(one: Address, other: Address) -> bool:
    """Whether both are databases of one server, entered with the same credentials: then one script settles in both."""
    plain: dict[str, Any] = {"database": 0, "scheme": "", "label": "", "keepalive": True, "keepalive_options": {}}
    return msgspec.structs.replace(one, **plain) == msgspec.structs.replace(other, **plain)


def address_of(options: StoreOptions) -> Address:
    """Read the address of a store; the first one when the URL names several servers. See :func:`read_url`."""
    return read_url(options.url, options.tls)[0][0]


def read_url(url: str, tls: dict[str, object] | None = None) -> tuple[list[Address], dict[str, str]]:
    """Read a URL.

    Args:
        url: ``redis://[[user]:password@]host[:port][/database][?option=value]``, ``rediss://`` for TLS,
            ``redis+socket:///path?virtual_host=<database>`` or ``unix:///path?db=<database>`` for a Unix socket, and
            the same with ``valkey``; ``sentinel://`` and ``redis+cluster://`` may name several servers, separated by
            commas. Options are ``db``, ``username``, ``password``, the TLS options and those of the deployment.
        tls: TLS options besides those of the URL; None when there are none.

    Returns:
        The servers, and the options of the deployment: ``master_name``, ``min_other_sentinels``, ``wait_replicas`` and
        ``wait_replicas_timeout``.

    Raises:
        ImproperlyConfigured: the URL or a TLS option cannot be understood; the text never holds the password.
    """
    try:
        parts = urlsplit(url)
        places = _places_of(parts)
    except ValueError as error:
        raise ImproperlyConfigured(f"the Redis URL cannot be read: {error}") from None
    if parts.scheme not in SCHEMES:
        raise ImproperlyConfigured(f"{parts.scheme}:// is no Redis URL; use one of {', '.join(SCHEMES)}")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in query:
        if name not in _OPTIONS:
            raise ImproperlyConfigured(f"unknown option {name!r} in the Redis URL; there are {', '.join(_OPTIONS)}")
    on_socket = parts.scheme in _SOCKET
    database = query.get("db", query.get("virtual_host", "" if on_socket else parts.path.strip("/")))
    if database and not database.strip("/").isdigit():
        raise ImproperlyConfigured(f"the database in a Redis URL must be a number, it is {database!r}")
    own_tls = {name: value for name, value in query.items() if name in _TLS_OPTIONS} | (tls or {})
    has_tls = parts.scheme in _TLS or tls is not None
    if own_tls and not has_tls:
        raise ImproperlyConfigured("the Redis URL has TLS options and no TLS; write rediss:// instead of redis://")
    if has_tls:
        tls_context_of(own_tls)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    found = [
        Address(
            host="" if on_socket else host or _DEFAULT_HOST,
            port=port or (_SENTINEL_PORT if parts.scheme == SENTINEL else _DEFAULT_PORT),
            path=unquote(parts.netloc.rpartition("@")[2] + parts.path) if on_socket else "",
            database=int(database.strip("/") or 0),
            username=unquote(user or query.get("username", "")),
            password=unquote(password) or query.get("password", ""),
            tls=own_tls if has_tls else None,
            scheme=parts.scheme,
        )
        for host, port in places
    ]
    return found, {name: value for name, value in query.items() if name in _DEPLOYMENT_OPTIONS}


def _places_of(parts: SplitResult) -> list[tuple[str, int | None]]:
    """Hosts and ports; several only where the scheme stands for several servers."""
    if parts.scheme != SENTINEL and parts.scheme not in CLUSTER:
        return [(parts.hostname or "", parts.port)]
    each = [urlsplit(f"//{place}") for place in parts.netloc.rpartition("@")[2].split(",")]
    return [(place.hostname or "", place.port) for place in each]


def tls_context_of(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Make the TLS context; certificates are required unless the options say otherwise.

    Raises:
        ImproperlyConfigured: an option cannot be understood, or a file cannot be read.
    """
    for name in options:
        if name not in _TLS_OPTIONS:
            raise ImproperlyConfigured(f"unknown TLS option {name!r} for Redis; there are {', '.join(_TLS_OPTIONS)}")
    wanted = options.get("ssl_cert_reqs", ssl.CERT_REQUIRED)
    mode = _CERT_REQS.get(wanted.lower() if isinstance(wanted, str) else wanted)
    if mode is None:
        raise ImproperlyConfigured(f"ssl_cert_reqs must be required, optional or none; it is {wanted!r}")
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        context.check_hostname = mode is ssl.CERT_REQUIRED and _is_true(options.get("ssl_check_hostname", True))
        context.verify_mode = mode
        if certificate := options.get("ssl_certfile"):
            context.load_cert_chain(certificate, options.get("ssl_keyfile"))
    except OSError as error:
        raise ImproperlyConfigured(f"the TLS files of the Redis URL cannot be used: {error}") from None
    return context


def _is_true(value: object) -> bool:
    return str(value).lower() not in {"false", "0", "no", "off"}
