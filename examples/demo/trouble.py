"""The accidents of the demo, each planned and the same in every run: what breaks depends on the file's name alone."""

from __future__ import annotations

import os
import signal
import zlib
from pathlib import Path
from typing import Final

__all__ = ["FlakyRead", "is_lethal", "strike", "write_broken_module"]

FLAKY: Final = 25
"""One read in so many fails at the first attempt."""
LETHAL: Final = frozenset({"argparse.py", "socket.py", "textwrap.py"})
"""Modules that kill the process that parses them, the first time. Every Python has them."""
BROKEN: Final = "broken_on_purpose.py"


class FlakyRead(OSError):
    """A disk or a network that did not answer this time."""


def is_lethal(path: str) -> bool:
    """Whether parsing that file kills the process at first."""
    return Path(path).name in LETHAL


def strike(path: str, retries: int, losses: int) -> None:
    """Do to the running task what is planned for that file.

    Args:
        path: the file that the task works on.
        retries: how often the task was retried before.
        losses: how often it was redelivered because the process that ran it died.

    Raises:
        FlakyRead: the read is planned to fail.
    """
    if is_lethal(path) and not losses:
        os.kill(os.getpid(), signal.SIGKILL)
    if zlib.crc32(Path(path).name.encode()) % FLAKY == 0 and not retries:
        raise FlakyRead(f"{Path(path).name}: the disk did not answer")


def write_broken_module(folder: Path) -> str:
    """Write a module that nobody can parse, and return its path."""
    path = folder / BROKEN
    path.write_text("def half_a_function(:\n    return\n")
    return str(path)
