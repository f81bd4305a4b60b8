"""Messages and results on Redis or Valkey."""

from __future__ import annotations

from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.address import SCHEMES
from celeriac.stores.store import Store, SyncStore

__all__ = ["SCHEMES", "open_store", "open_sync_store"]


def open_store(options: StoreOptions, results: StoreOptions | None = None) -> Store:
    """Make an asynchronous store; it connects when it is opened.

    Args:
        options: where the messages are, and the results too.
        results: where the results are, when that is another database or prefix of the same server: messages and results
            are still settled in one step.

    Raises:
        ImproperlyConfigured: an option cannot be understood, or the results are on another server.
    """
    from celeriac.stores.redis.store import RedisStore  # clients need no asyncio

    return RedisStore(options, results)


def open_sync_store(options: StoreOptions, results: StoreOptions | None = None) -> SyncStore:
    """Make a synchronous store; it connects at the first call. Arguments and errors are those of :func:`open_store`."""
    from celeriac.stores.redis.sync import RedisSyncStore

    return RedisSyncStore(options, results)
