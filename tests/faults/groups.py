"""Control groups where this machine lets us make them: to freeze a whole tree of processes, to give it little memory.

Version 1 has one folder for each controller; with version 2 all are in one (kernel documentation,
admin-guide/cgroup-v1/freezer-subsystem, memory, and cgroup-v2).
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.faults.processes import wait_until

__all__ = ["Group", "can_group", "group"]

ROOT: Final = Path("/sys/fs/cgroup")
PATIENCE: Final = 5.0
"""Seconds for the kernel to freeze or thaw."""


def _unified() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def _parent(controller: str) -> Path:
    return ROOT if _unified() else ROOT / controller


def can_group(controller: str) -> bool:
    """Whether groups with ``freezer`` or ``memory`` can be made here."""
    parent = _parent(controller)
    if not os.access(parent, os.W_OK):
        return False
    if _unified() and controller == "memory":
        return "memory" in (parent / "cgroup.subtree_control").read_text().split()
    try:
        with group(controller):
            return True
    except OSError:
        return False


class Group:
    """A control group."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, pids: Iterable[int]) -> None:
        """Move processes into it; what they fork follows."""
        for pid in pids:
            (self._path / "cgroup.procs").write_text(str(pid))

    def freeze(self) -> None:
        """Stop all of it, as when the machine is paused."""
        self._set("FROZEN", "1")

    def thaw(self) -> None:
        """Go on after :meth:`freeze`."""
        self._set("THAWED", "0")

    def _set(self, state: str, number: str) -> None:
        if _unified():
            (self._path / "cgroup.freeze").write_text(number)
            wait_until(
                lambda: f"frozen {number}" in (self._path / "cgroup.events").read_text(), PATIENCE, "the group changes"
            )
        else:
            file = self._path / "freezer.state"
            file.write_text(state)
            wait_until(lambda: file.read_text().strip() == state, PATIENCE, "the group changes")

    def limit_memory(self, size: int) -> None:
        """Give it so many bytes; the kernel kills a process of it that wants more."""
        (self._path / ("memory.max" if _unified() else "memory.limit_in_bytes")).write_text(str(size))
        # Without this what does not fit is swapped out instead, where there is swap.
        with contextlib.suppress(OSError):
            (self._path / ("memory.swap.max" if _unified() else "memory.swappiness")).write_text("0")


@contextlib.contextmanager
def group(controller: str) -> Iterator[Group]:
    """Make a group for the block; its processes go back to the root afterwards."""
    path = _parent(controller) / f"celeriac-{uuid.uuid4().hex[:8]}"
    path.mkdir()
    made = Group(path)
    try:
        yield made
    finally:
        if controller == "freezer":
            made.thaw()
        wait_until(lambda: _removed(path, _parent(controller)), PATIENCE, "the group is empty")


def _removed(path: Path, parent: Path) -> bool:
    for pid in (path / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            (parent / "cgroup.procs").write_text(pid)
    try:
        path.rmdir()
    except OSError:
        return False
    return True
