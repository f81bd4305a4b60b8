"""What must hold after every simulation, whatever went wrong in it: the invariants of the fault plan.

- I1, nothing is lost: every message that the broker took ends, and it ends for a reason.
- I2, no ghosts: nothing runs, and nothing is stored, of which the broker knows nothing.
- I3, no needless duplicates: a task runs again only after a fault that took its first run away.
- I5, no residue: queues, leases and workers are empty at the end.
- I7, one end: a message ends once, and no state follows on a SUCCESS.
- What follows from a task (callbacks, the next step of a chain, a retry) is published exactly once, with its end, even
  if its message is in the queue twice.
- A revoked message that is delivered afterwards does not start, and none starts before it is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from celeriac import envelope
from celeriac.app.options import timestamp
from celeriac.pools.pool import Kind
from celeriac.states import FAILURE, REVOKED
from celeriac.stores.store import Disposition, Settlement
from celeriac.testing.ledger import Ledger, Record, Run
from celeriac.testing.world import EPOCH

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["judge"]

AWAY: Final = frozenset({"lost", "redeliver", "give back", "hold", "unread"})
"""How a claim ends after which another one is due."""


def judge(app: Celeriac, ledger: Ledger, crashed: dict[str, int], apart: bool = False) -> list[str]:
    """Everything that should not be.

    Args:
        app: whose tasks ran.
        ledger: what happened.
        crashed: the workers that were killed, with how many tasks they could run at the same time.
        apart: messages and results were in two stores.
    """
    found = list(ledger.objections)
    limit = app.settings.task_delivery_limit
    if apart:
        for record in ledger.records.values():
            found += _apart(record, ledger, not app.tasks[record.head.task].acks_late, crashed)
        return found
    for record in ledger.records.values():
        task = app.tasks[record.head.task]
        found += _common(record, ledger)
        found += _early(record, ledger, crashed) if not task.acks_late else _late(record, ledger, limit)
    lost: dict[str, int] = {}
    for record in ledger.records.values():
        worker = _taken_away(app, record)
        if worker is not None:
            lost[worker] = lost.get(worker, 0) + 1
    for worker, number in lost.items():
        if number > crashed.get(worker, 0) and worker not in ledger.surrendered:
            found.append(
                f"I1: {worker} lost {number} tasks that were acknowledged early, more than it could run at once"
            )
    return found


def _common(record: Record, ledger: Ledger) -> Iterator[str]:
    if len(record.settlements) < record.copies:
        yield f"I1: {record} was lost: the broker took {record.copies} and ended {len(record.settlements)}"
    if len(record.settlements) > record.copies:
        yield f"I7: {record} ended {len(record.settlements)} times, published {record.copies} times"
    if record.parent is not None and record.copies > 1 and not _repeated(record.parent, ledger):
        yield f"{record}, which follows from {record.parent}, was published {record.copies} times"
    yield from _several_lines(record, _published_lines(record, ledger))
    revoked = ledger.revoked.get(record.head.id, float("inf"))
    for run in record.runs:
        issued = min((claim.issued for claim in record.claims if claim.worker == run.worker), default=0.0)
        if issued > revoked and not run.doomed:
            yield f"{record} was revoked before it was delivered to {run.worker}, and started"


def _line(run: Run) -> list[str]:
    """The identities of what was to follow from a run."""
    return [] if run.outcome is None else [envelope.identity_of(each.payload) for each in run.outcome.follow_ups]


def _published_lines(record: Record, ledger: Ledger) -> list[list[str]]:
    """Of each run whose successors the broker has taken, at least in part, the identities of all of them."""
    lines = map(_line, _runs(record))
    return [line for line in lines if any(identity in ledger.records for identity in line)]


def _several_lines(record: Record, lines: list[list[str]]) -> Iterator[str]:
    """All copies of a message share one; a death, after which it may be replayed, has one of its own."""
    deaths = sum(settlement.disposition is Disposition.DEAD_LETTER for _, settlement in record.settlements)
    if len(lines) > 1 + deaths:
        yield f"{record} has {len(lines)} different lines of successors"


def _repeated(record: Record, ledger: Ledger) -> bool:
    """Its end may have been settled twice: no claim could be refused, and the store had given up on the first time."""
    return bool(record.late_ends) and any(run.worker in ledger.surrendered for run in record.runs)


def _runs(record: Record) -> list[Run]:
    return [run for run in record.runs if not run.doomed]


# -- acknowledged with its end ---------------------------------------------------------------------------------------


def _late(record: Record, ledger: Ledger, limit: int) -> Iterator[str]:
    ended = [run for run in _runs(record) if run.outcome is not None and run.outcome.kind is not Kind.CANCELLED]
    if len(ended) > len(record.claims) + record.deaths:
        yield f"I3: {record} ran {len(ended)} times, of {len(record.claims)} deliveries and {record.deaths} deaths"
    away = sum(claim.over in AWAY for claim in record.claims)
    if record.copies == 1 and len(record.claims) > 1 + away:
        yield f"I3: {record} was delivered {len(record.claims)} times, with {away} reasons to be delivered again"
    if record.late_ends:
        yield f"{record} was settled without a claim"
    for worker, settlement in record.settlements:
        yield from _justified(record, ledger, limit, worker, settlement)


def _justified(record: Record, ledger: Ledger, limit: int, worker: str, settlement: Settlement) -> Iterator[str]:
    """A settlement says what a run at that worker said, or what the main process may say by itself."""
    result = settlement.result
    if result is not None and result.state == REVOKED:
        if record.head.id not in ledger.revoked and not _expired(record):
            yield f"I1: {record} ended as revoked, but nobody revoked it"
        return
    for run in record.runs:
        outcome = run.outcome
        if run.worker != worker or outcome is None or outcome.result != (None if result is None else result.payload):
            continue
        wanted = [envelope.identity_of(message.payload) for message in outcome.follow_ups]
        given = [envelope.identity_of(message.payload) for message in settlement.follow_ups]
        if wanted == given[: len(wanted)] and len(given) - len(wanted) == (outcome.kind is Kind.REQUEUE):
            return
    if settlement.disposition is Disposition.DEAD_LETTER and settlement.reason.startswith("WorkerLostError"):
        losses = sum(claim.over in ("lost", "redeliver") for claim in record.claims)
        if losses < limit and record.copies == 1:
            yield f"I1: {record} became a dead letter after {losses} losses: {settlement.reason}"
        return
    if result is not None and result.state == FAILURE and (record.deaths or record.head.timelimit):
        return
    state = "no result" if result is None else result.state
    yield f"I1: {record} ended with {state} at {worker}, where no run ended so"


def _expired(record: Record) -> bool:
    return record.head.expires is not None and timestamp(record.head.expires) > EPOCH


# -- acknowledged before it runs -------------------------------------------------------------------------------------


def _early(record: Record, ledger: Ledger, crashed: dict[str, int]) -> Iterator[str]:
    runs = _runs(record)
    if len(runs) > record.copies:
        yield f"I3: {record} was acknowledged early and started {len(runs)} times"
    if not _repeated(record, ledger):
        if len(record.late_ends) > record.copies:
            yield f"I7: {record} ended {len(record.late_ends)} times"
        following = sum(bool(settlement.follow_ups) for settlement in record.late_ends)
        if following > record.copies:
            yield f"{record} was followed up {following} times"
    for run in runs:
        silent = record.head.ignore_result or run.worker in crashed
        if not silent and record.copies == 1 and not record.late_ends:
            yield f"I1: {record} started at {run.worker} and nobody knows how it ended"


def _taken_away(app: Celeriac, record: Record) -> str | None:
    """The worker that acknowledged a message early and did nothing more for it."""
    if app.tasks[record.head.task].acks_late or record.copies != 1 or record.late_ends or not record.settlements:
        return None
    worker, settlement = record.settlements[0]
    if settlement.disposition is not Disposition.ACKNOWLEDGE or settlement.result is not None:
        return None
    return worker


# -- messages and results in two stores ------------------------------------------------------------------------------


def _apart(record: Record, ledger: Ledger, early: bool, crashed: dict[str, int]) -> Iterator[str]:
    """There each step is one of several; what must hold is what the outside sees."""
    if len(record.settlements) < record.copies:
        yield f"I1: {record} was lost: the broker took {record.copies} and ended {len(record.settlements)}"
    runs = _runs(record)
    if early:
        if len(runs) > record.copies:
            yield f"I3: {record} was acknowledged early and started {len(runs)} times"
    else:
        yield from _ended_for_a_reason(record, ledger)
        if len(runs) > len(record.claims) + record.deaths:
            yield f"I3: {record} ran {len(runs)} times, of {len(record.claims)} deliveries and {record.deaths} deaths"
    untold = record.deaths or any(run.worker in crashed or run.worker in ledger.surrendered for run in runs)
    if not early or not untold:
        yield from _one_line_of_successors(record, ledger, runs)


def _ended_for_a_reason(record: Record, ledger: Ledger) -> Iterator[str]:
    excused = record.deaths or record.head.timelimit or record.head.id in ledger.revoked or _expired(record)
    for worker, settlement in record.settlements:
        ran = any(run.worker == worker and run.ended is not None for run in record.runs)
        if not ran and not excused and settlement.disposition is not Disposition.DEAD_LETTER:
            yield f"I1: {record} was acknowledged by {worker}, where no run of it ended"


def _one_line_of_successors(record: Record, ledger: Ledger, runs: list[Run]) -> Iterator[str]:
    """What follows from a message was published by one of its runs, and by that one whole."""
    lines = [_line(run) for run in runs if run.outcome is not None]
    published = _published_lines(record, ledger)
    yield from _several_lines(record, published)
    for line in published:
        if not all(identity in ledger.records for identity in line):
            yield f"what follows from {record} was published in part"
    dead = any(settlement.disposition is Disposition.DEAD_LETTER for _, settlement in record.settlements)
    excused = dead or record.head.id in ledger.revoked or _expired(record)
    if not published and lines and all(lines) and not excused:
        yield f"I1: what follows from {record} was lost"
