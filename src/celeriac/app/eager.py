"""Running a call in the caller's process: ``apply`` and ``task_always_eager`` (behaviours.md, section R)."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import warnings
from typing import TYPE_CHECKING, Any

from celeriac import current, serialization
from celeriac.app import tracer as tracers
from celeriac.app.context import Context
from celeriac.app.trace import Trace
from celeriac.canvas.signature import maybe_signature
from celeriac.exceptions import AlwaysEagerIgnored, Retry
from celeriac.ids import new_task_id
from celeriac.pools.pool import Outcome
from celeriac.result import EagerResult
from celeriac.states import EXCEPTION_STATES, RETRY, SUCCESS

if TYPE_CHECKING:
    from celeriac.app.task import Task

__all__ = ["apply_eagerly", "warn_ignored"]


def warn_ignored(name: str) -> None:
    """Warn that a call by name is sent although ``task_always_eager`` is set."""
    warnings.warn(
        f"task_always_eager has no effect on send_task({name!r}): the function need not be known here",
        AlwaysEagerIgnored,
        stacklevel=4,
    )


def apply_eagerly(
    task: Task[Any, Any],
    args: Any,
    kwargs: dict[str, Any] | None,
    link: Any,
    link_error: Any,
    task_id: str | None,
    retries: int | None,
    throw: bool | None,
    options: dict[str, Any],
) -> EagerResult[Any]:
    """What ``Task.apply`` does; arguments as there."""
    app = task.app
    settings = app.settings
    if settings.task_always_eager:
        args, kwargs = _through_serializer(args or (), kwargs or {}, options.get("serializer") or settings.task_serializer)
    throw = settings.task_eager_propagates if throw is None else throw
    task_id = task_id or new_task_id()
    trace = _trace(task, task_id, tuple(args or ()), dict(kwargs or {}), retries or 0, link, link_error, options)
    outcome = _run(trace)
    if trace.state == RETRY and isinstance(trace.error, Retry) and trace.error.sig is not None:
        again = trace.error.sig
        next_args, next_kwargs, _ = again.merged()
        return apply_eagerly(
            task, next_args, next_kwargs, link, link_error, task_id, again.options["retries"], throw, options
        )
    _store(task, trace, outcome)
    value = trace.error if trace.error is not None else trace.value
    if throw and trace.error is not None and trace.state in EXCEPTION_STATES:
        raise trace.error
    result: EagerResult[Any] = EagerResult(task_id, value, trace.state, outcome.traceback, task.name, app)
    _run_callbacks(trace, link, link_error)
    return result


def _trace(
    task: Task[Any, Any],
    task_id: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    retries: int,
    link: Any,
    link_error: Any,
    options: dict[str, Any],
) -> Trace:
    parent = current.current_context()
    context = Context(
        id=task_id,
        args=args,
        kwargs=kwargs,
        task=task.name,
        retries=retries,
        is_eager=True,
        called_directly=False,
        headers=options.get("headers"),
        ignore_result=options.get("ignore_result"),
        callbacks=link,
        errbacks=link_error,
        root_id=options.get("root_id") or (parent.root_id if parent is not None and parent.id else task_id),
        parent_id=options.get("parent_id") or (parent.id if parent is not None else None),
        delivery_info={
            "is_eager": True,
            "exchange": options.get("exchange"),
            "routing_key": options.get("routing_key"),
            "priority": options.get("priority"),
        },
    )
    return Trace(tracers.build_tracer(task.app, task), context, args, kwargs)


def _run(trace: Trace) -> Outcome:
    if not trace.is_coroutine:
        return trace.run()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(trace.arun())
    return _run_in_thread(trace)


def _run_in_thread(trace: Trace) -> Outcome:
    """A loop runs in this thread already, so the coroutine gets one in a thread of its own."""
    outcomes: list[Outcome] = []
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(lambda: outcomes.append(asyncio.run(trace.arun())),))
    thread.start()
    thread.join()
    return outcomes[0]


def _store(task: Task[Any, Any], trace: Trace, outcome: Outcome) -> None:
    record = trace.record(outcome)
    if task.store_eager_result and record is not None:
        task.app.store.store_results([record])


def _run_callbacks(trace: Trace, link: Any, link_error: Any) -> None:
    app = trace.tracer.app
    if trace.state == SUCCESS:
        for call in _calls(link):
            maybe_signature(call, app).apply((trace.value,))  # type: ignore[union-attr]  # a call is never None
    elif trace.error is not None:
        for call in _calls(link_error):
            maybe_signature(call, app).apply((trace.context.id,))  # type: ignore[union-attr]  # a call is never None


def _calls(link: Any) -> list[Any]:
    if not link:
        return []
    return [link] if isinstance(link, dict) else list(link)


def _through_serializer(args: Any, kwargs: dict[str, Any], serializer: str) -> tuple[Any, dict[str, Any]]:
    """The arguments as a worker would get them."""
    content_type, content_encoding, payload = serialization.dumps((args, kwargs), serializer)
    new_args, new_kwargs = serialization.loads(payload, content_type, content_encoding, None)
    return new_args, new_kwargs
