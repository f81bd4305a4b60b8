"""Work that several callers wait for: each may give up, and it goes on for the others."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["take_note"]


def take_note(task: asyncio.Task[Any]) -> None:
    """Have asyncio not complain of an exception that nobody looked at: all who waited had given up before.

    For ``add_done_callback`` of a task that is awaited through ``asyncio.shield``.
    """
    if not task.cancelled():
        task.exception()
