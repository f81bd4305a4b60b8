"""Replacing a running task by a signature, and adding members to the chord that it is a part of (I.144 to I.146)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from celeriac.app.ending import Ending
from celeriac.canvas.chain import Chain
from celeriac.canvas.chord import chord
from celeriac.canvas.folding import joined
from celeriac.canvas.group import group
from celeriac.canvas.maps import chunks
from celeriac.canvas.signature import Signature, listed
from celeriac.exceptions import Ignore, ImproperlyConfigured

if TYPE_CHECKING:
    from celeriac.app.task import Task
    from celeriac.canvas.stamping import StampingVisitor
    from celeriac.result import ResultBase

__all__ = ["add_to_chord", "replace"]

UNKNOWN_SIZE: Final = 1 << 30
"""Where members begin that are added to a chord that a Celery peer started: behind all others."""


def replace(task: Task[Any, Any], sig: Any, visitor: StampingVisitor | None = None) -> Any:
    """What ``Task.replace`` does; arguments as there."""
    request = task.request
    call = sig.clone() if isinstance(sig, Signature) else Signature.from_dict(sig, task.app)
    if "chord" in call.options:
        raise ImproperlyConfigured("a signature with a chord option of its own cannot replace a task")
    if isinstance(call, Chain) and not call.prepared():
        raise ImproperlyConfigured("an empty chain cannot replace a task")
    call = _single(task, call)
    for callback in listed(request.callbacks):
        call.link(Signature.from_dict(callback, task.app))
    for errback in listed(request.errbacks):
        call.link_error(Signature.from_dict(errback, task.app))
    if request.is_eager:
        return call.apply().get()
    if visitor is not None or request.stamps:
        names = listed(request.stamped_headers)
        call.stamp(visitor, **{**(request.stamps or {}), "stamped_headers": names} if names else {})
    _last(call).options.pop("task_id", None)  # of a signature that was frozen; what ends it has this call's id
    place = {"group_id": request.group, "group_index": request.group_index, "chord": request.chord}
    call.freeze(request.id, **place, root_id=request.root_id)
    ending = Ending(task.app, request)
    options: dict[str, Any] = {"replaced_task_nesting": (request.replaced_task_nesting or 0) + 1}
    if request.chain:
        options["chain"] = request.chain
    if request.ignore_result is not None:
        options["ignore_result"] = request.ignore_result
    ending.go_on(call, (), None, parent_id=request.parent_id, **options)
    request.own_ending = ending
    request.replaced = True
    raise Ignore("Replaced by new task")


def _single(task: Task[Any, Any], call: Signature) -> Signature:
    """The signature as one that ends in a single call: the results of a group are gathered in a list."""
    if isinstance(call, chunks):
        call = call.group()
    if not call.ends_in_group():
        return call
    gather = task.app.tasks["celery.accumulate"].s(index=0)
    return chord(call, body=gather, app=task.app) if isinstance(call, group) else joined(call, gather)


def _last(call: Signature) -> Signature:
    """What ends last in a signature: a chain's last step, a chord's body."""
    if isinstance(call, Chain):
        return _last(call.tasks[-1])
    if isinstance(call, chord) and call.body is not None:
        call.options.pop("task_id", None)
        call.body = body = call.body
        return _last(body)
    return call


def add_to_chord(task: Task[Any, Any], sig: Any, lazy: bool = False) -> ResultBase | Signature:
    """What ``Task.add_to_chord`` does; arguments as there."""
    request = task.request
    if not request.chord:
        raise ValueError("the current task is no member of a chord: there is nothing to add to")
    call = sig.clone() if isinstance(sig, Signature) else Signature.from_dict(sig, task.app)
    if isinstance(call, chunks):
        call = call.group()
    size = call.completions()
    ending = Ending(task.app, request)
    # Results are in the order of the positions: what is added comes after the header's own members.
    behind = request.chord.get("chord_size", UNKNOWN_SIZE) + sum(more for _, more in ending.grown)
    place = {"group_id": request.group, "group_index": behind, "chord": request.chord}
    result: ResultBase = call.freeze(None, **place, root_id=request.root_id)
    ending.grow(str(request.group), size)
    if not lazy:
        ending.go_on(call)
    request.own_ending = ending
    return call if lazy else result
