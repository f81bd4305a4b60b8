"""What has expired goes, a little at a time."""

from __future__ import annotations

from typing import Final

from celeriac.stores.sqlite import statements
from celeriac.stores.sqlite.transaction import Transaction

__all__ = ["SWEEP_STEP", "sweep"]

SWEEP_STEP: Final = 500
"""Rows of each kind that one transaction deletes at most: a few milliseconds."""

_SQL: Final = statements.load("sweeping")


def sweep(transaction: Transaction) -> bool:
    """Delete some of what has expired; True when there may be more."""
    limits = (transaction.now, SWEEP_STEP)
    return max(transaction.execute(statement, limits).rowcount for statement in _SQL.values()) == SWEEP_STEP
