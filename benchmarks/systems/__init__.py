"""One driver a system, and the list of them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.systems.celeriac import Celeriac
from benchmarks.systems.celery import Celery
from benchmarks.systems.dramatiq import Dramatiq
from benchmarks.systems.floor import Floor
from benchmarks.systems.huey import Huey
from benchmarks.systems.pyamqp import PyAmqp
from benchmarks.systems.system import System
from benchmarks.systems.taskiq import Taskiq

OURS: tuple[type[System], ...] = (Celeriac, Floor)
PEERS: tuple[type[System], ...] = (Celery, Dramatiq, Huey, Taskiq, PyAmqp)
NAMES = tuple(system.name for system in (*OURS, *PEERS))


def all_systems(ours: Path, peers: Path) -> list[System]:
    """Every system; `ours` and `peers` are the interpreters that have them installed."""
    return [*(system(ours) for system in OURS), *(system(peers) for system in PEERS)]
