"""Who is to be woken: one idle worker for each message that became ready, in turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from celeriac.stores.sqlite import statements
from celeriac.stores.sqlite.transaction import Transaction

__all__ = ["choose", "forget", "pass_on", "register", "registered", "unregister"]

PENDING: Final = 1.0
"""Seconds that a wake-up counts as on its way; who has not looked by then is woken again."""

_SQL: Final = statements.load("waiters")


def register(transaction: Transaction, queues: Sequence[str], socket: str, alarm: float) -> None:
    """Ask for a wake-up when a queue gets a message; ``alarm`` is when the waiter looks again by itself."""
    transaction.executemany(_SQL["register"], [(queue, socket, alarm) for queue in queues])


def unregister(transaction: Transaction, queues: Sequence[str], socket: str) -> None:
    """Ask for no more wake-ups."""
    transaction.executemany(_SQL["unregister"], [(queue, socket) for queue in queues])


def choose(transaction: Transaction) -> None:
    """At the end of a transaction: find those who are to be rung after the commit."""
    execute, now = transaction.execute, transaction.now
    for queue, count in transaction.made_ready.items():
        if transaction.has_taken and execute(_SQL["has_ready"], (queue,)).fetchone() is None:
            continue
        arguments = (now, queue, queue, now - PENDING, count)
        transaction.rings.update(socket for (socket,) in execute(_SQL["wake"], arguments).fetchall())
    for queue, due in transaction.held_until.items():
        transaction.rings.update(socket for (socket,) in execute(_SQL["sleeping_past"], (queue, due)))


def registered(transaction: Transaction) -> list[str]:
    """The sockets of everybody who is registered for anything."""
    return [socket for (socket,) in transaction.execute(_SQL["sockets"])]


def forget(transaction: Transaction, sockets: Iterable[str]) -> None:
    """Drop the registrations of the dead, and wake others for what they were woken for."""
    transaction.has_taken = True
    for socket in sockets:
        for (queue,) in transaction.execute(_SQL["forget_waiter"], (socket,)).fetchall():
            transaction.announce_ready(queue)
        transaction.execute(_SQL["forget_reader"], (socket,))
        transaction.execute(_SQL["forget_listener"], (socket,))


def pass_on(transaction: Transaction, queues: Sequence[str], socket: str) -> None:
    """Stop waiting without having claimed: somebody else is woken for what this one may have been woken for."""
    unregister(transaction, queues, socket)
    transaction.has_taken = True
    for queue in queues:
        transaction.announce_ready(queue)
