"""Retrying a call: the new message is a follow-up of this one's settlement (behaviours.md, section E)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from celeriac.app.options import refuse_unknown
from celeriac.exceptions import MaxRetriesExceededError, Retry

if TYPE_CHECKING:
    from datetime import datetime

    from celeriac.app.task import Task

__all__ = ["retry"]


def retry(
    task: Task[Any, Any],
    args: Any,
    kwargs: dict[str, Any] | None,
    exc: BaseException | None,
    throw: bool,
    eta: datetime | None,
    countdown: float | None,
    max_retries: int | None,
    options: dict[str, Any],
) -> Retry:
    """What ``Task.retry`` does; arguments as there."""
    if options and task.app.flavour == "celeriac":
        refuse_unknown(options)
    request = task.request
    if request.called_directly:
        raise exc if exc is not None else Retry("the task was called directly, so it cannot be retried", None)
    retries = request.retries + 1
    if max_retries is not None:
        request.override_max_retries = max_retries
    limit = task.max_retries if request.override_max_retries is None else request.override_max_retries
    if not eta and countdown is None:
        countdown = task.default_retry_delay
    if args is not None and kwargs is None:
        kwargs = _not_positional(task, args, request.kwargs or {})
    signature = task.signature_from_request(
        request, args, kwargs, countdown=countdown, eta=eta, retries=retries, **options
    )
    if limit is not None and retries > limit:
        if exc is not None:
            raise exc
        raise MaxRetriesExceededError(
            f"Can't retry {task.name}[{request.id}] args:{request.args} kwargs:{request.kwargs}",
            task_args=request.args,
            task_kwargs=request.kwargs,
        )
    outcome = Retry(exc=exc, when=eta or countdown, is_eager=request.is_eager, sig=signature)
    if not request.is_eager:
        # A root task's retry names its own id as its parent (protocol.md, section 1).
        parent = request.parent_id or request.id
        request.follow_ups.extend(task.app.sender.prepare(task, signature, add_to_parent=False, parent_id=parent))
    if throw:
        raise outcome
    return outcome


def _not_positional(task: Task[Any, Any], args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of this call without those that new positional arguments give now."""
    try:
        given = inspect.signature(task.run).bind_partial(*args).arguments
    except (TypeError, ValueError):  # they do not match, which the new message's run will tell; or nobody knows
        return kwargs
    return {name: value for name, value in kwargs.items() if name not in given}
