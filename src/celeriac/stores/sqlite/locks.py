"""Who holds the write lock of a store's file: for the error of the one who waited in vain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["describe_writer"]

_LOCKS: Final = Path("/proc/locks")
_WRITE_LOCK: Final = 120
"""Offset of WAL_WRITE_LOCK in the -shm file (https://www.sqlite.org/walformat.html, section 2.3.1)."""


def describe_writer(path: Path) -> str:
    """Say which process is writing to the file, as far as the kernel tells.

    The kernel is asked, not the file: opening the -shm file and closing it again would drop the locks that SQLite
    holds on it in this process (fcntl(2), record locks).
    """
    for pid in _holders(path):
        return f"process {pid}{_command(pid)} is in a transaction"
    return "another process is in a transaction"


def _holders(path: Path) -> Iterator[int]:
    try:
        inode = os.stat(f"{path}-shm").st_ino
        lines = _LOCKS.read_text("ascii").splitlines()
    except OSError:
        return
    for line in lines:
        # "1: POSIX  ADVISORY  WRITE 4242 fe:00:131 120 120"; waiting ones have "->" in the second column.
        fields = line.split()
        if len(fields) != len(("number", "class", "type", "access", "pid", "inode", "start", "end")):
            continue
        _, _, _, access, pid, place, start, _ = fields
        if access == "WRITE" and place.rpartition(":")[2] == str(inode) and int(start) == _WRITE_LOCK:
            yield int(pid)


def _command(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""
    return f" ({command}{', stopped' if state in 'Tt' else ''})"
