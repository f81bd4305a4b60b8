"""Replacing a running task by a signature, and adding members to the chord that it is a part of (I.144 to I.146)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celeriac.app.ending import Ending
from celeriac.canvas.chain import Chain
from celeriac.canvas.chord import chord
from celeriac.canvas.group import group
from celeriac.canvas.signature import Signature, listed
from celeriac.exceptions import Ignore, ImproperlyConfigured

if TYPE_CHECKING:
    from celeriac.app.task import Task
    from celeriac.canvas.stamping import StampingVisitor
    from celeriac.result import ResultBase

__all__ = ["add_to_chord", "replace"]


def replace(task: Task[Any, Any], sig: Any, visitor: StampingVisitor | None = None) -> Any:
    """What ``Task.replace`` does; arguments as there."""
    request = task.request
    call = sig.clone() if isinstance(sig, Signature) else Signature.from_dict(sig, task.app)
    if "chord" in call.options:
        raise ImproperlyConfigured("a signature with a chord option of its own cannot replace a task")
    if isinstance(call, group):
        call = chord(call, body=task.app.tasks["celery.accumulate"].s(index=0), app=task.app)
    if isinstance(call, Chain) and not call.tasks:
        raise ImproperlyConfigured("an empty chain cannot replace a task")
    for callback in listed(request.callbacks):
        call.link(Signature.from_dict(callback, task.app))
    for errback in listed(request.errbacks):
        call.link_error(Signature.from_dict(errback, task.app))
    if request.is_eager:
        return call.apply().get()
    if visitor is not None or request.stamps:
        names = listed(request.stamped_headers)
        call.stamp(visitor, **{**(request.stamps or {}), "stamped_headers": names} if names else {})
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


def add_to_chord(task: Task[Any, Any], sig: Any, lazy: bool = False) -> ResultBase | Signature:
    """What ``Task.add_to_chord`` does; arguments as there."""
    request = task.request
    if not request.chord:
        raise ValueError("the current task is no member of a chord: there is nothing to add to")
    call = sig.clone() if isinstance(sig, Signature) else Signature.from_dict(sig, task.app)
    size = call.completions()
    result: ResultBase = call.freeze(None, group_id=request.group, chord=request.chord, root_id=request.root_id)
    ending = Ending(task.app, request)
    ending.grow(str(request.group), size)
    if not lazy:
        ending.go_on(call)
    request.own_ending = ending
    return call if lazy else result
