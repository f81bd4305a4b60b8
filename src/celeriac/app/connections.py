"""The stores of one app: one synchronous for the process, one asynchronous for each event loop that asks."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from celeriac.exceptions import BrokerUnreachable, OperationalError
from celeriac.settings.defaults import EMBEDDED
from celeriac.stores.bounds import Bounds, seconds_within
from celeriac.stores.options import StoreOptions

if TYPE_CHECKING:
    import asyncio

    from celeriac.app.app import Celeriac
    from celeriac.settings.snapshot import Settings
    from celeriac.stores.store import Store, SyncStore

__all__ = ["Connections", "backend_options", "broker_options"]

T = TypeVar("T")

_OF_SENTINEL: Final = frozenset({"master_name", "sentinel_kwargs", "min_other_sentinels"})
CONNECT_TIMEOUT: Final = 4.0
"""Seconds for one attempt to connect where ``broker_connection_timeout`` is 0 or None: there is always an end."""

_AMQP: Final = ("amqp:", "amqps:", "pyamqp:", "librabbitmq:")
"""How the URLs of AMQP begin."""

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

    @property
    def place(self) -> str:
        """Where is published to, without passwords, for messages."""
        from celeriac.stores import urls

        return urls.masked(self.app.settings.broker_write_url or EMBEDDED)

    def make(self) -> Store:
        """A new asynchronous store to receive from, not opened; the caller owns it (a worker does)."""
        return self._make(self.app.settings.broker_read_url)

    def _make(self, broker_url: str | None) -> Store:
        from celeriac.stores import urls

        return urls.open_store(broker_options(self.app, broker_url), backend_options(self.app))

    async def call(self, function: Callable[[Store], Awaitable[T]]) -> T:
        """Call the store of the running loop, opened first if need be, all within ``publish_timeout``.

        Raises:
            BrokerUnreachable, OperationalError: not in that time, or the store says so.
        """
        import asyncio

        reached = False
        with Bounds(self.app.settings.publish_timeout) as limits:
            try:
                async with asyncio.timeout(limits.last):
                    store = await self.of_running_loop()
                    reached = True
                    return await function(store)
            except TimeoutError:
                over = f"within {limits.seconds:.3g} seconds (publish_timeout)"
                if reached:
                    raise OperationalError(f"no answer {over} from the store that {self.place} belongs to") from None
                raise BrokerUnreachable(
                    f"cannot reach {self.place} {over}. Is it running, and is the URL right?"
                ) from None

    async def of_running_loop(self) -> Store:
        """The open asynchronous store of the running loop; callers at the same time share one opening.

        It closes when the loop ends (``asyncio.run`` does that), or by :meth:`close_running_loop`.

        Raises:
            BrokerUnreachable: it cannot be opened within the caller's bounds, or ``publish_timeout`` without any.
        """
        import asyncio  # here, since clients that never await need not pay for its import

        loop = asyncio.get_running_loop()
        opening = self._loops.get(loop)
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            for ended in [each for each in self._loops if each.is_closed()]:
                del self._loops[ended]
            seconds = seconds_within(self.app.settings.publish_timeout)
            opening = self._loops[loop] = loop.create_task(self._open(seconds))
        return (await asyncio.shield(opening)).store

    async def _open(self, seconds: float) -> LoopStore:
        """A store of its own task. It has bounds of its own: those of the caller end with the call, and bind nothing
        afterwards, so that the next callers would wait for an attempt without a deadline."""
        store = self._make(self.app.settings.broker_write_url)
        try:
            with Bounds(seconds):
                await store.open()
        except BaseException:
            await store.close()
            raise
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
    tls = _tls(settings.broker_use_ssl)
    options = _options(app, settings, url, settings.broker_transport_options, tls, settings.broker_pool_limit or 0)
    return _with_queues(app, settings, options) if options.url.startswith(_AMQP) else options


def _with_queues(app: Celeriac, settings: Settings, options: StoreOptions) -> StoreOptions:
    """What only AMQP has to know: the queues with their exchanges, and how to connect."""
    queues = app.router.queues
    client = {"heartbeat": settings.broker_heartbeat or 0, "login_method": settings.broker_login_method}
    return msgspec.structs.replace(
        options,
        queues=tuple(queues[name] for name in queues),
        missing_queue_type=settings.task_create_missing_queue_type,
        missing_exchange_type=settings.task_create_missing_queue_exchange_type,
        delayed_queue_type=settings.broker_native_delayed_delivery_queue_type,
        native_delays=settings.worker_detect_quorum_queues,
        transport_options=client | options.transport_options,
    )


def backend_options(app: Celeriac) -> StoreOptions | None:
    """How the app's result backend is opened; None where results are disabled."""
    settings = app.settings
    url = settings.result_backend
    if url is None and app.flavour == "celeriac":
        url = settings.broker_url or EMBEDDED
    if not url or url in ("disabled", "disabled://"):
        return None
    if url.startswith("rpc:"):
        return _rpc_options(settings)
    given = _result_client(settings) | settings.result_backend_transport_options
    if url.startswith("sentinel:") and "master_name" not in given:
        given = {
            name: value for name, value in settings.broker_transport_options.items() if name in _OF_SENTINEL
        } | given
    if settings.redis_backend_use_ssl is not None:
        return _options(app, settings, url, given, _tls(settings.redis_backend_use_ssl))
    from celeriac.stores.urls import same_store

    # Of one place nobody says twice how it is entered.
    broker, backend = broker_options(app), _options(app, settings, url, given, None)
    backend_there = msgspec.structs.replace(backend, tls=broker.tls)
    return backend_there if same_store(broker, backend_there) else backend


def _rpc_options(settings: Settings) -> StoreOptions:
    """Results travel over the broker."""
    from celeriac.serialization import serializer

    used = serializer(settings.result_serializer)
    return StoreOptions(
        url="rpc://",
        result_content=(used.content_type, used.content_encoding),
        result_persistent=bool(settings.result_persistent),
        result_expires=settings.result_expires,
    )


def _result_client(settings: Settings) -> dict[str, object]:
    """What Celery's settings say of the connections that read results, as transport options."""
    said = {
        "max_connections": settings.redis_max_connections,
        "socket_timeout": settings.redis_socket_timeout,
        "socket_connect_timeout": settings.redis_socket_connect_timeout,
        "retry_on_timeout": settings.redis_retry_on_timeout,
        "health_check_interval": settings.redis_backend_health_check_interval,
        "client_name": settings.redis_client_name,
    }
    return {name: value for name, value in said.items() if value is not None}


def _tls(setting: bool | dict[str, object] | None) -> dict[str, object] | None:
    return ({} if setting is True else dict(setting)) if setting else None


def _options(
    app: Celeriac,
    settings: Settings,
    url: str,
    transport_options: dict[str, object],
    tls: dict[str, object] | None,
    pool_limit: int | None = None,
) -> StoreOptions:
    from celeriac.stores.urls import listed

    if url in (EMBEDDED, "sqlite"):
        from celeriac.stores.sqlite import url_of
        from celeriac.stores.sqlite.place import embedded_path

        url = url_of(embedded_path(app.main, settings.store_path))
    visibility = transport_options.get("visibility_timeout", VISIBILITY_TIMEOUT)
    first, *others = listed(url)
    connect_timeout = transport_options.get("socket_connect_timeout") or settings.broker_connection_timeout
    return StoreOptions(
        url=first,
        alternates=tuple(others),
        failover_strategy=settings.broker_failover_strategy or "round-robin",
        lease=settings.worker_lease,
        visibility_timeout=float(visibility),  # type: ignore[arg-type]  # checked by the settings
        dead_letter_queue=settings.task_dead_letter_queue,
        dead_letter_expires=settings.task_dead_letter_expires,
        strict_priorities=settings.worker_priority_strategy == "strict",
        publish_timeout=settings.publish_timeout,
        connect_timeout=float(connect_timeout or CONNECT_TIMEOUT),  # type: ignore[arg-type]  # checked by the settings
        pool_limit=pool_limit,
        retry=settings.broker_connection_retry,
        max_retries=settings.broker_connection_max_retries,
        synchronous=settings.store_synchronous.upper(),
        transport_options=dict(transport_options),
        tls=tls,
    )
