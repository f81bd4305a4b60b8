"""Settings of workers, of their processes, logs and end."""

from __future__ import annotations

from typing import Annotated, Literal

from celeriac.settings.setting import Count, Kibibytes, Path, Positive, Seconds, Setting
from celeriac.settings.special import Concurrency
from celeriac.settings.task import TaskSettings

__all__ = ["WorkerSettings"]


class WorkerSettings(TaskSettings, frozen=True, kw_only=True):
    """How a worker runs."""

    worker_concurrency: Annotated[
        Concurrency | None,
        Setting("Processes, or slots of other pools; None is one for each processor.", "CELERYD_CONCURRENCY"),
    ] = None
    worker_pool: Annotated[str, Setting("The pool: prefork, threads, asyncio, solo ...", "CELERYD_POOL")] = "prefork"
    worker_start_method: Annotated[
        Literal["forkserver", "spawn", "fork"], Setting("How the processes of a worker are started.", ours=True)
    ] = "forkserver"
    worker_lease: Annotated[
        Seconds, Setting("After which the messages of a worker that died go to another.", ours=True)
    ] = 15.0
    worker_prefetch_multiplier: Annotated[
        Count, Setting("Messages read ahead for each slot; 0 is no limit.", "CELERYD_PREFETCH_MULTIPLIER")
    ] = 4
    worker_priority_strategy: Annotated[
        Literal["weighted", "strict"],
        Setting("Whether low priorities get a share while there are higher ones.", ours=True),
    ] = "weighted"
    worker_disable_rate_limits: Annotated[bool, Setting("No rate limits.", "CELERY_DISABLE_RATE_LIMITS")] = False
    worker_max_tasks_per_child: Annotated[
        Positive | None, Setting("Runs after which a process is replaced.", "CELERYD_MAX_TASKS_PER_CHILD")
    ] = None
    worker_max_memory_per_child: Annotated[
        Kibibytes | None,
        Setting("Resident memory above which a process is replaced after its task.", "CELERYD_MAX_MEMORY_PER_CHILD"),
    ] = None
    worker_lost_wait: Annotated[
        Seconds, Setting("How long the result of a lost process may still be under way.", "CELERYD_WORKER_LOST_WAIT")
    ] = 10.0
    worker_proc_alive_timeout: Annotated[
        Seconds, Setting("Within which a new process must report.", "CELERYD_PROC_ALIVE_TIMEOUT")
    ] = 4.0
    worker_shutdown_grace: Annotated[
        Seconds | None,
        Setting("How long a warm shutdown waits for running tasks; None is without limit.", ours=True),
    ] = None
    worker_soft_shutdown_timeout: Annotated[
        Seconds, Setting("How long a cold shutdown waits for running tasks first.", "CELERYD_SOFT_SHUTDOWN_TIMEOUT")
    ] = 0.0
    worker_enable_soft_shutdown_on_idle: Annotated[
        bool, Setting("It waits even when no task runs.", "CELERYD_ENABLE_SOFT_SHUTDOWN_ON_IDLE")
    ] = False

    worker_hijack_root_logger: Annotated[
        bool, Setting("Remove the handlers that the root logger has.", "CELERYD_HIJACK_ROOT_LOGGER")
    ] = True
    worker_log_color: Annotated[
        bool | None, Setting("Colours in the log; None is on a terminal.", "CELERYD_LOG_COLOR")
    ] = None
    worker_log_format: Annotated[str, Setting("Format of log lines.", "CELERYD_LOG_FORMAT")] = (
        "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"
    )
    worker_log_datefmt: Annotated[str | None, Setting("Format of the time in log lines, as for strftime.")] = None
    worker_task_log_format: Annotated[
        str, Setting("Format of log lines that tasks write.", "CELERYD_TASK_LOG_FORMAT")
    ] = "[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
    worker_task_log_datefmt: Annotated[
        str | None, Setting("Format of the time in log lines that tasks write, as for strftime.")
    ] = None
    worker_redirect_stdouts: Annotated[
        bool, Setting("What tasks print goes to the log.", "CELERY_REDIRECT_STDOUTS")
    ] = True
    worker_redirect_stdouts_level: Annotated[
        str | int, Setting("Log level of what they print.", "CELERY_REDIRECT_STDOUTS_LEVEL")
    ] = "WARNING"
    worker_logfile: Annotated[Path | None, Setting("The log file; None is standard error.")] = None
    worker_detect_quorum_queues: Annotated[
        bool,
        Setting(
            "AMQP: a worker makes Celery's queues for delayed delivery where any declared queue is a quorum queue.",
            "CELERYD_DETECT_QUORUM_QUEUES",
        ),
    ] = True
