"""From a URL to a store."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from celeriac.exceptions import ImproperlyConfigured
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite.store import SQLiteStore
from celeriac.stores.sqlite.sync import SyncSQLiteStore

__all__ = ["open_store", "open_sync_store", "path_of", "url_of"]

logger = logging.getLogger("celeriac.stores.sqlite")

SCHEME: Final = "sqlite"
SYNCHRONOUS: Final = ("NORMAL", "FULL")


def open_store(options: StoreOptions) -> SQLiteStore:
    """Make a store on the file that the URL names; ``await store.open()`` comes next.

    Raises:
        ImproperlyConfigured: the URL or an option makes no sense.
    """
    return SQLiteStore(path_of(options.url), _checked(options))


def open_sync_store(options: StoreOptions) -> SyncSQLiteStore:
    """Make a synchronous store on the file that the URL names; it connects at its first use.

    Raises:
        ImproperlyConfigured: the URL or an option makes no sense.
    """
    return SyncSQLiteStore(path_of(options.url), _checked(options))


def path_of(url: str) -> Path:
    """The file that a URL names: ``sqlite:////absolute/path`` or ``sqlite:///path/from/the/current/folder``.

    Raises:
        ImproperlyConfigured: it names none.
    """
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.scheme != SCHEME or parts.netloc or parts.query or parts.fragment:
        raise ImproperlyConfigured(
            f"{url!r} is no place of an embedded store: write sqlite:// for the default file, or "
            "sqlite:////var/lib/x.sqlite3 for your own (four slashes: the path begins with one), and nothing behind it"
        )
    if path == ":memory:":
        raise ImproperlyConfigured(f"{url!r}: no other process would see it; write memory:// for that")
    if not path or path.endswith("/"):
        raise ImproperlyConfigured(f"{url!r} names no file")
    return Path(path).expanduser().absolute()


def url_of(path: Path) -> str:
    """The URL that names a file; the inverse of :func:`path_of`."""
    return f"{SCHEME}:///{quote(str(path.absolute()))}"


def _checked(options: StoreOptions) -> StoreOptions:
    if options.synchronous not in SYNCHRONOUS:
        raise ImproperlyConfigured(
            f"the setting store_synchronous is {options.synchronous!r}, and must be one of {', '.join(SYNCHRONOUS)}"
        )
    if options.transport_options:
        names = ", ".join(sorted(options.transport_options))
        logger.warning("the embedded store has no transport options; without effect there: %s", names)
    return options
