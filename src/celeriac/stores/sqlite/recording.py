"""Records of settlements: follow-ups that a broker elsewhere is to publish, and that some are published here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from celeriac.stores import records
from celeriac.stores.sqlite import results, statements, workflows
from celeriac.stores.sqlite.transaction import Transaction, insert, json_array
from celeriac.stores.store import Completed, Outgoing, Recorded, ResultRecord, Settlement

__all__ = ["record", "without_copies"]

_SQL: Final = statements.load("settled")


def record(transaction: Transaction, settlements: Sequence[Settlement], published: Sequence[str]) -> list[Recorded]:
    """See :meth:`celeriac.stores.store.Store.record`."""
    expires = transaction.now + records.RECORD_LIFETIME
    insert(transaction, _SQL["store"], [(identity, None, expires) for identity in published])
    known = _known(transaction, [each.identity for each in settlements if each.identity])
    fresh: list[tuple[str, bytes, float]] = []
    stored: list[Settlement] = []
    outcomes: list[Recorded] = []
    for settlement in settlements:
        identity = settlement.identity
        found = known.get(identity)
        if found is not None:
            outcomes.append(found)
            continue
        stored.append(settlement)
        completions: list[Outgoing] = []
        if settlement.effects is not None:
            completions = workflows.apply(transaction, [settlement.effects], again=not identity)
        outcomes.append(Completed(completions) if completions else None)
        if identity:
            follow_ups = [*completions, *settlement.follow_ups]
            known[identity] = follow_ups  # for the same one once more in this batch
            fresh.append((identity, records.encode(follow_ups), expires))
    insert(transaction, _SQL["store"], fresh)
    documents = [record for each in stored for record in _results_of(each)]
    if documents:
        results.store(transaction, documents)
    return outcomes


def _results_of(settlement: Settlement) -> list[ResultRecord]:
    found = [] if settlement.result is None else [settlement.result]
    return found if settlement.effects is None else [*found, *settlement.effects.results]


def without_copies(transaction: Transaction, settlements: Sequence[Settlement]) -> list[Settlement]:
    """Those that are not of a copy of a message whose follow-ups are published already; the others are remembered."""
    known = set(_known(transaction, [each.identity for each in settlements if records.is_followed_once(each)]))
    expires = transaction.now + records.COPY_LIFETIME
    fresh: list[tuple[str, None, float]] = []
    kept: list[Settlement] = []
    for settlement in settlements:
        if records.is_followed_once(settlement):
            if settlement.identity in known:
                continue
            known.add(settlement.identity)
            fresh.append((settlement.identity, None, expires))
        kept.append(settlement)
    insert(transaction, _SQL["store"], fresh)
    return kept


def _known(transaction: Transaction, identities: list[str]) -> dict[str, list[Outgoing]]:
    """The follow-ups of those that have a record, none when they are published."""
    if not identities:
        return {}
    rows = transaction.execute(_SQL["find"], (json_array(identities), transaction.now)).fetchall()
    return {identity: [] if held is None else records.decode(held) for identity, held in rows}
