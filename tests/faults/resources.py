"""What a worker's main process holds (I6)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

import psutil

from tests.faults.processes import WorkerProcess

__all__ = ["Resources", "resources_of"]


class Resources(NamedTuple):
    """What a worker's main process holds.

    Attributes:
        memory: bytes that are resident.
        descriptors: how many.
        threads: how many.
        open: what the descriptors are.
    """

    memory: int
    descriptors: int
    threads: int
    open: tuple[str, ...]


def resources_of(worker: WorkerProcess) -> Resources | None:
    """Look; None when it has ended."""
    try:
        process = psutil.Process(worker.pid)
        opened = tuple(_descriptors(worker.pid))
        return Resources(process.memory_info().rss, len(opened), process.num_threads(), opened)
    except (psutil.NoSuchProcess, FileNotFoundError):
        return None


def _descriptors(pid: int) -> Iterator[str]:
    """What a process has open, without the numbers that tell two sockets apart."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            opened = os.readlink(f"/proc/{pid}/fd/{name}")
            yield opened if opened.startswith("anon_inode") else opened.split(":[")[0]
