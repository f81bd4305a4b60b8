"""The embedded store: broker and result backend in one SQLite file, for any number of processes on one machine."""

from celeriac.stores.sqlite.factory import open_store, open_sync_store, path_of, url_of
from celeriac.stores.sqlite.place import embedded_path
from celeriac.stores.sqlite.store import SQLiteStore
from celeriac.stores.sqlite.sync import SyncSQLiteStore

__all__ = ["SQLiteStore", "SyncSQLiteStore", "embedded_path", "open_store", "open_sync_store", "path_of", "url_of"]
