"""Checkpoints: the log's pages go back into the file before the log is long, and nobody waits for it.

SQLite's automatic checkpoint runs in each commit once the log is longer than a limit. A log starts over only when a
checkpoint has copied all of it while nobody writes; with several processes writing in turn that never happens, so that
every commit pays two fsyncs and the log grows (three producers and two consumers: 473 MB in four seconds, the slowest
publish 178 ms). So here each connection counts what it has written, and now and then takes two steps: copy most of the
log while others write, then the short rest while holding the write lock, after which the log starts over. Workers do
that in a thread of its own; clients only when there is no worker to do it, as it makes one of their calls late.
"""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import time
from pathlib import Path
from typing import Final

__all__ = ["LONG_LOG", "Checkpoints"]

logger = logging.getLogger("celeriac.stores.sqlite")

INTERVAL: Final = 2000
"""Pages (of 4 KiB) that a connection writes between two of its checkpoints: to copy them takes some milliseconds."""
RESTART_LENGTH: Final = 3000
"""Pages from which on a log is made to start over."""
LONG_LOG: Final = 32 * 1024 * 1024
"""Bytes of a log file that tell a client that no worker keeps it short: then the client does."""
ALARMING_LENGTH: Final = 250_000
"""Pages of a log that tells of a reader who never ends (1 GB)."""
CHANGES_PER_PAGE: Final = 3
"""Rows that share a changed page, roughly; besides, every transaction writes about two pages."""
PAGES_PER_TRANSACTION: Final = 2
ATTEMPTS: Final = 20
"""How often one checkpoint tries to get the write lock before it leaves that to the next one."""
PAUSE: Final = 200e-6
"""Seconds between two attempts, at most."""


class Checkpoints:
    """When one connection copies the log back, and how."""

    def __init__(self) -> None:
        self._changes = 0
        self._pages = 0

    def take_due(self) -> bool:
        """Whether it is time; then the count begins again."""
        if self._pages < INTERVAL:
            return False
        self._pages = 0
        return True

    def count(self, connection: sqlite3.Connection) -> None:
        """Count what a transaction has written."""
        changes = connection.total_changes
        self._pages += PAGES_PER_TRANSACTION + (changes - self._changes) // CHANGES_PER_PAGE
        self._changes = changes

    @staticmethod
    def is_log_long(path: Path) -> bool:
        """Whether nobody has kept the log short. The file keeps its size when the log starts over, up to LONG_LOG."""
        try:
            return os.stat(f"{path}-wal").st_size > LONG_LOG
        except FileNotFoundError:
            return False

    @staticmethod
    def run(connection: sqlite3.Connection) -> None:
        """Copy the log; outside of any transaction."""
        busy, length, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if busy or length < RESTART_LENGTH:
            return
        for _ in range(ATTEMPTS):
            busy, length, copied = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            if not busy or length < RESTART_LENGTH:
                return
            time.sleep(random.uniform(0, PAUSE))
        if length > ALARMING_LENGTH:
            logger.warning(
                "the log of the store has grown to %d pages, %d of them copied: does something keep reading "
                "the file (a backup, an sqlite3 shell in a transaction)?",
                length,
                copied,
            )
