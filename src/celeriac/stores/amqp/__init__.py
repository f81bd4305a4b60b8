"""RabbitMQ as a broker: AMQP 0-9-1 (https://www.rabbitmq.com/amqp-0-9-1-reference)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from celeriac.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from celeriac.stores.options import StoreOptions
    from celeriac.stores.store import Store, SyncStore

__all__ = ["open_store", "open_sync_store"]


def open_store(options: StoreOptions, results: StoreOptions | None = None) -> Store:
    """Make an asynchronous store; ``await store.open()`` comes next.

    Args:
        options: of the messages.
        results: of results that are sent to those who wait for them (``rpc://``).
    """
    if results is not None:
        from celeriac.stores.amqp.rpc import RpcStore

        _check_rpc(results)
        return RpcStore(_with_nodes(options), results)
    from celeriac.stores.amqp.store import AmqpStore  # here, so that clients need not import what workers use

    return AmqpStore(_with_nodes(options))


def open_sync_store(options: StoreOptions, results: StoreOptions | None = None) -> SyncStore:
    """Make a synchronous store for clients; see :func:`open_store`."""
    if results is not None:
        from celeriac.stores.amqp.sync_rpc import SyncRpcStore

        _check_rpc(results)
        return SyncRpcStore(_with_nodes(options), results)
    from celeriac.stores.amqp.sync import SyncAmqpStore

    return SyncAmqpStore(_with_nodes(options))


def _with_nodes(options: StoreOptions) -> StoreOptions:
    """All nodes in one URL."""
    return msgspec.structs.replace(
        options,
        url=";".join((options.url, *options.alternates)),
        alternates=(),
        transport_options={"failover_strategy": options.failover_strategy, **options.transport_options},
    )


def _check_rpc(results: StoreOptions) -> None:
    if not results.url.startswith("rpc:"):
        raise ImproperlyConfigured(
            f"result_backend names RabbitMQ ({results.url.partition(':')[0]}://), which stores no results: use "
            "rpc:// to have them sent to the client, or a store such as redis://localhost:6379/0"
        )
