"""The stores of one app: one synchronous for the process, one asynchronous for each event loop that asks."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final, NamedTuple

from celeriac.settings.defaults import EMBEDDED
from celeriac.stores.options import StoreOptions

if TYPE_CHECKING:
    import asyncio

    from celeriac.app.app import Celeriac
    from celeriac.settings.snapshot import Settings
    from celeriac.stores.store import Store, SyncStore

__all__ = ["Connections", "backend_options", "broker_options"]

VISIBILITY_TIMEOUT: Final = 3600.0
"""Seconds, as Celery's (protocol.md, section 5.1)."""


class LoopStore(NamedTuple):
    """The store of one event loop, and what closes it."""

    store: Store
    life: AsyncGenerator[None, None]


async def _until_loop_ends(store: Store) -> AsyncGenerator[None, None]:
    """Close the store when this generator is closed: by its owner, or by ``loop.shutdown_asyncgens()``, with which
    ``asyncio.run`` ends every generator that is still open. So nobody has to remember to close."""
    try:
        yield
    finally:
        await store.close()


class Connections:
    """Opens the stores at first use and closes them."""

    def __init__(self, app: Celeriac) -> None:
        self.app = app
        self._lock = threading.Lock()
        self._sync: SyncStore | None = None
        self._loops: dict[asyncio.AbstractEventLoop, asyncio.Task[LoopStore]] = {}

    def sync(self) -> SyncStore:
        """The synchronous store; thread-safe and fork-safe by itself."""
        store = self._sync
        if store is None:
            from celeriac.stores import urls  # here, since who only defines tasks needs no store

            with self._lock:
                store = self._sync
                if store is None:
                    url = self.app.settings.broker_write_url
                    store = self._sync = urls.open_sync_store(broker_options(self.app, url), backend_options(self.app))
        return store

    def make(self) -> Store:
        """A new asynchronous store to receive from, not opened; the caller owns it (a worker does)."""
        return self._make(self.app.settings.broker_read_url)

    def _make(self, broker_url: str | None) -> Store:
        from celeriac.stores import urls

        return urls.open_store(broker_options(self.app, broker_url), backend_options(self.app))

    async def of_running_loop(self) -> Store:
        """The open asynchronous store of the running loop; callers at the same time share one opening.

        It closes when the loop ends (``asyncio.run`` does that), or by :meth:`close_running_loop`.
        """
        import asyncio  # here, since clients that never await need not pay for its import

        loop = asyncio.get_running_loop()
        opening = self._loops.get(loop)
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            for ended in [each for each in self._loops if each.is_closed()]:
                del self._loops[ended]
            opening = self._loops[loop] = loop.create_task(self._open())
        return (await asyncio.shield(opening)).store

    async def _open(self) -> LoopStore:
        store = self._make(self.app.settings.broker_write_url)
        await store.open()
        life = _until_loop_ends(store)
        await anext(life)
        return LoopStore(store, life)

    async def close_running_loop(self) -> None:
        """Close the store of the running loop, if there is one."""
        import asyncio

        opening = self._loops.pop(asyncio.get_running_loop(), None)
        if opening is not None:
            await (await opening).life.aclose()

    def close(self) -> None:
        """Close the synchronous store."""
        with self._lock:
            store, self._sync = self._sync, None
        if store is not None:
            store.close()


def broker_options(app: Celeriac, url: str | None = None) -> StoreOptions:
    """How the app's broker is opened, at ``broker_url`` or another URL."""
    settings = app.settings
    url = url or settings.broker_url or EMBEDDED
    return _options(app, settings, url, settings.broker_transport_options, settings.broker_use_ssl)


def backend_options(app: Celeriac) -> StoreOptions | None:
    """How the app's result backend is opened; None where results are disabled."""
    settings = app.settings
    url = settings.result_backend
    if url is None and app.flavour == "celeriac":
        url = settings.broker_url or EMBEDDED
    if not url or url in ("disabled", "disabled://"):
        return None
    return _options(app, settings, url, settings.result_backend_transport_options, settings.redis_backend_use_ssl)


def _options(
    app: Celeriac, settings: Settings, url: str, transport_options: dict[str, object], tls: object
) -> StoreOptions:
    if url in (EMBEDDED, "sqlite"):
        from celeriac.stores.sqlite import url_of
        from celeriac.stores.sqlite.place import embedded_path

        url = url_of(embedded_path(app.main, settings.store_path))
    visibility = transport_options.get("visibility_timeout", VISIBILITY_TIMEOUT)
    return StoreOptions(
        url=url,
        lease=settings.worker_lease,
        visibility_timeout=float(visibility),  # type: ignore[arg-type]  # checked by the settings
        dead_letter_queue=settings.task_dead_letter_queue,
        dead_letter_expires=settings.task_dead_letter_expires,
        strict_priorities=settings.worker_priority_strategy == "strict",
        publish_timeout=settings.publish_timeout,
        connect_timeout=settings.broker_connection_timeout or 4.0,
        retry=settings.broker_connection_retry,
        max_retries=settings.broker_connection_max_retries,
        synchronous=settings.store_synchronous.upper(),
        transport_options=dict(transport_options),
        tls=({} if tls is True else dict(tls)) if tls else None,  # type: ignore[call-overload]  # checked by the settings
    )
