"""Settlements: the end of deliveries, with everything that follows from it, in the caller's one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import claiming, dead, publishing, recording, results, statements, workflows
from celeriac.stores.sqlite.transaction import Transaction, json_array
from celeriac.stores.store import Disposition, Settlement

__all__ = ["settle"]

_SQL: Final = statements.load("messages")


def settle(transaction: Transaction, options: StoreOptions, settlements: Sequence[Settlement]) -> list[bytes]:
    """Settle each, or nothing of it when its lease was lost; returns the claims of those."""
    refused: list[bytes] = []
    done: list[int] = []
    effective: list[Settlement] = []
    ended = claiming.end(transaction, [each.claim for each in settlements])
    for settlement in settlements:
        if settlement.disposition is not Disposition.NONE:
            message_id = ended.pop(settlement.claim, None)
            if message_id is None:
                refused.append(settlement.claim)
                continue
            if _leaves(transaction, options, settlement, message_id):
                done.append(message_id)
        effective.append(settlement)
    if len(done) == 1:
        transaction.execute(_SQL["delete_one"], done)
    elif done:
        transaction.execute(_SQL["delete"], (json_array(done),))
    _store(transaction, effective)
    return refused


def _store(transaction: Transaction, settlements: list[Settlement]) -> None:
    """What follows from settlements that took effect."""
    effects = [each.effects for each in settlements if each.effects is not None]
    if effects or any(each.follow_ups for each in settlements):
        settlements = recording.without_copies(transaction, settlements)
        effects = [each.effects for each in settlements if each.effects is not None]
        completions = workflows.apply(transaction, effects) if effects else []
        follow_ups = completions + [message for each in settlements for message in each.follow_ups]
        if follow_ups:
            publishing.publish(transaction, follow_ups)
    documents = [each.result for each in settlements if each.result is not None]
    documents += [record for each in effects for record in each.results]
    if documents:
        results.store(transaction, documents)


def _leaves(transaction: Transaction, options: StoreOptions, settlement: Settlement, message_id: int) -> bool:
    """Give the message its place; True when it has none any more and is to be deleted."""
    match settlement.disposition:
        case Disposition.ACKNOWLEDGE:
            return True
        case Disposition.HOLD:
            due = settlement.due if settlement.due is not None else transaction.now + settlement.delay
            marks = (settlement.granted, int(settlement.counted), message_id)
            (queue,) = transaction.execute(_SQL["mark_held"], marks).fetchall()[0]
            publishing.hold(transaction, queue, due, message_id)
        case Disposition.GIVE_BACK:
            claiming.return_messages(transaction, (message_id,), losses=0)
        case Disposition.REDELIVER:
            claiming.return_messages(transaction, (message_id,), losses=1)
        case Disposition.DEAD_LETTER:
            dead.bury(transaction, message_id, settlement.reason, options.dead_letter_expires)
            return True
    return False
