"""Revocations, slots that are claimed once, and broadcasts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from celeriac.stores.sqlite import claiming, statements
from celeriac.stores.sqlite.transaction import Transaction
from celeriac.stores.store import REVOCATIONS, Revocation

__all__ = ["broadcast", "claim_once", "listen", "read_broadcasts", "revocations", "revoke", "unlisten"]

BROADCAST_LIFETIME: Final = 60.0
"""Seconds that a broadcast is kept for those who have not read it: they are woken at once, or they are stopped."""
TRIM_STEP: Final = 16
"""Old broadcasts that each new one removes at most."""
READ_STEP: Final = 256
"""Broadcasts that are read at once."""

_SQL: Final = statements.load("control")


def revoke(transaction: Transaction, revoked: Iterable[Revocation], lifetime: float) -> None:
    """Store revocations and tell those who watch for them."""
    expires = transaction.now + lifetime
    rows = [(each.task_id, each.terminate, each.signal, expires) for each in revoked]
    transaction.executemany(_SQL["revoke"], rows)
    broadcast(transaction, REVOCATIONS, b"")


def revocations(transaction: Transaction, after: int) -> tuple[int, list[Revocation]]:
    """The count now, and the revocations after that count."""
    rows = transaction.execute(_SQL["revocations"], (after, transaction.now)).fetchall()
    found = [Revocation(task_id, bool(terminate), signal) for task_id, terminate, signal in rows]
    return claiming.revocation_count(transaction), found


def claim_once(transaction: Transaction, name: str, slot: str, lifetime: float) -> bool:
    """True for the first caller of that name and slot within ``lifetime`` seconds."""
    arguments = (name, slot, transaction.now + lifetime, transaction.now)
    return transaction.execute(_SQL["claim_once"], arguments).rowcount == 1


def broadcast(transaction: Transaction, exchange: str, payload: bytes) -> None:
    """Store a payload for all who listen to the exchange, and wake them."""
    sockets = [socket for (socket,) in transaction.execute(_SQL["listeners"], (exchange,))]
    if sockets:
        transaction.execute(_SQL["broadcast"], (exchange, transaction.now, payload))
        transaction.rings.update(sockets)
    transaction.execute(_SQL["trim_broadcasts"], (TRIM_STEP, transaction.now - BROADCAST_LIFETIME))


def listen(transaction: Transaction, exchange: str, socket: str) -> int:
    """Have the socket rung for each broadcast from now on; returns where to begin reading."""
    transaction.execute(_SQL["listen"], (exchange, socket))
    row = transaction.execute(_SQL["last_broadcast"]).fetchone()
    return row[0] if row is not None else 0


def unlisten(transaction: Transaction, exchange: str, socket: str) -> None:
    """Ring the socket no more."""
    transaction.execute(_SQL["unlisten"], (exchange, socket))


def read_broadcasts(transaction: Transaction, exchange: str, after: int) -> list[tuple[int, bytes]]:
    """The next broadcasts to the exchange, with their ids."""
    return transaction.execute(_SQL["broadcasts"], (exchange, after, READ_STEP)).fetchall()
