"""Folding: what ``|`` makes of two signatures, and what a row of steps becomes (behaviours.md, I.124 to I.128).

A step behind a group makes a chord of both: the step gets the list of the members' results. A step behind a chord goes
on from the chord's body. A group of one member that a chain goes on to is that member. So of a folded row only the last
step can be a group that nobody joins.

``chain(a, b, c)`` and ``a | b | c`` differ in what a row may begin with and in empty groups, as they do in Celery 5.7:
in ``group([x]) | b`` the group stays a group, whose results are a list of one; ``chain(group([x]), b)`` is
``chain(x, b)``. And ``chain`` leaves empty groups out, whereas ``a | group([]) | b`` calls ``b`` with an empty list.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from celeriac.canvas.signature import Signature, maybe_signature

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.canvas.chord import chord

__all__ = ["folded", "joined", "unrolled", "workflow_of"]


def joined(first: Signature, second: Any) -> Any:
    """What ``first | second`` is."""
    from celeriac.canvas.group import group

    if not isinstance(second, Signature):
        return NotImplemented
    if type(first) is group and type(second) is group and not second.tasks:
        return first
    app = first.own_app or second.own_app
    return workflow_of(folded((first, second), app, whole=True), app)


def workflow_of(steps: list[Signature], app: Celeriac | None) -> Signature:
    """A folded row as one signature: the only step itself, else a chain."""
    from celeriac.canvas.chain import Chain

    return steps[0] if len(steps) == 1 else Chain.of_steps(steps, app)


def folded(steps: Iterable[Any], app: Celeriac | None = None, whole: bool = False) -> list[Signature]:
    """A row of steps in its shortest form. What is changed by that is a copy.

    Args:
        steps: signatures or their mappings.
        app: sends those that were made for none.
        whole: as ``|`` does it: the first group stays one, whatever its size, and empty groups stay.
    """
    row: list[Signature] = []
    for each in steps:
        step = maybe_signature(each, app)
        if step is not None:
            _append(row, step, whole)
    return row


def unrolled(step: Signature) -> Signature | None:
    """A group of one member is that member, with what the group was given; an empty one is None."""
    from celeriac.canvas.group import group

    if type(step) is not group:
        return step
    if not step.tasks:
        return None
    return step.only_member() if len(step.tasks) == 1 else step


def _append(row: list[Signature], step: Signature, whole: bool) -> None:
    from celeriac.canvas.chain import Chain
    from celeriac.canvas.chord import chord
    from celeriac.canvas.group import group
    from celeriac.canvas.maps import chunks

    if isinstance(step, chunks):
        step = step.group()
    if isinstance(step, Chain):
        for each in step.own_steps():
            _append(row, each, whole)
        return
    last = row[-1] if row else None
    if type(last) is group:
        if type(step) is not group or step.tasks:
            row[-1] = chord(last, body=step, app=last.own_app)
    elif isinstance(last, chord) and (last.body is None or last.body.is_empty() or last.body.ends_in_group()):
        _continue(last, step)
    elif type(step) is group and len(step.tasks) < 2:
        _append_small(row, step, whole)
    elif isinstance(last, chord) and not isinstance(step, (group, chord)):
        _continue(last, step)
    else:
        row.append(step.clone() if isinstance(step, chord) else step)


def _append_small(row: list[Signature], step: Signature, whole: bool) -> None:
    """A group of one member or none, behind anything but a group."""
    from celeriac.canvas.chord import chord
    from celeriac.canvas.group import group

    single = unrolled(step)
    if single is None:
        if whole or (row and isinstance(row[-1], chord)):
            row.append(step)
    elif row or not (whole or type(single) is group):
        _append(row, single, whole)
    else:
        row.append(step if whole else single)


def _continue(owner: chord, step: Signature) -> None:
    """Let a chord, a copy already, go on with a step after its body."""
    from celeriac.canvas.chain import Chain

    body = owner.body
    if body is None or (body.is_empty() and isinstance(body, Chain)):
        owner.body = step
    elif isinstance(body, Chain) and not body.has_links():
        tasks = body.tasks
        _append(tasks, step, whole=True)
        body.kwargs["tasks"] = tasks
        owner.body = body
    else:
        owner.body = workflow_of(folded((body, step), owner.own_app, whole=True), owner.own_app)
