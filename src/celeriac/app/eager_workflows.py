"""Workflows that run here and now (behaviours.md, section R): step by step, in the caller's process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from celeriac.canvas.chain import Chain
from celeriac.canvas.chord import chord
from celeriac.canvas.group import group
from celeriac.canvas.signature import listed
from celeriac.ids import new_task_id
from celeriac.result import EagerResult, GroupResult, allow_join_result
from celeriac.states import FAILURE, IGNORED, REJECTED, REVOKED

if TYPE_CHECKING:
    from celeriac.canvas.signature import Signature
    from celeriac.result import ResultBase

__all__ = ["apply_workflow"]

_ENDED: Final = frozenset((FAILURE, REVOKED, IGNORED, REJECTED))
"""States behind which no further step runs."""
_OF_LAST: Final = ("task_id", "link", "link_error", "group_id", "group_index", "chord", "add_to_parent")


def apply_workflow(workflow: Signature, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any]) -> Any:
    """Run a chain, a group or a chord; returns its result.

    Args:
        options: of the calls; ``propagate`` of a chord: raise what a member of the header raises.
    """
    if isinstance(workflow, Chain):
        return _apply_chain(workflow, args, kwargs, options)
    if isinstance(workflow, group):
        return _apply_group(workflow, args, kwargs, options)
    assert isinstance(workflow, chord)
    return _apply_chord(workflow, args, kwargs, options.pop("propagate", True), options)


def _apply_chain(chain: Chain, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any]) -> Any:
    """Run the steps one after the other; returns the last one's result, None for an empty chain."""
    whole = chain.clone()
    for link in ("link", "link_error"):
        for each in listed(options.pop(link, None)):
            getattr(whole, link)(each)
    task_id = options.pop("task_id", None)
    given = {name: value for name, value in options.items() if name not in _OF_LAST}
    previous: ResultBase | None = None
    steps = whole.prepared()
    for position, step in enumerate(steps):
        last = position == len(steps) - 1
        own = {"task_id": task_id} if last and task_id is not None else {}
        first_args = (args or ()) if previous is None else (_value_of(previous),)
        result = step.apply(first_args, kwargs if previous is None else None, **own, **given)
        _root_of(result).parent = previous
        previous = result
        if isinstance(result, EagerResult) and result.state in _ENDED:
            break
    return previous


def _apply_group(members: group, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any]) -> Any:
    """Run the members one after the other."""
    given = {name: value for name, value in options.items() if name not in _OF_LAST}
    results = [each.apply(args or (), kwargs, **given) for each in members.members()]
    return GroupResult(
        options.get("task_id") or members.options.get("task_id") or new_task_id(), results, app=members.app
    )


def _apply_chord(
    whole: chord, args: Any, kwargs: dict[str, Any] | None, propagate: bool, options: dict[str, Any]
) -> Any:
    """Run the header, then the body with its results."""
    body = whole.body
    assert body is not None
    body = body.clone()
    for link in ("link", "link_error"):
        for each in listed(options.pop(link, None)) + listed(whole.options.get(link)):
            getattr(body, link)(each)
    task_id = options.pop("task_id", None) or whole.options.get("task_id")
    given = {name: value for name, value in options.items() if name not in _OF_LAST}
    header_kwargs = {**(kwargs or {}), **(whole.kwargs.get("kwargs") or {})}
    header = whole.header.apply((*(args or ()), *whole.args), header_kwargs, **given)
    with allow_join_result():
        values = header.get(propagate=propagate)
    result = body.apply((values,), None, **({"task_id": task_id} if task_id else {}), **given)
    _root_of(result).parent = header
    return result


def _value_of(result: ResultBase) -> Any:
    with allow_join_result():
        return result.get()  # type: ignore[attr-defined]  # what ran here has a value


def _root_of(result: ResultBase) -> ResultBase:
    while result.parent is not None:
        result = result.parent
    return result
