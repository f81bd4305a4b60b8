"""Who is to be woken: one idle worker for each message that became ready, in turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from celeriac.stores.sqlite import claiming, handover, statements
from celeriac.stores.sqlite.handover import PENDING, Handover
from celeriac.stores.sqlite.transaction import Transaction

__all__ = ["choose", "forget", "leave", "make_good", "pass_on", "register", "registered"]

_SQL: Final = statements.load("waiters")
_CLAIMS: Final = statements.load("claims")


def register(
    transaction: Transaction,
    queues: Sequence[str],
    socket: str,
    alarm: float,
    room: int = 0,
    holder: str = "",
    lease: float = 0.0,
    batch: int = 0,
) -> None:
    """Ask for a wake-up when a queue gets a message.

    Args:
        transaction: where.
        queues: which.
        socket: what to ring.
        alarm: when the waiter looks again by itself.
        room: how many messages it would take; 0 when it is not to be handed any.
        holder: whose leases handed messages are.
        lease: how long these last, in seconds.
        batch: they get the next ones after that.
    """
    rows = [(queue, socket, alarm, room, holder, lease, batch) for queue in queues]
    if len(rows) == 1:
        transaction.execute(_SQL["register"], rows[0])
    else:
        transaction.executemany(_SQL["register"], rows)


def leave(transaction: Transaction, holder: str, socket: str, arrived: int) -> list[str]:
    """End a registration; what was handed over under it and has not arrived is ready again, before all others.

    Args:
        transaction: where.
        holder: whose leases handed messages are.
        socket: the waiter's.
        arrived: the batch of the last message that was handed over and has arrived.

    Returns:
        The queues.
    """
    rows = transaction.execute(_SQL["forget_waiter"], (socket,)).fetchall()
    if rows:
        _, handed, batch = rows[0]
        if handed and batch != arrived and transaction.execute(_CLAIMS["end_one"], (handed, batch, holder)).rowcount:
            transaction.has_taken = True
            claiming.return_messages(transaction, (handed,), losses=0)
    return [row[0] for row in rows]


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
        for queue, _, _ in transaction.execute(_SQL["forget_waiter"], (socket,)).fetchall():
            transaction.announce_ready(queue)
        transaction.execute(_SQL["forget_reader"], (socket,))
        transaction.execute(_SQL["forget_listener"], (socket,))


def make_good(transaction: Transaction, dead: Iterable[str], refused: Iterable[Handover]) -> None:
    """After rings and hand-overs that failed: the dead are forgotten, and others get what was meant for them."""
    handover.take_back(transaction, refused)
    forget(transaction, dead)


def pass_on(transaction: Transaction, holder: str, socket: str, arrived: int) -> None:
    """Stop waiting, see :func:`leave`; somebody else is woken for what this one may have been woken for."""
    transaction.has_taken = True
    for queue in leave(transaction, holder, socket, arrived):
        transaction.announce_ready(queue)
