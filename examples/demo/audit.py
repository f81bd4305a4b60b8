"""The audit: every task is accounted for, or the demo fails."""

from __future__ import annotations

from dataclasses import dataclass

from celeriac import states
from demo import trouble
from demo.app import app
from demo.index import Index
from demo.pipeline import Call
from demo.tally import Tally

__all__ = ["Finding", "audit"]

STUBBORN = "never_gives_up"
MAY_FAIL = ("parse_module", STUBBORN)
"""Tasks that fail because the demo wants them to: sources that are not Python 3, and the one without an end."""


@dataclass(frozen=True)
class Finding:
    """One promise, and whether it was kept."""

    promise: str
    kept: bool
    detail: str


async def audit(calls: list[Call], tally: Tally, index: Index) -> list[Finding]:
    """Compare what was sent, what the results say, what the ledger says and what the broker has left."""
    outcomes = {call.result.id: str((await call.result.ameta())["status"]) for call in calls}
    open_ends = [call for call in calls if outcomes[call.result.id] not in states.READY_STATES]
    surprises = [call for call in calls if outcomes[call.result.id] == states.FAILURE and call.name not in MAY_FAIL]
    silent = [call for call in calls if not tally.runs[call.result.id]]
    killed = [call for call in calls if call.name == "parse_module" and trouble.is_lethal(call.subject)]
    lost = [call for call in killed if tally.runs[call.result.id] == 1 or outcomes[call.result.id] != states.SUCCESS]
    parsed, counted = (_successes(calls, outcomes, name) for name in ("parse_module", "count_words"))
    modules, words = index.sizes()
    left = (await (await app.async_store()).counts([app.conf.task_default_queue]))[app.conf.task_default_queue]
    return [
        Finding(
            "every task that was sent has ended", not open_ends, f"{len(calls):,} sent, {len(open_ends)} without an end"
        ),
        Finding("every one of them was really run", not silent, f"{len(silent)} that no process ever started"),
        Finding(
            "only what was to fail has failed",
            not surprises,
            f"{len(tally.failures)} failures, {len(surprises)} surprises",
        ),
        Finding(
            "what killed its process ran again",
            not lost,
            f"{len(killed)} processes killed, {len(lost)} tasks lost",
        ),
        Finding(
            "every success had its callback", (modules, words) == (parsed, counted), f"{modules:,} + {words:,} rows"
        ),
        Finding(
            "nothing is left in the broker",
            not (left.ready or left.held or left.in_flight or left.dead),
            f"{left.ready} ready, {left.held} held, {left.in_flight} in flight, {left.dead} dead",
        ),
    ]


def _successes(calls: list[Call], outcomes: dict[str, str], name: str) -> int:
    return sum(call.name == name and outcomes[call.result.id] == states.SUCCESS for call in calls)
