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

__all__ = ["masked", "open_store", "open_sync_store", "plug_in", "same_store", "single_url"]

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
}
"""The plug-in module of each scheme."""

_EXTRAS: Final[dict[str, tuple[str, str]]] = {"celeriac.stores.redis": ("redis", "redis")}
"""Of each plug-in that needs one: the client library's module and our extra that installs it."""

_PORTS: Final[dict[str, int]] = {"redis": 6379}
"""Technologies whose URL path is a database of one server, with the port that a URL without one means."""

_SAME_TECHNOLOGY: Final[dict[str, str]] = {
    "rediss": "redis",
    "valkey": "redis",
    "valkeys": "redis",
    "unix": "redis+socket",
    "valkey+socket": "redis+socket",
}
"""Schemes that name one technology."""

_DATABASE_OPTIONS: Final = frozenset({"db", "virtual_host"})
"""Options in a URL's query that name a database."""

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
        UnsupportedOption: a URL names several servers.
    """
    broker = _single(broker, "broker_url")
    opened = plug_in(broker.url, BROKERS).open_store
    if backend is None:
        return NoResults(opened(broker))
    backend = _single(backend, "result_backend")
    if _are_one(broker, backend):
        if not _takes_results(opened):
            return opened(broker)
        return cast(Any, opened)(broker, backend)  # type: ignore[no-any-return]
    from celeriac.stores.two_stores import TwoStores  # here, since most apps have one store

    return TwoStores(opened(broker), plug_in(backend.url, BACKENDS).open_store(backend), broker.lease)


def open_sync_store(broker: StoreOptions, backend: StoreOptions | None) -> SyncStore:
    """The synchronous twin of :func:`open_store`."""
    broker = _single(broker, "broker_url")
    opened = plug_in(broker.url, BROKERS).open_sync_store
    if backend is None:
        return SyncNoResults(opened(broker))
    backend = _single(backend, "result_backend")
    if _are_one(broker, backend):
        if not _takes_results(opened):
            return opened(broker)
        return cast(Any, opened)(broker, backend)  # type: ignore[no-any-return]
    from celeriac.stores.two_stores import SyncTwoStores

    return SyncTwoStores(opened(broker), plug_in(backend.url, BACKENDS).open_sync_store(backend))


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


def same_store(broker_url: str, backend_url: str) -> bool:
    """Broker and backend are one place, so that a settlement is one atomic step there.

    One place is the same host, port and credentials; on Redis the databases may differ (DECISIONS: a script may write
    several of them). Names that resolve to one address but are written differently count as two places.
    """
    return _place(broker_url) == _place(backend_url)


def masked(url: str) -> str:
    """The URL (or several, separated by ``;``) with its passwords hidden, for logs and errors."""
    return ";".join(_masked_one(each) for each in _BETWEEN_URLS.split(url))


def single_url(url: str | list[str] | tuple[str, ...], setting: str = "broker_url") -> str:
    """The one URL of a setting that may be a list, or several separated by ``;``.

    Raises:
        ImproperlyConfigured: there is none.
        UnsupportedOption: there is more than one.
    """
    listed = url.split(";") if isinstance(url, str) else [part for each in url for part in each.split(";")]
    found = [part.strip() for part in listed if part.strip()]
    if not found:
        raise ImproperlyConfigured(f"{setting} is empty: give it a URL such as sqlite:// or redis://localhost:6379/0")
    if len(found) > 1:
        names = ", ".join(map(masked, found))
        raise UnsupportedOption(
            f"{setting} names {len(found)} servers ({names}), but failover between them is not supported: "
            f"name one, such as {masked(found[0])}"
        )
    return found[0]


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


def _single(options: StoreOptions, setting: str) -> StoreOptions:
    url = single_url(options.url, setting)
    return options if url == options.url else msgspec.structs.replace(options, url=url)


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


def _are_one(broker: StoreOptions, backend: StoreOptions) -> bool:
    return same_store(broker.url, backend.url) and broker.tls == backend.tls


def _takes_results(function: Callable[..., object]) -> bool:
    """The plug-in can keep results in another database of the same server: it takes the backend's options too."""
    return len(inspect.signature(function).parameters) > 1


def _place(url: str) -> tuple[object, ...]:
    """What must be equal for two URLs to be one place."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    technology = _SAME_TECHNOLOGY.get(scheme, scheme)
    credentials = (unquote(parts.username or ""), unquote(parts.password or ""))
    options = frozenset((name, value) for name, value in parse_qsl(parts.query) if name not in _DATABASE_OPTIONS)
    if technology not in _PORTS:
        return (technology, credentials, options, parts.netloc.rpartition("@")[2].lower(), parts.path.rstrip("/"))
    secure = scheme in ("rediss", "valkeys")
    host = (parts.hostname or "localhost").lower()
    return (technology, credentials, options, secure, host, parts.port or _PORTS[technology])
