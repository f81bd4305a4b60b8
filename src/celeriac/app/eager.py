"""Running a call in the caller's process: ``apply`` and ``task_always_eager`` (behaviours.md, section R)."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import warnings
from typing import TYPE_CHECKING, Any

from celeriac import current, serialization
from celeriac.app import tracer as tracers
from celeriac.app.arguments import check_containers
from celeriac.app.context import Context
from celeriac.app.ending import called_here
from celeriac.app.making import annotate
from celeriac.app.options import refuse_unknown
from celeriac.app.trace import Trace
from celeriac.canvas.signature import Signature
from celeriac.exceptions import AlwaysEagerIgnored, Retry
from celeriac.ids import new_task_id
from celeriac.pools.pool import Outcome
from celeriac.result import EagerResult, denied_join_result
from celeriac.states import EXCEPTION_STATES, RETRY, SUCCESS

if TYPE_CHECKING:
    from celeriac.app.task import Task

__all__ = ["apply_eagerly", "asend_eagerly", "send_eagerly", "warn_ignored"]


def warn_ignored(name: str) -> None:
    """Warn that a call by name is sent although ``task_always_eager`` is set."""
    warnings.warn(
        f"task_always_eager has no effect on send_task({name!r}): the function need not be known here",
        AlwaysEagerIgnored,
        stacklevel=4,
    )


def send_eagerly(
    task: Task[Any, Any],
    args: Any,
    kwargs: dict[str, Any] | None,
    task_id: str | None,
    link: Any,
    link_error: Any,
    options: dict[str, Any],
) -> EagerResult[Any]:
    """What ``Task.apply_async`` does with ``task_always_eager``: as a worker would, as far as one process can.

    The arguments pass through the serializer, and a task that waits for another's result is refused.
    """
    call = _sent(task, args, kwargs, task_id, link, link_error, options)
    with denied_join_result():
        return call.run()


async def asend_eagerly(
    task: Task[Any, Any],
    args: Any,
    kwargs: dict[str, Any] | None,
    task_id: str | None,
    link: Any,
    link_error: Any,
    options: dict[str, Any],
) -> EagerResult[Any]:
    """As :func:`send_eagerly`; a coroutine runs in the caller's own event loop."""
    call = _sent(task, args, kwargs, task_id, link, link_error, options)
    with denied_join_result():
        return await call.arun()


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
    return _Call(task, args or (), kwargs or {}, link, link_error, task_id, retries or 0, throw, options).run()


def _sent(
    task: Task[Any, Any],
    args: Any,
    kwargs: Any,
    task_id: str | None,
    link: Any,
    link_error: Any,
    options: dict[str, Any],
) -> _Call:
    args, kwargs = () if args is None else args, {} if kwargs is None else kwargs
    check_containers(task.name, args, kwargs)
    serializer = options.get("serializer") or task.serializer
    content_type, content_encoding, payload = serialization.dumps((args, kwargs), serializer)
    accept = serialization.accepted([serializer])
    args, kwargs = serialization.loads(payload, content_type, content_encoding, accept)
    return _Call(task, args, kwargs, link, link_error, task_id, 0, None, options, sent=True)


class _Call:
    """One eager call with its retries, which run at once, whatever their countdown."""

    def __init__(
        self,
        task: Task[Any, Any],
        args: Any,
        kwargs: dict[str, Any],
        link: Any,
        link_error: Any,
        task_id: str | None,
        retries: int,
        throw: bool | None,
        options: dict[str, Any],
        sent: bool = False,
    ) -> None:
        if options and task.app.flavour == "celeriac":
            refuse_unknown(options)
        annotate(task.app, task)
        self._task = task
        self._args, self._kwargs = tuple(args), dict(kwargs)
        self._link, self._link_error = link, link_error
        self._task_id = task_id or new_task_id()
        self._retries = retries
        self._throw = task.app.settings.task_eager_propagates if throw is None else throw
        self._options = options
        self._sent = sent

    def run(self) -> EagerResult[Any]:
        while True:
            trace = self._trace()
            outcome = _run(trace)
            if not self._again(trace, outcome):
                return self._result(trace, outcome)

    async def arun(self) -> EagerResult[Any]:
        while True:
            trace = self._trace()
            outcome = await trace.arun() if trace.is_coroutine else trace.run()
            if not self._again(trace, outcome):
                return self._result(trace, outcome)

    def _trace(self) -> Trace:
        options = self._options
        parent = current.current_context()
        context = Context(
            Context.own_headers(options.get("headers") or {}),
            id=self._task_id,
            args=self._args,
            kwargs=self._kwargs,
            task=self._task.name,
            retries=self._retries,
            is_eager=True,
            called_directly=False,
            headers=options.get("headers"),
            ignore_result=options.get("ignore_result"),
            callbacks=self._link,
            errbacks=self._link_error,
            root_id=options.get("root_id") or (parent.root_id if parent is not None and parent.id else self._task_id),
            parent_id=options.get("parent_id") or (parent.id if parent is not None else None),
            delivery_info={
                "is_eager": True,
                "exchange": options.get("exchange"),
                "routing_key": options.get("routing_key"),
                "priority": options.get("priority"),
            },
        )
        return Trace(tracers.build_tracer(self._task.app, self._task), context, self._args, self._kwargs)

    def _again(self, trace: Trace, outcome: Outcome) -> bool:
        record = trace.record(outcome)
        if self._task.store_eager_result and record is not None:
            self._task.app.store.store_results([record])
        if trace.state != RETRY or not isinstance(trace.error, Retry) or trace.error.sig is None:
            return False
        following: Signature = trace.error.sig
        self._args, self._kwargs, options = following.merged()
        self._retries = options["retries"]
        return True

    def _result(self, trace: Trace, outcome: Outcome) -> EagerResult[Any]:
        self._call_back(trace, outcome)
        error = trace.error
        if self._throw and error is not None and trace.state in EXCEPTION_STATES:
            raise error
        value = trace.value if error is None else error
        name, app = self._task.name, self._task.app
        return EagerResult(self._task_id, value, trace.state, outcome.traceback, name, app, self._sent)

    def _call_back(self, trace: Trace, outcome: Outcome) -> None:
        app, context = self._task.app, trace.context
        if trace.state == SUCCESS:
            for call in _calls(self._link):
                Signature(call, app=app).apply((trace.value,))
        elif trace.error is not None and trace.state in EXCEPTION_STATES:
            for call in _calls(self._link_error):
                if not called_here(app, context, call, trace.error, outcome.traceback or ""):
                    Signature(call, app=app).apply((context.id,))


def _run(trace: Trace) -> Outcome:
    if not trace.is_coroutine:
        return trace.run()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(trace.arun())
    return _run_in_thread(trace)


def _run_in_thread(trace: Trace) -> Outcome:
    """A loop runs in this thread already, so the coroutine gets one in a thread of its own.

    What only a thread can raise (KeyboardInterrupt apart, which goes to the main thread) is raised here again.
    """
    ended: list[Outcome | BaseException] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            ended.append(asyncio.run(trace.arun()))
        except BaseException as error:  # SystemExit of the task's body belongs to the caller
            ended.append(error)

    thread = threading.Thread(target=context.run, args=(run,))
    thread.start()
    thread.join()
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


def _calls(link: Any) -> list[Any]:
    if not link:
        return []
    return [link] if isinstance(link, dict) else list(link)
