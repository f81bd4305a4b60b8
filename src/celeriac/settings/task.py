"""Settings of tasks: their defaults, how they are sent, routed, acknowledged and lost."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from celeriac.settings.result import ResultSettings
from celeriac.settings.setting import Bytes, Count, Seconds, Setting
from celeriac.settings.special import (
    RETRY_POLICY,
    Annotations,
    DeliveryMode,
    Priority,
    Queues,
    RateLimit,
    RetryPolicy,
    Routes,
)

__all__ = ["TaskSettings"]


class TaskSettings(ResultSettings, frozen=True, kw_only=True):
    """What holds for every task that does not say otherwise itself."""

    task_acks_late: Annotated[bool, Setting("Acknowledge after the run instead of before it.", "CELERY_ACKS_LATE")] = (
        True
    )
    task_acks_on_failure_or_timeout: Annotated[
        bool,
        Setting(
            "With late acknowledgement, also acknowledge what failed or timed out.", "CELERY_ACKS_ON_FAILURE_OR_TIMEOUT"
        ),
    ] = True
    task_acks_on_failure: Annotated[
        bool,
        Setting(
            "With late acknowledgement, also acknowledge what failed; otherwise it is rejected.",
            "CELERY_ACKS_ON_FAILURE",
            follows="task_acks_on_failure_or_timeout",
        ),
    ] = True
    task_acks_on_timeout: Annotated[
        bool,
        Setting(
            "With late acknowledgement, also acknowledge what timed out; otherwise it is delivered again.",
            "CELERY_ACKS_ON_TIMEOUT",
            follows="task_acks_on_failure_or_timeout",
        ),
    ] = True
    task_reject_on_worker_lost: Annotated[
        bool | None,
        Setting(
            "With late acknowledgement, a task whose process was lost is delivered again.",
            "CELERY_REJECT_ON_WORKER_LOST",
        ),
    ] = True
    task_delivery_limit: Annotated[
        Count, Setting("Deliveries after losses before a task goes to the dead-letter queue.", ours=True)
    ] = 3
    task_dead_letter_queue: Annotated[str, Setting("The queue of messages that could not be handled.", ours=True)] = (
        "celeriac.dead"
    )
    task_dead_letter_expires: Annotated[
        Seconds | None, Setting("Lifetime of a message in the dead-letter queue; None is for ever.", ours=True)
    ] = 30 * 86400.0
    task_unregistered_action: Annotated[
        Literal["hold", "reject"],
        Setting("What becomes of a task this worker does not know: held for one that does, or dropped.", ours=True),
    ] = "hold"
    task_unregistered_lifetime: Annotated[
        Seconds, Setting("How long an unknown task is held before it goes to the dead-letter queue.", ours=True)
    ] = 3600.0
    task_revoke_expires: Annotated[Seconds, Setting("Lifetime of a revocation.", ours=True)] = 7 * 86400.0
    task_max_size: Annotated[
        Bytes, Setting("The largest encoded message; larger ones are refused where they are sent.", ours=True)
    ] = 32 * 1024 * 1024

    task_always_eager: Annotated[
        bool, Setting("Run tasks at once in the process that calls them.", "CELERY_ALWAYS_EAGER")
    ] = False
    task_eager_propagates: Annotated[
        bool, Setting("An eager task raises its exception at the caller.", "CELERY_EAGER_PROPAGATES_EXCEPTIONS")
    ] = False
    task_store_eager_result: Annotated[
        bool, Setting("Store the results of eager tasks too.", "CELERY_STORE_EAGER_RESULT")
    ] = False
    task_annotations: Annotated[
        Annotations | None, Setting("Attributes of tasks, by name, given from outside.", "CELERY_ANNOTATIONS")
    ] = None
    task_ignore_result: Annotated[bool, Setting("Store no results.", "CELERY_IGNORE_RESULT")] = False
    task_store_errors_even_if_ignored: Annotated[
        bool, Setting("Store failures even where results are ignored.", "CELERY_STORE_ERRORS_EVEN_IF_IGNORED")
    ] = False
    task_track_started: Annotated[
        bool, Setting("Store the state STARTED when a run begins.", "CELERY_TRACK_STARTED")
    ] = False
    task_remote_tracebacks: Annotated[
        bool, Setting("Raise an error of a task with the traceback of its run.", "CELERY_REMOTE_TRACEBACKS")
    ] = False
    task_time_limit: Annotated[
        Seconds | None, Setting("After which a run is ended by force.", "CELERYD_TASK_TIME_LIMIT")
    ] = None
    task_soft_time_limit: Annotated[
        Seconds | None, Setting("After which SoftTimeLimitExceeded is raised in a run.", "CELERYD_TASK_SOFT_TIME_LIMIT")
    ] = None
    task_repr_maxlevels: Annotated[Count, Setting("Levels of nesting that the text form of arguments shows.")] = 3

    task_serializer: Annotated[str, Setting("Serializer of arguments.", "CELERY_TASK_SERIALIZER")] = "json"
    task_compression: Annotated[
        str | None, Setting("Compression of message bodies, by name.", "CELERY_MESSAGE_COMPRESSION")
    ] = None
    task_publish_retry: Annotated[bool, Setting("Repeat a publication that failed.", "CELERY_TASK_PUBLISH_RETRY")] = (
        True
    )
    task_publish_retry_policy: Annotated[
        RetryPolicy, Setting("How often and with which pauses.", "CELERY_TASK_PUBLISH_RETRY_POLICY")
    ] = msgspec.field(default_factory=RETRY_POLICY.copy)

    task_queues: Annotated[
        Queues | None, Setting("The queues: a list, or a dictionary of options by name.", "CELERY_QUEUES")
    ] = None
    task_queue_max_priority: Annotated[
        Priority | None, Setting("x-max-priority of every queue that has none.", "CELERY_QUEUE_MAX_PRIORITY")
    ] = None
    task_routes: Annotated[
        Routes | None, Setting("Which task goes to which queue: a router or a list of them.", "CELERY_ROUTES")
    ] = None
    task_create_missing_queues: Annotated[
        bool, Setting("A queue that is not in task_queues is created at its first use.", "CELERY_CREATE_MISSING_QUEUES")
    ] = True
    task_create_missing_queue_type: Annotated[
        Literal["classic", "quorum"],
        Setting("x-queue-type of queues created so.", "CELERY_CREATE_MISSING_QUEUE_TYPE"),
    ] = "classic"
    task_create_missing_queue_exchange_type: Annotated[
        str | None, Setting("Exchange type of queues created so.", "CELERY_CREATE_MISSING_QUEUE_EXCHANGE_TYPE")
    ] = None
    task_allow_error_cb_on_chord_header: Annotated[
        bool,
        Setting("chord.link_error() links to the header's members too.", "CELERY_ALLOW_ERROR_CB_ON_CHORD_HEADER"),
    ] = False
    task_workflow_embed: Annotated[
        bool, Setting("Workflows travel whole in their messages, however large: for workers of Celery among ours.")
    ] = False
    task_inherit_parent_priority: Annotated[
        bool, Setting("A task sent by a task has its priority.", "CELERY_INHERIT_PARENT_PRIORITY")
    ] = False
    task_default_queue: Annotated[
        str, Setting("The queue of tasks that no route names one for.", "CELERY_DEFAULT_QUEUE")
    ] = "celery"
    task_default_queue_type: Annotated[
        Literal["classic", "quorum"], Setting("x-queue-type of the default queue.", "CELERY_DEFAULT_QUEUE_TYPE")
    ] = "classic"
    task_default_exchange: Annotated[
        str,
        Setting("Exchange of queues that name none.", "CELERY_DEFAULT_EXCHANGE", follows="task_default_queue"),
    ] = "celery"
    task_default_exchange_type: Annotated[
        str, Setting("Type of the default exchange.", "CELERY_DEFAULT_EXCHANGE_TYPE")
    ] = "direct"
    task_default_routing_key: Annotated[
        str,
        Setting("Routing key of queues that name none.", "CELERY_DEFAULT_ROUTING_KEY", follows="task_default_queue"),
    ] = "celery"
    task_default_delivery_mode: Annotated[
        DeliveryMode, Setting("2 or persistent, 1 or transient.", "CELERY_DEFAULT_DELIVERY_MODE")
    ] = 2
    task_default_rate_limit: Annotated[
        RateLimit | None, Setting("Rate limit of tasks that have none.", "CELERY_DEFAULT_RATE_LIMIT")
    ] = None
    task_default_priority: Annotated[
        Priority | None, Setting("Priority of tasks that have none.", "CELERY_DEFAULT_PRIORITY")
    ] = None
