"""What a worker is started with, and whether its pool can honour it."""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING, Any, Final

import msgspec

from celeriac.exceptions import UnsupportedOption

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.settings.snapshot import Settings

__all__ = ["WorkerOptions", "node_name", "parse_concurrency"]

KIB: Final = 1024
ASYNCIO_CAPACITY: Final = 100
"""Coroutine tasks at the same time when -c is not given."""

_CONCURRENCY = re.compile(r"^(\d+)(?:x(\d+))?$")
_SHARED: Final = ("threads", "asyncio")


class WorkerOptions(msgspec.Struct, kw_only=True):
    """How one worker runs; times in seconds.

    Attributes:
        app_path: where children find the app, see :mod:`celeriac.app.finder`.
        hostname: the node's name.
        pool: prefork, threads, asyncio or solo.
        children, capacity: how many children with how many slots each.
        queues: what to consume; None is what the settings declare.
        soft_time_limit, time_limit: for tasks that have none of their own.
        max_tasks_per_child: requests after which a child is replaced.
        max_memory_per_child: KiB after which a child is replaced.
        describe: make texts of results, for logs and events.
        changes: settings that the command line changed, for the children.
        logging: how children log, see :mod:`celeriac.app.logs`.
    """

    app_path: str
    hostname: str = ""
    pool: str = "prefork"
    children: int = 1
    capacity: int = 1
    queues: list[str] | None = None
    soft_time_limit: float | None = None
    time_limit: float | None = None
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None
    describe: bool = False
    changes: dict[str, Any] = {}
    logging: dict[str, Any] = {}

    @property
    def concurrency(self) -> int:
        """Tasks at the same time."""
        return self.children * self.capacity

    def child_arguments(self, app: Celeriac) -> dict[str, Any]:
        """What the runner in a child is made with."""
        return {
            "app": self.app_path,
            "hostname": self.hostname,
            "describe": self.describe,
            "settings": self.changes,
            "logging": self.logging,
        }

    def max_memory_bytes(self, settings: Settings) -> int | None:
        """Resident bytes after which a child is replaced."""
        kib = self.max_memory_per_child or settings.worker_max_memory_per_child
        return kib * KIB if kib else None

    def check(self, settings: Settings) -> None:
        """Refuse what the pool cannot honour.

        Raises:
            UnsupportedOption: names the option, where it was set, and what to do.
        """
        if self.pool == "solo":
            for option, value in (
                (
                    "--max-tasks-per-child / worker_max_tasks_per_child",
                    self.max_tasks_per_child or settings.worker_max_tasks_per_child,
                ),
                ("--max-memory-per-child / worker_max_memory_per_child", self.max_memory_bytes(settings)),
            ):
                if value:
                    raise UnsupportedOption(
                        f"{option} = {value}: the pool 'solo' has no child to replace; leave it out or use -P prefork"
                    )
            if self.concurrency > 1:
                raise UnsupportedOption("the pool 'solo' runs one task at a time; leave out -c or choose -P prefork")


def parse_concurrency(value: str | int | None, pool: str) -> tuple[int, int]:
    """Children and slots of ``-c``: ``N``, or ``NxM`` for N children of M slots.

    Raises:
        UnsupportedOption: it is neither, or the pool's children have one slot only.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    if value is None or value == 0:
        if pool == "asyncio":
            return 1, ASYNCIO_CAPACITY
        return (1, 1) if pool == "solo" else (1, cores) if pool in _SHARED else (cores, 1)
    found = _CONCURRENCY.match(str(value))
    if found is None or "0" in (found[1], found[2]):
        raise UnsupportedOption(
            f"concurrency {value!r}: write a number, or NxM for N children of M slots each, such as 2x100"
        )
    first, second = int(found[1]), int(found[2]) if found[2] else None
    if pool in _SHARED:
        return (1, first) if second is None else (first, second)
    if second is not None and second > 1:
        raise UnsupportedOption(
            f"concurrency {value!r}: a child of the pool {pool!r} runs one task at a time; write -c {first}"
        )
    return first, 1


def node_name(pattern: str | None) -> str:
    """The node's name: ``celery@<host>``, a bare name gets the host; ``%h %n %d %%`` are expanded."""
    host = socket.gethostname()
    short, _, domain = host.partition(".")
    name = pattern or "celery@%h"
    for code, value in (("%h", host), ("%n", short), ("%d", domain), ("%%", "%")):
        name = name.replace(code, value)
    return name if "@" in name else f"{name}@{host}"
