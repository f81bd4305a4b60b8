"""Callbacks, errbacks and the next step of a chain, as messages that travel with the settlement."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celeriac.app.arguments import ArgumentChecker
from celeriac.canvas.signature import Signature
from celeriac.stores.store import Outgoing
from celeriac.workflow import Embedded, SignatureData

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.context import Context
    from celeriac.app.task import Task

__all__ = ["called_here", "follow_ups_of_failure", "follow_ups_of_success", "unsupported"]

logger = logging.getLogger("celeriac.app.callbacks")


def unsupported(workflow: Embedded) -> str | None:
    """What in a workflow this release cannot go on with, None when nothing is."""
    if workflow.chord is not None:
        return "a member of a chord"
    for call in (*(workflow.callbacks or ()), *(workflow.errbacks or ()), *(workflow.chain or ())):
        if call.get("subtask_type"):
            return f"followed by a {call['subtask_type']}"
    return None


def follow_ups_of_success(app: Celeriac, context: Context, workflow: Embedded, value: Any) -> list[Outgoing]:
    """The callbacks and the next chain step, each with the value; they are the call's children."""
    place: dict[str, Any] = {"parent_id": context.id, "root_id": context.root_id or context.id}
    follow_ups: list[Outgoing] = []
    for call in workflow.callbacks or ():
        follow_ups += app.sender.prepare(None, _child(app, context, call), (value,), **place)
    if workflow.chain:
        *rest, following = workflow.chain
        follow_ups += app.sender.prepare(None, _child(app, context, following), (value,), chain=rest, **place)
    return follow_ups


def _child(app: Celeriac, context: Context, call: SignatureData) -> Signature:
    """A call with an id, whose result is remembered as one of this call's children where the task keeps a trail."""
    child = Signature(call, app=app)
    result = child.freeze()
    task = app.tasks.get(str(context.task))
    if task is None or task.trail:
        context.children.append(result)
    return child


def follow_ups_of_failure(
    app: Celeriac, context: Context, workflow: Embedded, error: BaseException, traceback: str
) -> list[Outgoing]:
    """The errbacks: those that take more than the failed task's id are called here, the others are sent (J.147)."""
    place = {"parent_id": context.id, "root_id": context.root_id or context.id}
    follow_ups: list[Outgoing] = []
    for call in workflow.errbacks or ():
        if not called_here(app, context, call, error, traceback):
            follow_ups += app.sender.prepare(None, Signature(call, app=app), (context.id,), **place)
    return follow_ups


def called_here(app: Celeriac, context: Context, call: SignatureData, error: BaseException, traceback: str) -> bool:
    """Call an errback that takes the request, the exception and the traceback; False for one that is to be sent."""
    task = app.tasks.get(str(call.get("task")))
    if task is None or not _takes_details(task, call):
        return False
    try:
        task(context, error, traceback)
    except Exception:
        logger.exception("the errback %s of %s raised", task.name, context.id)
    return True


def _takes_details(task: Task[Any, Any], call: SignatureData) -> bool:
    if call.get("args") or task.is_coroutine:
        return False
    try:
        ArgumentChecker(task.run, task.name).check((1, 2, 3), {})
    except TypeError:
        return False
    return True
