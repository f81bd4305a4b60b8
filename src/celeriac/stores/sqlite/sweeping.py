"""What has expired goes, and the room that it took, a little at a time."""

from __future__ import annotations

from typing import Final

from celeriac.stores.sqlite import statements
from celeriac.stores.sqlite.transaction import Transaction

__all__ = ["SWEEP_STEP", "sweep"]

SWEEP_STEP: Final = 500
"""Rows of each kind that one transaction deletes at most: a few milliseconds."""
VACUUM_STEP: Final = 256
"""Pages that one transaction gives back to the file system at most: a few milliseconds."""
FREE_PAGES: Final = 4096
"""Free pages (of 4 KiB) that a file keeps in any case: the next messages need them again."""
FREE_SHARE: Final = 4
"""One page of so many may be free before the file shrinks."""

_SQL: Final = statements.load("sweeping")


def sweep(transaction: Transaction) -> bool:
    """Delete some of what has expired, and shrink a file that is mostly empty; True when there may be more to do."""
    limits = (transaction.now, SWEEP_STEP)
    deleted = max(transaction.execute(statement, limits).rowcount for statement in _SQL.values())
    return _shrink(transaction) or deleted == SWEEP_STEP


def _shrink(transaction: Transaction) -> bool:
    (free,) = transaction.execute("PRAGMA freelist_count").fetchone()
    (pages,) = transaction.execute("PRAGMA page_count").fetchone()
    if free <= max(FREE_PAGES, pages // FREE_SHARE):
        return False
    # Each page is a row without columns, and the sqlite3 module reads none of a statement after the first of those.
    for _ in range(VACUUM_STEP):
        transaction.execute("PRAGMA incremental_vacuum(1)")
    return True
