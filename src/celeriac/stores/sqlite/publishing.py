"""Messages on their way in: ready at once, held until they are due, or broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from celeriac.envelope import PRIORITY_MAX
from celeriac.stores.sqlite import control, handover, statements
from celeriac.stores.sqlite.transaction import Transaction, insert
from celeriac.stores.store import Outgoing

__all__ = ["hold", "publish", "return_to_front"]

_SQL: Final = statements.load("messages")


def publish(transaction: Transaction, messages: Sequence[Outgoing]) -> None:
    """Store the messages in their order."""
    if len(messages) == 1 and not messages[0].exchange:
        _publish_lone(transaction, messages[0])
        return
    ready: list[tuple[str, int, int, int]] = []
    held: list[tuple[str, float, int]] = []
    rows: list[tuple[int, str, int, bytes]] = []
    message_id = transaction.execute(_SQL["last_id"]).fetchone()[0] or 0
    for message in messages:
        if message.exchange:
            control.broadcast(transaction, message.exchange, message.payload)
            continue
        queue = message.queue
        priority = _priority(message)
        message_id += 1
        rows.append((message_id, queue, priority, message.payload))
        if message.due is None or message.due <= transaction.now:
            ready.append((queue, priority, message_id, message_id))
            transaction.announce_ready(queue)
        else:
            held.append((queue, message.due, message_id))
            transaction.announce_held(queue, message.due)
    insert(transaction, _SQL["insert"], rows)
    insert(transaction, _SQL["make_ready"], ready)
    insert(transaction, _SQL["hold"], held)


def _publish_lone(transaction: Transaction, message: Outgoing) -> None:
    """Store one message, with the fewest statements, and hand it over if somebody waits for it."""
    queue, payload = message.queue, message.payload
    priority = _priority(message)
    message_id = transaction.execute(_SQL["insert_next"], (queue, priority, payload)).lastrowid
    assert message_id is not None
    if message.due is not None and message.due > transaction.now:
        hold(transaction, queue, message.due, message_id)
        return
    somebody_waits = handover.is_awaited(transaction, queue)
    if somebody_waits and handover.hand_over(transaction, message_id, queue, priority, payload):
        return
    transaction.execute(_SQL["make_ready"], (queue, priority, message_id, message_id))
    if somebody_waits:
        transaction.announce_ready(queue)


def _priority(message: Outgoing) -> int:
    return min(max(message.priority, 0), PRIORITY_MAX)


def hold(transaction: Transaction, queue: str, due: float, message_id: int) -> None:
    """Keep a message, which has no place now, until it is due."""
    transaction.execute(_SQL["hold"], (queue, due, message_id))
    transaction.announce_held(queue, due)


def return_to_front(transaction: Transaction, queue: str, priority: int, message_ids: Sequence[int]) -> None:
    """Put messages, which have no place now, before all others of their priority, in this order."""
    found = transaction.execute(_SQL["front"], (queue, priority)).fetchone()
    # A place below zero is never an id's own, so that what is published next can never want it.
    first = min(found[0] if found is not None else 0, 0) - len(message_ids)
    rows = [(queue, priority, first + offset, message_id) for offset, message_id in enumerate(message_ids)]
    insert(transaction, _SQL["make_ready"], rows)
    transaction.announce_ready(queue, len(rows))
