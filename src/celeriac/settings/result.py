"""Settings of results and of the store they are in."""

from __future__ import annotations

from math import inf
from typing import Annotated

import msgspec

from celeriac.settings import kinds
from celeriac.settings.broker import BrokerSettings
from celeriac.settings.setting import Bytes, Count, Milliseconds, Positive, Seconds, Setting, Urls
from celeriac.settings.special import ResultTransportOptions, Tls

__all__ = ["ResultSettings"]


class ResultSettings(BrokerSettings, frozen=True, kw_only=True):
    """Where results are, how long, and in which form."""

    result_backend: Annotated[
        Urls,
        Setting(
            'The store of results; "disabled" is none.',
            "CELERY_RESULT_BACKEND",
            environment=("CELERIAC_RESULT_BACKEND", "CELERY_RESULT_BACKEND"),
        ),
    ] = "sqlite://"
    result_backend_transport_options: Annotated[
        ResultTransportOptions,
        Setting("Options of the result store, as far as given.", "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS"),
    ] = msgspec.field(default_factory=dict)
    result_expires: Annotated[
        Seconds | None, Setting("Lifetime of a result; None or 0 is for ever.", "CELERY_TASK_RESULT_EXPIRES")
    ] = 86400.0
    result_extended: Annotated[
        bool, Setting("Store name, arguments, worker and queue of a task with its result.", "CELERY_RESULT_EXTENDED")
    ] = False
    result_serializer: Annotated[str, Setting("Serializer of results.", "CELERY_RESULT_SERIALIZER")] = "json"
    result_max_size: Annotated[
        Bytes, Setting("The largest encoded result; a task that returns more fails.", ours=True)
    ] = 32 * 1024 * 1024
    result_backend_always_retry: Annotated[
        bool,
        Setting("Repeat what failed for a passing reason, with pauses.", "CELERY_RESULT_BACKEND_ALWAYS_RETRY"),
    ] = False
    result_backend_max_retries: Annotated[
        Count | Annotated[float, kinds.NUMBER],
        Setting('Repetitions; float("inf") is no limit.', "CELERY_RESULT_BACKEND_MAX_RETRIES"),
    ] = inf
    result_backend_base_sleep_between_retries_ms: Annotated[
        Milliseconds,
        Setting("The first pause; it doubles each time.", "CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS"),
    ] = 10
    result_backend_max_sleep_between_retries_ms: Annotated[
        Milliseconds, Setting("The longest pause.", "CELERY_RESULT_BACKEND_MAX_SLEEP_BETWEEN_RETRIES_MS")
    ] = 10_000
    redis_backend_use_ssl: Annotated[
        Tls | None, Setting("Use TLS to the result store, with these options.", "CELERY_REDIS_BACKEND_USE_SSL")
    ] = None
    redis_max_connections: Annotated[
        Positive | None, Setting("Connections of the result client.", "CELERY_REDIS_MAX_CONNECTIONS")
    ] = None
    redis_socket_timeout: Annotated[
        Seconds | None, Setting("Time limit of one command of the result client.", "CELERY_REDIS_SOCKET_TIMEOUT")
    ] = 120.0
    redis_socket_connect_timeout: Annotated[
        Seconds | None,
        Setting("Time limit for opening a connection of the result client.", "CELERY_REDIS_SOCKET_CONNECT_TIMEOUT"),
    ] = None
    redis_retry_on_timeout: Annotated[
        bool, Setting("The result client repeats a command that timed out.", "CELERY_REDIS_RETRY_ON_TIMEOUT")
    ] = False
    redis_socket_keepalive: Annotated[
        bool, Setting("TCP keepalive for the result client; it is always on.", "CELERY_REDIS_SOCKET_KEEPALIVE")
    ] = False
    redis_backend_health_check_interval: Annotated[
        Seconds | None, Setting("Idle time after which a connection of the result client is checked before its use.")
    ] = None
    result_persistent: Annotated[
        bool | None, Setting("rpc: results survive a restart of the server.", "CELERY_RESULT_PERSISTENT")
    ] = None
    redis_client_name: Annotated[str | None, Setting("Name of the result client's connections on the server.")] = None
