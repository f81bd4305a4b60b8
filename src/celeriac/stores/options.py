"""What a store is opened with: plain values, read from the settings at the edge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from celeriac.routing import Queue

__all__ = ["StoreOptions"]


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Values for one store; times are seconds.

    Attributes:
        url: where it is, with the password; the first one where several are named.
        alternates: the URLs of other servers to turn to when that one does not answer.
        failover_strategy: in which order they are tried, see :mod:`celeriac.stores.failover`.
        lease: lifetime of a claim that is not renewed.
        visibility_timeout: age after which an entry of a Celery worker (who does not renew) is taken back.
        dead_letter_queue: the dead-letter queue's name.
        dead_letter_expires: lifetime of a dead letter, None for ever.
        strict_priorities: never serve a lower priority before a higher one.
        publish_timeout: one deadline for connect, publish and confirm.
        connect_timeout: for one attempt to connect.
        pool_limit: connections of a synchronous store at the same time, which it keeps; 0 keeps none, None is no limit.
        retry: keep trying to reach the store again once it was reached; else fail at once.
        max_retries: attempts to reach it again before an error is raised, None for ever.
        synchronous: of SQLite, "NORMAL" or "FULL".
        transport_options: what broker_transport_options or result_backend_transport_options said.
        tls: the TLS options, None without.
        queues: of AMQP: the declared queues, with their exchanges and bindings.
        missing_queue_type: of AMQP: the type of queues that are made at first use.
        missing_exchange_type: of AMQP: the type of their exchanges.
        delayed_queue_type: of AMQP: the type of the queues that keep messages until they are due, where any declared
            queue is a quorum queue; they are classic where none is.
        result_content: of rpc: content type and content encoding of results.
        result_persistent: of rpc: results survive a restart of the server.
        result_expires: of rpc: seconds after which a reply queue that nobody uses is deleted.
        native_delays: of AMQP: make Celery's queues for delayed delivery too where any declared queue is a quorum
            queue.
    """

    url: str
    alternates: tuple[str, ...] = ()
    failover_strategy: str | Callable[[list[str]], Iterator[str]] = "round-robin"
    lease: float = 15.0
    visibility_timeout: float = 3600.0
    dead_letter_queue: str = "celeriac.dead"
    dead_letter_expires: float | None = 30 * 86400.0
    strict_priorities: bool = False
    publish_timeout: float = 5.0
    connect_timeout: float = 4.0
    pool_limit: int | None = None
    retry: bool = True
    max_retries: int | None = 100
    synchronous: str = "NORMAL"
    transport_options: dict[str, object] = {}
    tls: dict[str, object] | None = None
    queues: tuple[Queue, ...] = ()
    missing_queue_type: str = "classic"
    missing_exchange_type: str | None = None
    delayed_queue_type: str = "quorum"
    native_delays: bool = True
    result_content: tuple[str, str] = ("application/json", "utf-8")
    result_persistent: bool = False
    result_expires: float | None = 86400.0
