"""Thousands of coroutine tasks at the same time in one process.

Run it long by hand:

    python -m tests.faults.coroutines --seconds 5

where the seconds are those within which 10,000 sleeps of one second are to end.
"""

from __future__ import annotations

from typing import Final

from tests.apps import ledger as ledger_app
from tests.faults.scenario import Place, Verdict, by_hand

__all__ = ["sleeps"]

SLEEP: Final = 1.0
SLEEPS: Final = 10_000


def sleeps(place: Place, seconds: float, count: int = SLEEPS) -> Verdict:
    """All of them sleep at the same time in one process.

    Args:
        seconds: from the first start to the last end.
        count: how many.
    """
    verdict, ledger = Verdict(f"{count} sleeps in one process on {place.broker}"), place.ledger
    with place.app.batch():
        ledger.confirmed.update(ledger_app.awork.delay(SLEEP).id for _ in range(count))
    place.worker("-P", "asyncio", "-c", str(count), ready=False)
    place.judge(verdict, patience=seconds + 60, repeated=0)
    events = ledger.events()
    span = max(event.at for event in events) - min(event.at for event in events)
    running = most = 0
    for event in sorted(events, key=lambda event: event.at):
        running += 1 if event.kind == "start" else -1
        most = max(most, running)
    verdict.note(seconds=span, at_the_same_time=most, processes=len({event.pid for event in events}))
    verdict.expect(len({event.pid for event in events}) == 1, "more than one process")
    verdict.expect(span <= seconds, f"it took {span:.1f} s, not {seconds:.1f}")
    return verdict


if __name__ == "__main__":
    by_hand(__doc__, {"sleeps": sleeps})
