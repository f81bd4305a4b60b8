"""Shapes: what plans become when they are composed, by the rules of docs/guides/canvas.md. Plans in, plans out.

In a shape links and errbacks are at calls only, and are shapes too; no chain is in a chain.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .plan import Call, Chain, Chord, Errback, Group, Map, Plan

__all__ = ["ends_in_group", "is_empty", "linked", "members_of", "shape_of", "steps_of", "with_errbacks"]


def shape_of(plan: Plan) -> Plan:
    """The shape of a plan."""
    shape: Plan
    match plan:
        case Map(kind="chunks"):
            cut = [plan.items[at : at + plan.size] for at in range(0, len(plan.items), plan.size)]
            return Group(tuple(replace(plan, kind="starmap", items=part) for part in cut))
        case Call():
            stead = None if plan.replaced_by is None else shape_of(plan.replaced_by)
            return replace(plan, replaced_by=stead, links=tuple(shape_of(each) for each in plan.links))
        case Map():
            return replace(plan, links=tuple(shape_of(each) for each in plan.links))
        case Group():
            shape = Group(tuple(shape_of(each) for each in plan.members))
        case Chord():
            shape = Chord(tuple(shape_of(each) for each in plan.header), shape_of(plan.body))
        case Chain():
            row: list[Plan] = []
            for each in plan.steps:
                step = shape_of(each)
                for one in step.steps if isinstance(step, Chain) else (step,):
                    append(row, one, plan.piped)
            shape = row[0] if len(row) == 1 and len(plan.steps) > 1 else Chain(tuple(row))
    for link in plan.links:
        shape = linked(shape, shape_of(link))
    return with_errbacks(shape, plan.errbacks)


def append(row: list[Plan], step: Plan, whole: bool) -> None:
    """Let a row go on with a step: behind a group it becomes a chord's body; small groups melt away."""
    last = row[-1] if row else None
    if isinstance(last, Group):
        if not (isinstance(step, Group) and not step.members):
            row[-1] = Chord(last.members, step)
    elif isinstance(last, Chord) and (ends_in_group(last.body) or is_empty(last.body)):
        row[-1] = _continued(last, step)
    elif isinstance(step, Group) and not step.members:
        if whole or isinstance(last, Chord):
            row.append(step)
    elif isinstance(step, Group) and len(step.members) == 1 and (row or not whole):
        (only,) = step.members
        if not row and isinstance(only, Group):
            row.append(only)
        else:
            for one in only.steps if isinstance(only, Chain) else (only,):
                append(row, one, whole)
    elif isinstance(last, Chord) and not isinstance(step, (Group, Chord)):
        row[-1] = _continued(last, step)
    else:
        row.append(step)


def _continued(chord: Chord, step: Plan) -> Chord:
    body = list(chord.body.steps) if isinstance(chord.body, Chain) else [chord.body]
    append(body, step, whole=True)
    return replace(chord, body=body[0] if len(body) == 1 else Chain(tuple(body)))


def steps_of(chain: Chain) -> tuple[Plan, ...]:
    """The steps that there is something to run in: an empty group that nothing follows is nothing."""
    steps = chain.steps
    while len(steps) > 1 and isinstance(steps[-1], Group) and not steps[-1].members:
        steps = steps[:-1]
    return steps


def members_of(members: Iterable[Plan]) -> list[Plan]:
    """The members side by side: groups within are laid open, empty chains left out."""
    found: list[Plan] = []
    for each in members:
        if isinstance(each, Group):
            found += members_of(each.members)
        elif not isinstance(each, Chain) or each.steps:
            found.append(each)
    return found


def is_empty(shape: Plan) -> bool:
    """There is no step in it, not even an empty group."""
    return isinstance(shape, Chain) and not shape.steps


def ends_in_group(shape: Plan) -> bool:
    """What comes of it is a list."""
    match shape:
        case Group():
            return True
        case Chord():
            return ends_in_group(shape.body)
        case Chain():
            return not shape.steps or ends_in_group(steps_of(shape)[-1])
    return False


def linked(shape: Plan, link: Plan) -> Plan:
    """``shape.link(link)``."""
    match shape:
        case Call() | Map():
            return replace(shape, links=(*shape.links, link))
        case Chord():
            return replace(shape, body=linked(shape.body, link))
        case Chain():
            last = len(steps_of(shape)) - 1
            return Chain(tuple(_linked_ends(each, link) if at == last else each for at, each in enumerate(shape.steps)))
        case Group():
            members = members_of(shape.members)
            return Group((linked(members[0], _immutable(link)), *members[1:])) if members else shape


def _linked_ends(shape: Plan, link: Plan) -> Plan:
    if isinstance(shape, Group):
        return Group(tuple(_linked_ends(each, link) for each in members_of(shape.members)))
    return linked(shape, link)


def _immutable(plan: Plan) -> Plan:
    match plan:
        case Call():
            return replace(plan, immutable=True)
        case Group():
            return replace(plan, members=tuple(_immutable(each) for each in plan.members))
        case Chord():
            return replace(plan, header=tuple(_immutable(each) for each in plan.header))
    return plan


def with_errbacks(shape: Plan, errbacks: tuple[Errback, ...]) -> Plan:
    """``shape.link_error(...)`` of each: a chain's are those of every step, a group's every member's, a chord's the
    body's."""
    match shape:
        case Call() | Map():
            return replace(shape, errbacks=(*shape.errbacks, *errbacks))
        case Chord():
            return replace(shape, body=with_errbacks(shape.body, errbacks))
        case Chain():
            return replace(shape, steps=tuple(with_errbacks(each, errbacks) for each in shape.steps))
        case Group():
            return replace(shape, members=tuple(with_errbacks(each, errbacks) for each in shape.members))
