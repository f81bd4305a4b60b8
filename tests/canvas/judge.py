"""What a canvas came to beside what it must come to."""

from __future__ import annotations

import json
from typing import Any

from .evaluator import Outcome, evaluate, leaves_of
from .plan import Call, Plan, calls_of
from .sightings import Observed

__all__ = ["differences"]


def differences(plan: Plan, observed: Observed) -> list[str]:
    """Everything in which the two differ, empty when all is well."""
    expected, tree = evaluate(plan)
    found = _of(expected.settled, observed.settled, "outcome") + _of(expected.errbacks, observed.errbacks, "errback")
    quiet = {call.label for call in calls_of(plan) if isinstance(call, Call) and call.quiet}
    ends = leaves_of(tree)
    if len(ends) != len(observed.ended):
        return [*found, f"the handle has {len(observed.ended)} results instead of {len(ends)}"]
    for end, seen in zip(ends, observed.ended, strict=True):
        if end.label not in quiet and _shown(end) != (seen[0], json.dumps(seen[1])):
            found.append(f"the handle's result of {end.label} is {seen} instead of {end}")
    return found


def _shown(end: Outcome) -> tuple[str, str]:
    return ("PENDING", "null") if end.state == "IGNORED" else (end.state, json.dumps(end.value))


def _of(expected: Any, observed: Any, what: str) -> list[str]:
    missing, extra = expected - observed, observed - expected
    return [f"missing {what} {key} x{n}" for key, n in missing.items()] + [
        f"extra {what} {key} x{n}" for key, n in extra.items()
    ]
