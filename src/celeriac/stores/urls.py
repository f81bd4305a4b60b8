"""From a URL to a store: which plug-in serves a scheme, and whether broker and result backend are one place."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from celeriac.exceptions import ImproperlyConfigured, UnsupportedOption
from celeriac.stores.no_results import NoResults, SyncNoResults
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Store, SyncStore

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

__all__ = ["listed", "masked", "open_store", "open_sync_store", "plug_in", "same_store"]

BROKERS: Final = "celeriac.brokers"
BACKENDS: Final = "celeriac.backends"

_BUILT_IN: Final[dict[str, str]] = {
    "memory": "celeriac.stores.memory",
    "sqlite": "celeriac.stores.sqlite",
    "redis": "celeriac.stores.redis",
    "rediss": "celeriac.stores.redis",
    "redis+socket": "celeriac.stores.redis",
    "unix": "celeriac.stores.redis",
    "valkey": "celeriac.stores.redis",
    "valkeys": "celeriac.stores.redis",
    "valkey+socket": "celeriac.stores.redis",
    "sentinel": "celeriac.stores.redis",
    "redis+cluster": "celeriac.stores.redis",
    "rediss+cluster": "celeriac.stores.redis",
    "valkey+cluster": "celeriac.stores.redis",
    "valkeys+cluster": "celeriac.stores.redis",
    "amqp": "celeriac.stores.amqp",
    "amqps": "celeriac.stores.amqp",
    "pyamqp": "celeriac.stores.amqp",
    "librabbitmq": "celeriac.stores.amqp",
}
"""The plug-in module of each scheme."""

_EXTRAS: Final[dict[str, tuple[str, str]]] = {
    "celeriac.stores.redis": ("redis", "redis"),
    "celeriac.stores.amqp": ("pamqp", "amqp"),
}
"""Of each plug-in that needs one: the client library's module and our extra that installs it."""

_PORTS: Final[dict[str, int]] = {"redis": 6379, "sentinel": 26379, "redis+cluster": 6379}
"""Technologies whose URL path is a database of one server, with the port that a URL without one means."""

_SAME_TECHNOLOGY: Final[dict[str, str]] = {
    "rediss": "redis",
    "valkey": "redis",
    "valkeys": "redis",
    "unix": "redis+socket",
    "valkey+socket": "redis+socket",
    "rediss+cluster": "redis+cluster",
    "valkey+cluster": "redis+cluster",
    "valkeys+cluster": "redis+cluster",
}
"""Schemes that name one technology."""

_SECURE: Final = frozenset({"rediss", "valkeys", "rediss+cluster", "valkeys+cluster"})
"""Schemes of them that mean TLS."""

_DATABASE_OPTIONS: Final = frozenset({"db", "virtual_host"})
"""Options in a URL's query that name a database."""

_LISTS: Final = frozenset(
    {"amqp", "amqps", "pyamqp", "librabbitmq", "redis", "rediss", "valkey", "valkeys"}
) | frozenset({"sentinel", "redis+cluster", "rediss+cluster", "valkey+cluster", "valkeys+cluster"})
"""Schemes of which a list may be given."""

_BETWEEN_URLS: Final = re.compile(r";(?=[a-zA-Z][a-zA-Z0-9+.-]*://)")
_SECRET_IN_QUERY: Final = re.compile(r"(?i)([?&](?:password|passwd|secret|token)=)[^&#;]*")
_MASK: Final = "**"


class PlugIn(Protocol):
    """What a plug-in gives: a module, or a class or object named ``module:Name``."""

    open_store: Callable[[StoreOptions], Store]
    open_sync_store: Callable[[StoreOptions], SyncStore]


def open_store(broker: StoreOptions, backend: StoreOptions | None) -> Store:
    """Make the store that an app's broker and result backend are together; ``await store.open()`` comes next.

    Args:
        broker: where messages are.
        backend: where results are; None when results are disabled.

    Raises:
        ImproperlyConfigured: a scheme is unknown or its client library is missing.
        UnsupportedOption: a URL names several servers of a technology without failover.
    """
    broker = _listed(broker, "broker_url")
    opened = plug_in(broker.url, BROKERS).open_store
    _check_list(broker, "broker_url", opened, BROKERS)
    if backend is None:
        return NoResults(opened(broker))
    backend = _listed(backend, "result_backend")
    if same_store(broker, backend) or _is_rpc(backend):
        _check_rpc(broker, backend)
        if not _takes_results(opened):
            return opened(broker)
        return cast(Any, opened)(broker, backend)  # type: ignore[no-any-return]
    from celeriac.stores.two_stores import TwoStores  # here, since most apps have one store

    results = plug_in(backend.url, BACKENDS).open_store
    _check_list(backend, "result_backend", results, BACKENDS)
    return TwoStores(opened(broker), results(backend), broker.lease)


def open_sync_store(broker: StoreOptions, backend: StoreOptions | None) -> SyncStore:
    """The synchronous twin of :func:`open_store`."""
    broker = _listed(broker, "broker_url")
    opened = plug_in(broker.url, BROKERS).open_sync_store
    _check_list(broker, "broker_url", opened, BROKERS)
    if backend is None:
        return SyncNoResults(opened(broker))
    backend = _listed(backend, "result_backend")
    if same_store(broker, backend) or _is_rpc(backend):
        _check_rpc(broker, backend)
        if not _takes_results(opened):
            return opened(broker)
        return cast(Any, opened)(broker, backend)  # type: ignore[no-any-return]
    from celeriac.stores.two_stores import SyncTwoStores

    results = plug_in(backend.url, BACKENDS).open_sync_store
    _check_list(backend, "result_backend", results, BACKENDS)
    return SyncTwoStores(opened(broker), results(backend))


def plug_in(url: str, group: str = BROKERS) -> PlugIn:
    """Find the plug-in of a URL: built in, ``module:Name`` in place of a scheme or alone, or an entry point.

    Args:
        url: the store's URL.
        group: the entry-point group, ``celeriac.brokers`` or ``celeriac.backends``.

    Raises:
        ImproperlyConfigured: nothing is known by that scheme, or its client library is missing.
    """
    scheme = _scheme_of(url)
    module = _BUILT_IN.get(scheme.lower())
    if module is not None:
        return _built_in(module, url)
    if ":" in scheme or "." in scheme:
        return _by_name(scheme, url)
    for entry in _entry_points(group):
        if entry.name != scheme:
            continue
        return cast(PlugIn, entry.load())
    raise ImproperlyConfigured(_unknown(scheme, group, url))


def same_store(broker: StoreOptions, backend: StoreOptions) -> bool:
    """Broker and backend are one place, so that a settlement is one atomic step there.

    One place is the same hosts, ports and credentials; on Redis the databases may differ (DECISIONS: a script may write
    several of them). Names that resolve to one address but are written differently count as two places.
    """
    return _place(broker) == _place(backend) and broker.tls == backend.tls


def masked(url: str) -> str:
    """The URL (or several, separated by ``;``) with its passwords hidden, for logs and errors."""
    return ";".join(_masked_one(each) for each in _BETWEEN_URLS.split(url))


def listed(url: str | list[str] | tuple[str, ...], setting: str = "broker_url") -> tuple[str, ...]:
    """The URLs of a setting that may be a list, or several separated by ``;``.

    Raises:
        ImproperlyConfigured: there is none.
    """
    parts = [part for each in ([url] if isinstance(url, str) else url) for part in _BETWEEN_URLS.split(each)]
    found = tuple(part.strip(" ;") for part in parts if part.strip(" ;"))
    if not found:
        raise ImproperlyConfigured(f"{setting} is empty: give it a URL such as sqlite:// or redis://localhost:6379/0")
    return found


def _entry_points(group: str) -> EntryPoints:
    """The installed plug-ins of a group."""
    from importlib import metadata  # here, since it is slow to import and rarely needed

    return metadata.entry_points(group=group)


def _masked_one(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    # The last @ ends the password even where it holds another one unquoted, and rather hide too much than too little.
    location, question, query = rest.partition("?")
    if "@" not in location:
        location, question, query = rest, "", ""
    credentials, at, place = location.rpartition("@")
    user, colon, _ = credentials.partition(":")
    hidden = f"{scheme}{separator}{user}{colon and colon + _MASK}{at}{place}{question}{query}"
    return _SECRET_IN_QUERY.sub(lambda found: found[1] + _MASK, hidden)


def _listed(options: StoreOptions, setting: str) -> StoreOptions:
    """The first URL apart from the others, whose schemes must be served by the same plug-in."""
    first, *others = listed(options.url, setting)
    if not others and first == options.url:
        return options
    return msgspec.structs.replace(options, url=first, alternates=(*others, *options.alternates))


def _check_list(options: StoreOptions, setting: str, opened: object, group: str) -> None:
    """Refuse a list whose servers are not of one technology, or of one that knows no lists.

    Raises:
        UnsupportedOption: it is one.
    """
    for other in options.alternates:
        found = plug_in(other, group)
        if opened not in (found.open_store, found.open_sync_store) or _scheme_of(other).lower() not in _LISTS:
            names = ", ".join(map(masked, (options.url, *options.alternates)))
            raise UnsupportedOption(
                f"{setting} names several servers ({names}), which must be of one technology that knows failover: "
                f"{', '.join(f'{name}://' for name in sorted(_LISTS))}"
            )


def _scheme_of(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    return scheme if separator else url


def _built_in(module: str, url: str) -> PlugIn:
    library, extra = _EXTRAS.get(module, ("", ""))
    try:
        return cast(PlugIn, importlib.import_module(module))
    except ModuleNotFoundError as error:
        if library and (error.name or "").partition(".")[0] == library:
            raise ImproperlyConfigured(
                f"{masked(url)} needs the package {library!r}, which is not installed: pip install 'celeriac[{extra}]'"
            ) from error
        raise


def _by_name(name: str, url: str) -> PlugIn:
    module, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImproperlyConfigured(f"{masked(url)} names the module {module!r}: {error}") from error
    if attribute:
        found = getattr(found, attribute, None)
    if not hasattr(found, "open_store") or not hasattr(found, "open_sync_store"):
        raise ImproperlyConfigured(
            f"{masked(url)}: {name} must have open_store(options) and open_sync_store(options), "
            "see celeriac.stores.memory for one that does"
        )
    return cast(PlugIn, found)


def _unknown(scheme: str, group: str, url: str) -> str:
    import difflib  # only when something is wrong

    known = sorted({*_BUILT_IN, *(entry.name for entry in _entry_points(group))})
    near = difflib.get_close_matches(scheme.lower(), known, n=1)
    question = f"; did you mean {near[0]}://?" if near else ""
    kind = "broker" if group == BROKERS else "result backend"
    return f"no {kind} is known for {masked(url)!r}; known are {', '.join(f'{name}://' for name in known)}{question}"


def _is_rpc(backend: StoreOptions) -> bool:
    """Results are sent over the broker to those who wait for them."""
    return _scheme_of(backend.url).lower() == "rpc"


def _check_rpc(broker: StoreOptions, backend: StoreOptions) -> None:
    if _is_rpc(backend) and _BUILT_IN.get(_scheme_of(broker.url).lower()) != "celeriac.stores.amqp":
        raise ImproperlyConfigured(
            f"result_backend rpc:// sends results over RabbitMQ, but the broker is {masked(broker.url)}: results can "
            "be there too, leave result_backend out"
        )


def _takes_results(function: Callable[..., object]) -> bool:
    """The plug-in can keep results in another database of the same server: it takes the backend's options too."""
    return len(inspect.signature(function).parameters) > 1


def _place(options: StoreOptions) -> tuple[object, ...]:
    """What must be equal for two stores to be one place."""
    urls = {url for each in (options.url, *options.alternates) for url in listed(each)}
    return frozenset(map(_server, urls)), options.transport_options.get("master_name")


def _server(url: str) -> tuple[object, ...]:
    """What must be equal for two URLs to name one server, or the same ones."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    technology = _SAME_TECHNOLOGY.get(scheme, scheme)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    credentials = (unquote(user), unquote(password))
    options = frozenset((name, value) for name, value in parse_qsl(parts.query) if name not in _DATABASE_OPTIONS)
    hosts = parts.netloc.rpartition("@")[2].lower()
    if technology not in _PORTS:
        return (technology, credentials, options, hosts, parts.path.rstrip("/"))
    each = [urlsplit(f"//{host}") for host in hosts.split(",")]
    places = frozenset((host.hostname or "localhost", host.port or _PORTS[technology]) for host in each)
    return (technology, credentials, options, scheme in _SECURE, places)
