"""The reference: what a plan must come to, by plain recursion. It knows nothing of messages, stores or workers.

The rules are those of docs/guides/canvas.md, "What exactly happens". First :func:`steps_of` says what a plan is made
of (which groups are joined by the step behind them, and to which calls links and errbacks belong), then
:class:`Evaluation` runs that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .plan import Call, Chain, Chord, Group, Map, Plan

__all__ = ["Evaluation", "Outcome", "evaluate"]


@dataclass(frozen=True)
class Outcome:
    """How one call ended; ``value`` is what it returned, or its exception as text."""

    label: int
    state: str
    value: Any = None


Tree = Outcome | list[Any]
"""What a step ends with: one outcome, or the list of those of a group's members."""


def steps_of(plan: Plan, whole: bool = True) -> list[Plan]:
    """A plan as steps that run one after the other, of which none is a chain, with links and errbacks in the calls.

    Args:
        plan: any.
        whole: a group of one member stays one.
    """
    if isinstance(plan, Map) and plan.kind == "chunks":
        cut = [plan.items[at : at + plan.size] for at in range(0, len(plan.items), plan.size)]
        parts = tuple(replace(plan, kind="starmap", items=part) for part in cut)
        return [Group(parts)]
    if isinstance(plan, (Call, Map)):
        return [plan]
    if isinstance(plan, Group):
        members = [flat for each in plan.members for flat in _flattened(each)]
        if members and plan.links:
            members[0] = linked(members[0], tuple(_immutable(each) for each in plan.links))
        return [Group(tuple(with_errbacks(each, plan.errbacks) for each in members))]
    if isinstance(plan, Chord):
        (header,) = steps_of(Group(plan.header))
        assert isinstance(header, Group)
        body = plan.body
        for link in plan.links:
            body = linked(body, (link,))
        body = with_errbacks(body, plan.errbacks)
        return [Chord(header.members, Chain(tuple(steps_of(body)), piped=True))]
    row: list[Plan] = []
    for each in plan.steps:
        for step in steps_of(each):
            _append(row, step, plan.piped)
    if isinstance(row[-1], Group) and not row[-1].members and len(row) > 1:
        row.pop()  # nothing follows an empty group, so it is nothing
    for position, step in enumerate(row):
        if position == len(row) - 1:
            step = linked_ends(step, plan.links)
        row[position] = with_errbacks(step, plan.errbacks)
    return row
