"""Dead letters in the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from celeriac.stores.sqlite import publishing, statements
from celeriac.stores.sqlite.transaction import Transaction
from celeriac.stores.store import DeadLetter, Outgoing

__all__ = ["bury", "drop", "find", "newest", "replay"]

_SQL: Final = statements.load("dead")
_MESSAGES: Final = statements.load("messages")


def bury(transaction: Transaction, message_id: int, reason: str, lifetime: float | None) -> None:
    """Copy a message to the dead letters; the caller deletes it."""
    queue, priority, losses, payload = transaction.execute(_MESSAGES["read"], (message_id,)).fetchone()
    expires = None if lifetime is None else transaction.now + lifetime
    transaction.execute(_SQL["bury"], (queue, priority, losses, reason, transaction.now, expires, payload))


def newest(transaction: Transaction, limit: int, queue: str | None) -> list[DeadLetter]:
    """The newest first, of one queue or of all."""
    if queue is None:
        rows = transaction.execute(_SQL["newest"], (transaction.now, limit))
    else:
        rows = transaction.execute(_SQL["newest_of_queue"], (queue, transaction.now, limit))
    return [_letter(row) for row in rows]


def find(transaction: Transaction, letter_id: str) -> DeadLetter | None:
    """One dead letter, None when there is none of that id."""
    row = transaction.execute(_SQL["find"], (_number(letter_id), transaction.now)).fetchone()
    return None if row is None else _letter(row)


def replay(transaction: Transaction, letter_ids: Sequence[str]) -> int:
    """Publish dead letters again, each to its queue; returns how many there were."""
    rows = _take(transaction, letter_ids)
    if rows:
        publishing.publish(transaction, [Outgoing(queue, payload, priority) for queue, priority, payload in rows])
    return len(rows)


def drop(transaction: Transaction, letter_ids: Sequence[str]) -> int:
    """Delete dead letters; returns how many there were."""
    return len(_take(transaction, letter_ids))


def _take(transaction: Transaction, letter_ids: Sequence[str]) -> list[tuple[str, int, bytes]]:
    rows: list[tuple[str, int, bytes]] = []
    for letter_id in letter_ids:
        rows += transaction.execute(_SQL["take"], (_number(letter_id), transaction.now)).fetchall()
    return rows


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    return DeadLetter(str(row[0]), *row[1:])


def _number(letter_id: str) -> int | None:
    """The row's number; None, which no row has, when the id is none of ours."""
    return int(letter_id) if letter_id.isascii() and letter_id.isdigit() and len(letter_id) < len(str(2**63)) else None
