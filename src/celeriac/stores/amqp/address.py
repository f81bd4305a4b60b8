"""Where RabbitMQ's nodes are and how to get in, read from URLs and options."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings.suggestions import did_you_mean
from celeriac.stores.failover import STRATEGIES, Strategy
from celeriac.stores.options import StoreOptions

__all__ = ["OPTIONS", "SCHEMES", "Address", "Node", "address_of"]

_PLAIN: Final = ("amqp", "pyamqp", "librabbitmq")
_TLS: Final = ("amqps",)
SCHEMES: Final = _PLAIN + _TLS
_PORT: Final = 5672
_TLS_PORT: Final = 5671
_HOST: Final = "localhost"
_GUEST: Final = "guest"
"""User and password where none is given, as Celery has it."""
DEFAULT_HEARTBEAT: Final = 10
"""Seconds; a half-open connection is noticed after one and a half of that. RabbitMQ's guide advises 5 to 20."""
_LONGEST_HEARTBEAT: Final = 65535
_METHODS: Final = ("PLAIN", "AMQPLAIN", "EXTERNAL")
_TLS_OPTIONS: Final = (
    "cert_reqs",
    "ca_certs",
    "certfile",
    "keyfile",
    "password",
    "check_hostname",
    "ciphers",
    "server_hostname",
)
_IN_QUERY: Final = ("heartbeat", "login_method", "failover_strategy")
OPTIONS: Final = (*_IN_QUERY, "client_properties")
"""What is read from ``transport_options`` here."""
_CERT_REQS: Final[dict[object, ssl.VerifyMode]] = {
    "required": ssl.CERT_REQUIRED,
    "cert_required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "cert_optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
    "cert_none": ssl.CERT_NONE,
    None: ssl.CERT_NONE,
    **{mode: mode for mode in ssl.VerifyMode},
}
_BETWEEN_URLS: Final = re.compile(r";\s*(?=[a-zA-Z][a-zA-Z0-9+.-]*://)")


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node and a virtual host on it.

    Attributes:
        url: as it was written, with the password.
        host: name or address.
        port: TCP port.
        virtual_host: its name.
        username: who we are.
        password: our password.
        tls: the TLS options, None without TLS.
    """

    url: str
    host: str = _HOST
    port: int = _PORT
    virtual_host: str = "/"
    username: str = _GUEST
    password: str = _GUEST
    tls: dict[str, object] | None = None

    @property
    def public(self) -> str:
        """The URL without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "amqp" if self.tls is None else "amqps"
        return f"{scheme}://{self.username}@{host}:{self.port}/{self.virtual_host}"

    @property
    def server_hostname(self) -> str:
        """The name that the server's certificate must have."""
        return str((self.tls or {}).get("server_hostname") or self.host)

    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS context, None without TLS."""
        return None if self.tls is None else _context_of(self.tls)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster, and how to speak with it.

    Attributes:
        nodes: at least one.
        heartbeat: seconds that we propose, 0 for none.
        login_method: None for the first of ours that the server offers.
        failover_strategy: ``round-robin``, ``shuffle`` or the user's own.
        client_properties: what the server shows of us besides our own.
    """

    nodes: tuple[Node, ...]
    heartbeat: int = DEFAULT_HEARTBEAT
    login_method: str | None = None
    failover_strategy: Strategy = "round-robin"
    client_properties: Mapping[str, Any] = {}

    @property
    def public(self) -> str:
        """All URLs without passwords."""
        return ";".join(node.public for node in self.nodes)


def address_of(options: StoreOptions) -> Address:
    """Read the address of a store.

    Args:
        options: ``url`` is one or several (separated by ``;``) of
            ``amqp://[user[:password]@][host][:port][/virtual host][?option=value]``, ``amqps://`` for TLS; ``pyamqp``
            and ``librabbitmq`` mean ``amqp``. Options are ``heartbeat``, ``login_method``, ``failover_strategy`` (also
            in ``transport_options``, which give way) and the TLS options.

    Raises:
        ImproperlyConfigured: a URL or an option cannot be understood; the text never holds the password.
    """
    urls = [url.strip() for url in _BETWEEN_URLS.split(options.url) if url.strip()]
    if not urls:
        raise ImproperlyConfigured("the broker URL is empty: name a server such as amqp://guest:guest@localhost:5672//")
    found: dict[str, Any] = {
        name: options.transport_options[name] for name in OPTIONS if name in options.transport_options
    }
    nodes = []
    for url in urls:
        node, query = _node_of(url, options.tls)
        nodes.append(node)
        found |= query
    return Address(
        nodes=tuple(nodes),
        heartbeat=_heartbeat(found.get("heartbeat")),
        login_method=_login_method(found.get("login_method")),
        failover_strategy=_strategy(found.get("failover_strategy")),
        client_properties=_client_properties(found.get("client_properties")),
    )


def _node_of(url: str, tls: dict[str, object] | None) -> tuple[Node, dict[str, str]]:
    """A node, and the options of its URL that are for the whole connection."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"the AMQP URL cannot be read: {error}") from None
    if parts.scheme not in SCHEMES:
        raise ImproperlyConfigured(f"{parts.scheme}:// is no AMQP URL; use one of {', '.join(SCHEMES)}")
    query = {name.removeprefix("ssl_"): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
    _known(query, (*_IN_QUERY, *_TLS_OPTIONS), "option", "in the AMQP URL")
    own_tls = {name: value for name, value in query.items() if name in _TLS_OPTIONS}
    has_tls = parts.scheme in _TLS or tls is not None
    if own_tls and not has_tls:
        raise ImproperlyConfigured("the AMQP URL has TLS options and no TLS; write amqps:// instead of amqp://")
    together = {name.removeprefix("ssl_"): value for name, value in (tls or {}).items()} | own_tls
    if has_tls:
        _context_of(together)
    node = Node(
        url=url,
        host=parts.hostname or _HOST,
        port=port or (_TLS_PORT if has_tls else _PORT),
        virtual_host=unquote(parts.path.removeprefix("/")) or "/",
        username=unquote(parts.username or _GUEST),
        password=unquote(parts.password or _GUEST),
        tls=together if has_tls else None,
    )
    return node, {name: value for name, value in query.items() if name in _IN_QUERY}


def _known(names: Iterable[str], known: tuple[str, ...], what: str, where: str) -> None:
    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            raise ImproperlyConfigured(f"unknown {what} {name!r} {where}; there are {', '.join(known)}{near}")


def _heartbeat(value: object) -> int:
    if value is None:
        return DEFAULT_HEARTBEAT
    try:
        seconds = round(float(str(value)))
    except (ValueError, OverflowError):
        seconds = -1
    if not 0 <= seconds <= _LONGEST_HEARTBEAT:
        raise ImproperlyConfigured(f"the heartbeat of a broker is a number of seconds, 0 for none; it is {value!r}")
    return seconds


def _login_method(value: object) -> str | None:
    if not value:
        return None
    if str(value).upper() not in _METHODS:
        raise ImproperlyConfigured(f"broker_login_method must be one of {', '.join(_METHODS)}; it is {value!r}")
    return str(value).upper()


def _strategy(value: Any) -> Strategy:
    if callable(value):
        return cast(Strategy, value)
    if value is None or value in STRATEGIES:
        return str(value or STRATEGIES[0])
    raise ImproperlyConfigured(
        f"broker_failover_strategy must be {' or '.join(STRATEGIES)}, or a function; it is {value!r}"
    )


def _client_properties(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"client_properties must be a dictionary; it is {value!r}")
    return value


def _context_of(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Make the TLS context; certificates are required unless the options say otherwise."""
    _known(options, _TLS_OPTIONS, "TLS option", "for AMQP")
    wanted = options.get("cert_reqs", ssl.CERT_REQUIRED)
    mode = _CERT_REQS.get(wanted.lower() if isinstance(wanted, str) else wanted)
    if mode is None:
        raise ImproperlyConfigured(f"cert_reqs must be required, optional or none; it is {wanted!r}")
    try:
        context = ssl.create_default_context(cafile=options.get("ca_certs"))
        context.check_hostname = mode is ssl.CERT_REQUIRED and _is_true(options.get("check_hostname", True))
        context.verify_mode = mode
        if certificate := options.get("certfile"):
            context.load_cert_chain(certificate, options.get("keyfile"), options.get("password"))
        if ciphers := options.get("ciphers"):
            context.set_ciphers(ciphers)
    except OSError as error:
        raise ImproperlyConfigured(f"the TLS options of the broker cannot be used: {error}") from None
    return context


def _is_true(value: object) -> bool:
    return str(value).lower() not in {"false", "0", "no", "off"}
