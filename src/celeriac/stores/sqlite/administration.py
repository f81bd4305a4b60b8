"""What people and programs ask about queues."""

from __future__ import annotations

from typing import Final

from celeriac.stores.sqlite import statements
from celeriac.stores.sqlite.transaction import Transaction, json_array
from celeriac.stores.store import QueueCounts

__all__ = ["counts", "last_message_id", "purge_step", "queues"]

PURGE_STEP: Final = 2000
"""Messages that are dropped in one transaction: some milliseconds, so that nobody waits long for the lock."""

_SQL: Final = statements.load("administration")
_MESSAGES: Final = statements.load("messages")
_CLAIMS: Final = statements.load("claims")


def counts(transaction: Transaction, queue: str) -> QueueCounts:
    """How many messages of a queue are where; those that are held and due count as held until somebody claims."""
    execute = transaction.execute
    (ready,) = execute(_SQL["count_ready"], (queue,)).fetchone()
    held = execute(_SQL["count_held"], (queue,)).fetchone()
    (in_flight,) = execute(_SQL["count_in_flight"], (queue,)).fetchone()
    (dead,) = execute(_SQL["count_dead"], (queue, transaction.now)).fetchone()
    return QueueCounts(ready, held[0] if held is not None else 0, in_flight, dead)


def queues(transaction: Transaction) -> list[str]:
    """The names of the queues that hold any message."""
    return [queue for (queue,) in transaction.execute(_SQL["queues"])]


def last_message_id(transaction: Transaction) -> int:
    """The newest message's id, 0 when there is none."""
    return transaction.execute(_MESSAGES["last_id"]).fetchone()[0] or 0


def purge_step(transaction: Transaction, queue: str, last_id: int) -> int:
    """Drop some ready and held messages that are no newer than ``last_id``; returns how many, 0 when none is left."""
    ready = transaction.execute(_SQL["some_ready"], (queue, last_id, PURGE_STEP)).fetchall()
    transaction.executemany(_CLAIMS["delete_ready"], [(queue, priority, place) for priority, place, _ in ready])
    held = transaction.execute(_SQL["some_held"], (queue, last_id, PURGE_STEP - len(ready))).fetchall()
    transaction.executemany(_MESSAGES["release"], [(queue, due, message_id) for due, message_id in held])
    dropped = [row[-1] for row in (*ready, *held)]
    transaction.execute(_MESSAGES["delete"], (json_array(dropped),))
    return len(dropped)
