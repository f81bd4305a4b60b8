"""Trace: one call from its request to its outcome (behaviours.md, section D).

The order: request entered, task_prerun, STARTED stored, before_start, body, callbacks and next chain step built, result
encoded, on_success, task_success, after_return, task_postrun, request left. Everything that would leave the process is
in the outcome instead, so that the worker can make it final in one step with the acknowledgement.
"""

from __future__ import annotations

import asyncio
import logging
import os
from datetime import datetime
from time import perf_counter
from typing import Any

from celeriac import current, documents, signals
from celeriac.app.context import Context
from celeriac.app.einfo import ExceptionInfo
from celeriac.app.ending import Ending
from celeriac.app.exchanging import Exchanging
from celeriac.app.retrying import retry
from celeriac.app.tracer import Tracer
from celeriac.exceptions import Ignore, Reject, ResultTooLarge, Retry, SoftTimeLimitExceeded, TaskRevokedError
from celeriac.pools.pool import Kind, Outcome
from celeriac.result.base import ResultBase
from celeriac.saferepr import saferepr
from celeriac.serialization.failures import encode_exception
from celeriac.states import FAILURE, IGNORED, REJECTED, RETRY, REVOKED, STARTED, SUCCESS
from celeriac.stores.store import Outgoing, ResultRecord
from celeriac.workflow import EMPTY, Embedded

__all__ = ["Trace"]

logger = logging.getLogger("celeriac.app.trace")


class Trace:
    """One call. ``state``, ``value`` and ``error`` tell how it ended; ``outcome`` is what the worker settles.

    Attributes:
        interrupted: set by the executor: the soft limit is over.
        cancelled: set by the executor: the worker wants the call to end.
        interruptible: the executor may raise into the thread that runs it.
    """

    __slots__ = (
        "args",
        "cancelled",
        "context",
        "error",
        "interrupted",
        "interruptible",
        "kwargs",
        "number",
        "started",
        "state",
        "tracer",
        "value",
        "workflow",
    )

    def __init__(
        self,
        tracer: Tracer,
        context: Context,
        args: Any,
        kwargs: dict[str, Any],
        workflow: Embedded = EMPTY,
        number: int = 0,
    ) -> None:
        self.tracer = tracer
        self.context = context
        self.args = args
        self.kwargs = kwargs
        self.workflow = workflow
        self.number = number
        self.interrupted = False
        self.interruptible = False
        self.cancelled = False
        self.started = 0.0
        self.state = ""
        self.value: Any = None
        self.error: BaseException | None = None

    @property
    def is_coroutine(self) -> bool:
        """The body is ``async def``."""
        return self.tracer.is_coroutine

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Run a plain function's call to its end."""
        token = current.push_request(self.tracer.task, self.context)
        self.started = perf_counter()
        try:
            try:
                self._begin()
                value = self._interruptibly()
            except (Exception, asyncio.CancelledError) as error:  # every exception of a task's body is an outcome
                return self._ended(self._raised(error))
            return self._ended(self._returned(value))
        finally:
            current.pop_request(token)

    def _interruptibly(self) -> Any:
        """The body of a plain function. The executor raises into it only while ``interruptible`` is true, so that no
        exception strikes between the body's end and its outcome, and none is lost that comes before its start."""
        try:
            self.interruptible = True
            if self.cancelled:
                raise asyncio.CancelledError
            if self.interrupted:
                raise SoftTimeLimitExceeded
            return self.tracer.body(*self.args, **self.kwargs)
        finally:
            self.interruptible = False

    async def arun(self) -> Outcome:
        """Run a coroutine function's call to its end."""
        token = current.push_request(self.tracer.task, self.context)
        self.started = perf_counter()
        try:
            try:
                self._begin()
                value = await Exchanging(self, self.tracer.body(*self.args, **self.kwargs))
            except (Exception, asyncio.CancelledError) as error:  # every exception of a task's body is an outcome
                return self._ended(self._raised(error))
            return self._ended(self._returned(value))
        finally:
            current.pop_request(token)

    def fail(self, error: Exception) -> Outcome:
        """End the call with an exception without running it."""
        token = current.push_request(self.tracer.task, self.context)
        self.started = perf_counter()
        try:
            self.error = error
            return self._ended(self._failed(error, Kind.FAILURE))
        finally:
            current.pop_request(token)

    def revoke(self, reason: str) -> Outcome:
        """End the call as revoked, without running it: what was to follow it is revoked with it."""
        token = current.push_request(self.tracer.task, self.context)
        self.started = perf_counter()
        try:
            error = TaskRevokedError(reason)
            self.error, self.state = error, REVOKED
            ending = self._ending()
            if ending is not None:
                ending.abandoned(self.workflow, error, REVOKED)
            result = self._document(REVOKED, encode_exception(error, self._serializer()), None)
            return self._outcome(Kind.IGNORE, result, reason, ending=ending)
        finally:
            current.pop_request(token)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        tracer, context = self.tracer, self.context
        if signals.task_prerun:
            signals.task_prerun.send(
                sender=tracer.task, task_id=context.id, task=tracer.task, args=self.args, kwargs=self.kwargs
            )
        if tracer.track_started and not self._ignored() and not context.is_eager:
            meta = {"pid": os.getpid(), "hostname": context.hostname}
            tracer.app.store.store_results([tracer.app.sender.state_record(str(context.id), STARTED, meta)])
        if tracer.before_start is not None:
            tracer.before_start(context.id, self.args, self.kwargs)

    def _ignored(self) -> bool:
        if self.context.is_eager and not self.tracer.task.store_eager_result:
            return True
        ignored = self.context.ignore_result
        return self.tracer.ignore_result if ignored is None else ignored

    def _returned(self, value: Any) -> Outcome:
        """The call succeeded, unless its result or its callbacks cannot be made messages."""
        tracer, context = self.tracer, self.context
        self.value, self.state = value, SUCCESS
        try:
            follow_ups, effects = self._own_follow_ups(), None
            if self.workflow is not EMPTY or context.own_ending is not None:
                ending = Ending(tracer.app, context)
                ending.succeeded(self.workflow, value)
                ending.part(self.workflow, SUCCESS, value)
                follow_ups, effects = [*follow_ups, *ending.follow_ups], ending.effects()
            result = None if self._ignored() else self._document(SUCCESS, value, None)
        except Exception as error:  # the result cannot be sent: the call failed, and the outcome says why
            return self._internal_error(error)
        self._notify_success(value)
        return Outcome(
            self.number,
            Kind.SUCCESS,
            perf_counter() - self.started,
            SUCCESS,
            result,
            follow_ups,
            effects,
            saferepr(value, tracer.max_repr) if tracer.describe else "",
        )

    def _notify_success(self, value: Any) -> None:
        tracer, context = self.tracer, self.context
        if tracer.on_success is not None:
            try:
                tracer.on_success(value, context.id, self.args, self.kwargs)
            except Exception:
                logger.exception("on_success of %s[%s] raised", tracer.name, context.id)
        if signals.task_success:
            signals.task_success.send(sender=tracer.task, result=value, runtime=perf_counter() - self.started)

    def _raised(self, error: BaseException) -> Outcome:
        self.error = error
        if self.cancelled and isinstance(error, asyncio.CancelledError):
            return Outcome(self.number, Kind.CANCELLED, perf_counter() - self.started)
        if isinstance(error, Retry):
            return self._retried(error)
        if isinstance(error, Ignore):
            self.state = IGNORED
            ending = self._ending()
            if ending is not None and not self.context.replaced:
                ending.ignored(self.workflow)
            return self._outcome(Kind.IGNORE, None, repr(error), ending=ending)
        if isinstance(error, Reject):
            if error.requeue:
                self.state = REJECTED
                return self._outcome(Kind.REQUEUE, None, repr(error))
            return self._failed(error, Kind.REJECT)
        return self._failed(error, Kind.FAILURE)

    def _retried(self, error: Retry) -> Outcome:
        tracer, context = self.tracer, self.context
        if not context.is_eager and not context.own_follow_ups:
            # Raised by hand, without self.retry(): the call must not get lost.
            try:
                countdown = error.when if isinstance(error.when, (int, float)) else None
                eta = error.when if isinstance(error.when, datetime) else None
                retry(tracer.task, None, None, None, False, eta, countdown, None, {})
            except Exception as exhausted:
                return self._raised(exhausted)
        self.state = RETRY
        reason = error.exc if isinstance(error.exc, BaseException) else error
        einfo = ExceptionInfo(error)
        self._safely(tracer.task.on_retry, reason, context.id, self.args, self.kwargs, einfo)
        if signals.task_retry:
            signals.task_retry.send(sender=tracer.task, request=context, reason=error, einfo=einfo)
        result = None
        if not self._ignored():
            result = self._document(RETRY, encode_exception(reason, self._serializer()), einfo.traceback)
        return self._outcome(Kind.RETRY, result, str(error), einfo.traceback, self._ending())

    def _failed(self, error: BaseException, kind: Kind) -> Outcome:
        tracer, context = self.tracer, self.context
        self.state = FAILURE
        einfo = ExceptionInfo(error)
        ending = self._ending()
        if ending is not None:
            ending.failed(self.workflow, error, einfo.traceback)
        self._safely(tracer.task.on_failure, error, context.id, self.args, self.kwargs, einfo)
        if signals.task_failure:
            signals.task_failure.send(
                sender=tracer.task,
                task_id=context.id,
                exception=error,
                args=self.args,
                kwargs=self.kwargs,
                traceback=error.__traceback__,
                einfo=einfo,
            )
        result = None
        if not self._ignored() or tracer.store_errors:
            result = self._document(FAILURE, encode_exception(error, self._serializer()), einfo.traceback)
        outcome = self._outcome(kind, result, saferepr(error, tracer.max_repr), einfo.traceback, ending)
        outcome.expected = isinstance(error, tracer.throws) if tracer.throws else False
        return outcome

    def _internal_error(self, error: Exception) -> Outcome:
        tracer, context = self.tracer, self.context
        if signals.task_internal_error:
            signals.task_internal_error.send(
                sender=tracer.task,
                task_id=context.id,
                args=self.args,
                kwargs=self.kwargs,
                request=context,
                exception=error,
                traceback=error.__traceback__,
                einfo=ExceptionInfo(error),
            )
        return self._raised(error)

    def _ended(self, outcome: Outcome) -> Outcome:
        tracer, context = self.tracer, self.context
        result = self.error if self.error is not None else self.value
        if tracer.after_return is not None and outcome.kind in (Kind.SUCCESS, Kind.FAILURE):
            einfo = ExceptionInfo(self.error) if self.error is not None else None
            self._safely(tracer.after_return, outcome.state, result, context.id, self.args, self.kwargs, einfo)
        if signals.task_postrun:
            signals.task_postrun.send(
                sender=tracer.task,
                task_id=context.id,
                task=tracer.task,
                args=self.args,
                kwargs=self.kwargs,
                retval=result,
                state=self.state,
            )
        return outcome

    # -- parts -------------------------------------------------------------------------------------------------------

    def _own_follow_ups(self) -> list[Outgoing]:
        follow_ups = self.context.own_follow_ups
        return [] if follow_ups is None else follow_ups

    def _ending(self) -> Ending | None:
        """What follows from the call; None when nothing can."""
        if self.workflow is EMPTY and self.context.own_ending is None:
            return None
        return Ending(self.tracer.app, self.context)

    def _outcome(
        self, kind: Kind, result: bytes | None, text: str, trace: str | None = None, ending: Ending | None = None
    ) -> Outcome:
        runtime = perf_counter() - self.started
        follow_ups, effects = self._own_follow_ups(), None
        if ending is not None:
            follow_ups, effects = [*follow_ups, *ending.follow_ups], ending.effects()
        return Outcome(self.number, kind, runtime, self.state, result, follow_ups, effects, text, trace)

    def _safely(self, hook: Any, *args: Any) -> None:
        """Call a hook of the task; what it raises is logged and changes nothing."""
        try:
            hook(*args)
        except Exception:
            logger.exception("%s of %s[%s] raised", getattr(hook, "__name__", hook), self.tracer.name, self.context.id)

    def _serializer(self) -> str:
        return self.tracer.app.settings.result_serializer

    def _document(self, state: str, value: Any, trace: str | None) -> bytes:
        tracer, context = self.tracer, self.context
        settings = tracer.app.settings
        if isinstance(value, ResultBase) and settings.result_serializer != "pickle":
            value = value.as_tuple()
        children = context.own_children
        document = {
            "status": state,
            "result": value,
            "traceback": trace,
            "children": [child.as_tuple() for child in children] if children else [],
            "date_done": documents.now() if state != RETRY else None,
            "task_id": context.id,
        }
        if context.group is not None:
            document["group_id"] = context.group
        if context.parent_id is not None:
            document["parent_id"] = context.parent_id
        if settings.result_extended:
            document.update(self._extension())
        payload = documents.encode(document, settings.result_serializer)
        if len(payload) > settings.result_max_size and state == SUCCESS:
            raise ResultTooLarge(
                f"{tracer.name}: the result takes {len(payload):,} bytes, more than result_max_size = "
                f"{settings.result_max_size:,}; store it elsewhere and return a reference, or raise result_max_size"
            )
        return payload

    def _extension(self) -> dict[str, Any]:
        context = self.context
        extension = {
            "name": self.tracer.name,
            "args": self.args,
            "kwargs": self.kwargs,
            "worker": context.hostname,
            "retries": context.retries,
            "queue": (context.delivery_info or {}).get("routing_key"),
        }
        if context.stamped_headers:
            extension["stamped_headers"] = context.stamped_headers
            extension.update(context.stamps or {})
        return extension

    def record(self, outcome: Outcome) -> ResultRecord | None:
        """The outcome's result as a store takes it."""
        if outcome.result is None:
            return None
        expires = self.tracer.app.settings.result_expires
        reply_to = self.context.reply_to or ""
        return ResultRecord(str(self.context.id), outcome.result, outcome.state, expires, reply_to)
