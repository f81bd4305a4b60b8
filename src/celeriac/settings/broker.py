"""Settings of the broker and of the connection to it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from celeriac.settings.general import GeneralSettings
from celeriac.settings.setting import Count, Seconds, Setting, Urls
from celeriac.settings.special import Tls, TransportOptions

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
    broker_use_ssl: Annotated[Tls, Setting("Use TLS, with these options.", "BROKER_USE_SSL")] = False
    publish_timeout: Annotated[
        Seconds, Setting("One deadline for connecting, publishing and the broker's confirmation.", ours=True)
    ] = 5.0
