"""Settings of the broker and of the connection to it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from celeriac.settings.general import GeneralSettings
from celeriac.settings.setting import Bytes, Count, Seconds, Setting, Urls
from celeriac.settings.special import FailoverStrategy, Tls, TransportOptions

__all__ = ["BrokerSettings"]


class BrokerSettings(GeneralSettings, frozen=True, kw_only=True):
    """Where messages are, and how to get there."""

    broker_url: Annotated[
        Urls,
        Setting(
            "The broker; several URLs, in a list or separated by semicolons, are alternatives.",
            "BROKER_URL",
            environment=("CELERIAC_BROKER_URL", "CELERY_BROKER_URL"),
        ),
    ] = "sqlite://"
    broker_read_url: Annotated[
        Urls,
        Setting(
            "The broker that workers read from.",
            "BROKER_READ_URL",
            environment=("CELERIAC_BROKER_READ_URL", "CELERY_BROKER_READ_URL"),
            follows="broker_url",
        ),
    ] = "sqlite://"
    broker_write_url: Annotated[
        Urls,
        Setting(
            "The broker that is published to.",
            "BROKER_WRITE_URL",
            environment=("CELERIAC_BROKER_WRITE_URL", "CELERY_BROKER_WRITE_URL"),
            follows="broker_url",
        ),
    ] = "sqlite://"
    broker_failover_strategy: Annotated[
        FailoverStrategy | None,
        Setting(
            "Order in which several URLs are tried; a function gets all of them and yields them for ever.",
            "BROKER_FAILOVER_STRATEGY",
        ),
    ] = None
    broker_transport_options: Annotated[
        TransportOptions, Setting("Options of the broker's client, as far as given.", "BROKER_TRANSPORT_OPTIONS")
    ] = msgspec.field(default_factory=dict)
    broker_connection_timeout: Annotated[
        Seconds, Setting("Time limit for opening a connection.", "BROKER_CONNECTION_TIMEOUT")
    ] = 4.0
    broker_connection_retry: Annotated[
        bool, Setting("A worker opens a lost connection again.", "BROKER_CONNECTION_RETRY")
    ] = True
    broker_connection_retry_on_startup: Annotated[
        bool,
        Setting(
            "A worker also keeps trying to open its first connection.",
            "BROKER_CONNECTION_RETRY_ON_STARTUP",
            follows="broker_connection_retry",
        ),
    ] = True
    broker_connection_max_retries: Annotated[
        Count | None,
        Setting("Attempts before a worker gives up; None is no limit.", "BROKER_CONNECTION_MAX_RETRIES"),
    ] = 100
    broker_pool_limit: Annotated[
        Count | None, Setting("Connections that a process publishes over; None or 0 is no pool.", "BROKER_POOL_LIMIT")
    ] = 10
    broker_heartbeat: Annotated[
        Seconds | None,
        Setting(
            "AMQP: interval of the heartbeats by which both sides notice that the other is gone; 0 or None is none.",
            "BROKER_HEARTBEAT",
        ),
    ] = 10.0
    broker_login_method: Annotated[
        Literal["PLAIN", "AMQPLAIN", "EXTERNAL"] | None,
        Setting("AMQP: how to log in; None is the first that the server offers.", "BROKER_LOGIN_METHOD"),
    ] = None
    broker_native_delayed_delivery_queue_type: Annotated[
        Literal["quorum", "classic"],
        Setting(
            "AMQP: type of the queues that keep messages until they are due, where any declared queue is a quorum "
            "queue.",
            "BROKER_NATIVE_DELAYED_DELIVERY_QUEUE_TYPE",
        ),
    ] = "quorum"
    broker_use_ssl: Annotated[Tls, Setting("Use TLS, with these options.", "BROKER_USE_SSL")] = False
    publish_timeout: Annotated[
        Seconds,
        Setting(
            "One deadline from the look-up of the broker's name to its confirmation, for publishing and for reading "
            "results.",
            ours=True,
        ),
    ] = 5.0
    publish_buffer_size: Annotated[
        Count,
        Setting("Messages that a client keeps in memory while the broker is away; 0 keeps none.", ours=True),
    ] = 0
    publish_buffer_bytes: Annotated[Bytes, Setting("The most memory that these messages take, encoded.", ours=True)] = (
        64 * 1024 * 1024
    )
