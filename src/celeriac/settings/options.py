"""The keys of settings that are dictionaries.

Each class is a table of keys, their kinds and meanings; the settings hold dictionaries with the keys that were given.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypedDict

from celeriac.settings.setting import Anything, Count, Positive, Seconds, Setting, Steps

__all__ = ["FUTURE_OPTIONS", "OPTION_TABLES", "ResultTransportKeys", "RetryPolicyKeys", "TransportKeys"]


class RetryPolicyKeys(TypedDict, total=False):
    """How a publication that failed is tried again."""

    max_retries: Annotated[Count | None, Setting("Attempts after the first; None is no limit.")]
    interval_start: Annotated[Seconds, Setting("Pause before the first repetition.")]
    interval_step: Annotated[Seconds, Setting("What each pause is longer than the one before.")]
    interval_max: Annotated[Seconds, Setting("The longest pause.")]


class TransportKeys(TypedDict, total=False):
    """Options of the broker's client."""

    visibility_timeout: Annotated[
        Seconds, Setting("After which an unacknowledged message of a Celery worker is delivered again; 3600.")
    ]
    global_keyprefix: Annotated[str, Setting("Put before the name of every key.")]
    priority_steps: Annotated[Steps, Setting("Priorities that have a list of their own; 0, 3, 6 and 9.")]
    sep: Annotated[str, Setting("Between the name of a queue and its priority step; the bytes 06 and 16.")]
    queue_order_strategy: Annotated[
        Literal["round_robin"], Setting("Order in which the queues are looked at; no other is supported yet.")
    ]
    fanout_prefix: Annotated[
        bool | str, Setting("Put before the name of a broadcast channel; True is the number of the database.")
    ]
    fanout_patterns: Annotated[bool, Setting("The routing key is a part of the name of a broadcast channel.")]
    unacked_key: Annotated[str, Setting("The hash of messages that are not acknowledged.")]
    unacked_index_key: Annotated[str, Setting("The sorted set of when they were delivered.")]
    socket_timeout: Annotated[Seconds | None, Setting("Time limit of one command on a connection.")]
    socket_connect_timeout: Annotated[Seconds | None, Setting("Time limit for opening a connection.")]
    socket_keepalive: Annotated[bool, Setting("TCP keepalive; False switches it off.")]
    health_check_interval: Annotated[
        Seconds | None, Setting("Idle time after which a connection is checked before its use.")
    ]
    socket_keepalive_options: Annotated[
        Anything, Setting("Socket options of TCP keepalive by number, such as {socket.TCP_KEEPIDLE: 10}.")
    ]
    retry_on_timeout: Annotated[bool, Setting("Repeat a command that timed out.")]
    max_connections: Annotated[Positive, Setting("Connections of one pool.")]
    master_name: Annotated[str, Setting("The name by which the sentinels know the master.")]
    min_other_sentinels: Annotated[Count, Setting("A sentinel that knows fewer others is not believed.")]
    sentinel_kwargs: Annotated[
        Anything,
        Setting("How the sentinels are entered: username, password, ssl and ssl_... options, socket_timeout."),
    ]
    wait_replicas: Annotated[
        Count, Setting("A publication counts as confirmed once so many replicas have it, else NotReplicated is raised.")
    ]
    wait_replicas_timeout: Annotated[Seconds, Setting("Time that the replicas have for that; 1.")]
    client_name: Annotated[str | None, Setting("Name of the connections on the server.")]
    confirm_publish: Annotated[bool, Setting("AMQP: publications are confirmed; they always are.")]
    client_properties: Annotated[Anything, Setting("AMQP: what the server shows of a connection.")]
    login_method: Annotated[str | None, Setting("AMQP: as ``broker_login_method``, before which it counts.")]
    consumer_timeout: Annotated[
        Seconds,
        Setting("AMQP: the server's time limit for an acknowledgement, which longer tasks must evade; 1800."),
    ]
    body_encoding: Annotated[
        Literal["base64"], Setting("How the body is embedded in its envelope; no other way is supported yet.")
    ]
    clock: Annotated[Anything, Setting("The virtual clock of a store in memory.")]


class ResultTransportKeys(TypedDict, total=False):
    """Options of the result store."""

    global_keyprefix: Annotated[str, Setting("Put before the name of every key, followed by an underscore.")]
    master_name: Annotated[str, Setting("The name by which the sentinels know the master.")]
    min_other_sentinels: Annotated[Count, Setting("A sentinel that knows fewer others is not believed.")]
    sentinel_kwargs: Annotated[
        Anything, Setting("How the sentinels are entered; these three are the broker's where none is given.")
    ]
    clock: Annotated[Anything, Setting("The virtual clock of a store in memory.")]


OPTION_TABLES: Final[dict[str, Any]] = {
    "broker_transport_options": TransportKeys,
    "result_backend_transport_options": ResultTransportKeys,
    "task_publish_retry_policy": RetryPolicyKeys,
}

# Keys that Celery and kombu know for the transports of this world, and that this release has no use for.
_FUTURE_OPTIONS: Final = """
    ack_emulation additional_connection_errors brpop_timeout connection_pool
    credential_provider data_folder_in data_folder_out deadletter_queue fifo_message_group_id interval_max
    interval_start interval_step is_secure max_retries polling_interval
    predefined_queues processed_folder queue_name_prefix queue_tags read_timeout reauth_check_interval region
    reject_on_worker_lost result_chord_ordered retry_policy sentinels socket_read_size
    socket_settings ssl store_processed sts_role_arn sts_token_timeout unacked_mutex_expire unacked_mutex_key
    unacked_restore_interval
    unacked_restore_limit unacked_restore_throttle wait_time_seconds write_timeout
"""

FUTURE_OPTIONS: Final = frozenset(_FUTURE_OPTIONS.split())
