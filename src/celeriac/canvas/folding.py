"""Folding: what ``|`` makes of two signatures, and what a row of steps becomes (behaviours.md, I.124 to I.128).

A step behind a group makes a chord of both; a step behind a chord goes on from the chord's body; a group of one member
is that member; an empty group is nothing. So of a folded row only the last step can be a group or a chord.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from celeriac.canvas.signature import Signature, maybe_signature

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["folded", "joined", "unrolled"]


def joined(first: Signature, second: Any) -> Any:
    """What ``first | second`` is."""
    from celeriac.canvas.group import group

    if not isinstance(second, Signature):
        return NotImplemented
    if type(first) is group and type(second) is group and not second.tasks:
        return first
    return workflow_of(folded((first, second)), first.own_app or second.own_app)


def workflow_of(steps: list[Signature], app: Celeriac | None) -> Signature:
    """A folded row as one signature: the only step itself, else a chain."""
    from celeriac.canvas.chain import Chain

    return steps[0] if len(steps) == 1 else Chain.of_steps(steps, app)


def folded(steps: Iterable[Any], app: Celeriac | None = None) -> list[Signature]:
    """A row of steps in its shortest form. What is changed by that is a copy."""
    row: list[Signature] = []
    for each in steps:
        step = maybe_signature(each, app)
        if step is not None:
            _append(row, step)
    return row


def unrolled(step: Signature) -> Signature | None:
    """A group of one member is that member, with what the group was given; an empty one is None."""
    from celeriac.canvas.group import group

    if type(step) is not group:
        return step
    if not step.tasks:
        return None
    return step.only_member() if len(step.tasks) == 1 else step


def _append(row: list[Signature], step: Signature) -> None:
    from celeriac.canvas.chain import Chain
    from celeriac.canvas.chord import chord
    from celeriac.canvas.group import group
    from celeriac.canvas.maps import chunks

    if isinstance(step, chunks):
        step = step.group()
    if isinstance(step, Chain):
        for each in step.own_steps():
            _append(row, each)
        return
    single = unrolled(step)
    if single is None:
        return
    if single is not step:
        _append(row, single)
        return
    last = row[-1] if row else None
    if type(last) is group:
        row[-1] = chord(last, body=step, app=last.own_app)
    elif isinstance(last, chord):
        row[-1] = _continued(last, step)
    else:
        row.append(step.clone() if isinstance(step, chord) else step)


def _continued(owner: Signature, step: Signature) -> Signature:
    """A chord, a copy already, that goes on with a step after its body."""
    from celeriac.canvas.chain import Chain

    body = maybe_signature(owner.kwargs.get("body"))
    if body is None:
        owner.kwargs["body"] = step
        return owner
    row = list(body.tasks) if isinstance(body, Chain) and not body.has_links() else [body]
    if len(row) == 1:
        row = folded(row)
    _append(row, step)
    owner.kwargs["body"] = workflow_of(row, owner.own_app)
    return owner
