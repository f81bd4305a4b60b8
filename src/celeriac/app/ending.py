"""Ending: what follows when a call of a workflow has ended, collected for its settlement.

After a success: the callbacks, the next step of the chain, the part of the chord. After a failure: the errbacks, and
the same failure for everything that will never run now: the rest of the chain, and with it the parts of the chords that
wait for that (behaviours.md, J.147 to J.150). So nobody waits for what does not come.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from inspect import signature
from typing import TYPE_CHECKING, Any, Final

from celeriac import documents as result_documents
from celeriac import serialization
from celeriac.app.arguments import ArgumentChecker
from celeriac.app.context import Context
from celeriac.app.flow import NOTHING_WAITS, Flow, place_of, workflow_queue
from celeriac.canvas.chain import Chain
from celeriac.canvas.chord import chord
from celeriac.canvas.group import group
from celeriac.canvas.maps import chunks
from celeriac.canvas.signature import LINKS, PlainData, Signature, listed
from celeriac.canvas.stored import FLOW_TASK, Stored
from celeriac.result.base import ResultBase
from celeriac.serialization.failures import decode_exception, encode_exception
from celeriac.states import FAILURE, IGNORED
from celeriac.stores.store import ChordPart, Document, Effects, Outgoing, ResultRecord

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.task import Task
    from celeriac.workflow import Embedded, SignatureData

__all__ = ["CHORD_TASK", "Ending", "called_here"]

logger = logging.getLogger("celeriac.app.ending")

CHORD_TASK: Final = "celeriac.chord"
"""The task that sends a chord's body when all parts are there."""
_DETAILS: Final = ("request", "exc", "traceback")
"""What an errback of the new style is called with."""


class Ending:
    """What follows from one call, see above. It begins with what the call itself has asked for (``own_ending``).

    Attributes:
        follow_ups: messages that are published with the settlement.
        documents, results, grown, parts, closed: see :class:`~celeriac.stores.store.Effects`.
    """

    def __init__(self, app: Celeriac, context: Context) -> None:
        self._app = app
        self._context = context
        known = context.own_ending
        self.follow_ups: list[Outgoing] = [] if known is None else list(known.follow_ups)
        self.documents: list[Document] = [] if known is None else list(known.documents)
        self.results: list[ResultRecord] = [] if known is None else list(known.results)
        self.parts: list[ChordPart] = [] if known is None else list(known.parts)
        self.grown: list[tuple[str, int]] = [] if known is None else list(known.grown)
        self.closed: list[str] = [] if known is None else list(known.closed)

    def effects(self) -> Effects | None:
        """What else becomes final, None when nothing does."""
        if not (self.documents or self.results or self.parts or self.grown or self.closed):
            return None
        return Effects(self.documents, self.results, self.grown, self.parts, self.closed)

    # -- going on ----------------------------------------------------------------------------------------------------

    def go_on(
        self, call: Signature, args: Any = (), kwargs: dict[str, Any] | None = None, **options: Any
    ) -> ResultBase:
        """Send a signature with the settlement; returns its result."""
        if isinstance(call, chunks):
            call = call.group()
        result = call.freeze()
        flow = Flow(self._app)
        context = self._context
        place = {"parent_id": context.id, "root_id": context.root_id or context.id}
        if context.reply_to:
            place["reply_to"] = context.reply_to  # what follows is awaited by whoever awaits this
        flow.add(call, args, kwargs, {**place, **options})
        self.follow_ups += flow.messages
        self.documents += flow.documents
        return result

    def succeeded(self, workflow: Embedded, value: Any) -> None:
        """The call returned that value: its callbacks, its chain's next step, its part of a chord."""
        for call in workflow.callbacks or ():
            self._child(self.go_on(Signature.from_dict(call, self._app), (value,)))
        if workflow.chain:
            *rest, following = workflow.chain
            self._child(self.go_on(Signature.from_dict(following, self._app), (value,), chain=rest))

    def _child(self, result: ResultBase) -> None:
        """Remember a result as one of the call's children where the task keeps a trail."""
        task = self._app.tasks.get(str(self._context.task))
        if task is None or task.trail:
            while result.parent is not None:
                result = result.parent
            self._context.children.append(result)

    # -- chords ------------------------------------------------------------------------------------------------------

    def part(self, workflow: Embedded, state: str, value: Any) -> None:
        """The call was a member of a chord's header, and has ended.

        Args:
            state: how.
            value: what it returned, or its exception as results have it.
        """
        context = self._context
        if workflow.chord is not None and context.group is not None:
            self._add_part(workflow.chord, context.group, context.group_index or 0, str(context.id), state, value)

    def _add_part(self, body: SignatureData, group_id: str, index: int, task_id: str, state: str, value: Any) -> None:
        app, context = self._app, self._context
        serializer = app.settings.result_serializer
        if isinstance(value, ResultBase) and serializer != "pickle":
            value = value.as_tuple()
        payload = serialization.dumps([1, task_id, state, value], serializer)[2]
        options = {
            "queue": workflow_queue(app),
            "root_id": context.root_id or context.id,
            "parent_id": context.id,
            "reply_to": context.reply_to or "",
            "chord": NOTHING_WAITS,
        }
        completion = app.sender.built(CHORD_TASK, (), {"group_id": group_id, "body": body}, options)
        size = body.get("chord_size")
        self.parts.append(ChordPart(group_id, index, task_id, size, payload, completion.outgoing[0]))

    def grow(self, group_id: str, members: int) -> None:
        """That many members were added to a chord's header."""
        self.grown.append((group_id, members))

    def close(self, group_id: str) -> None:
        """The chord's body is sent: its parts are needed no more."""
        self.closed.append(group_id)

    # -- failing -----------------------------------------------------------------------------------------------------

    def failed(self, workflow: Embedded, error: BaseException, traceback: str) -> None:
        """The call failed: its errbacks, and the same failure for what was to follow."""
        self._call_errbacks(workflow.errbacks or (), self._context, error, traceback)
        self.abandoned(workflow, error, FAILURE, traceback)

    def abandoned(self, workflow: Embedded, error: BaseException, state: str, traceback: str | None = None) -> None:
        """The call ended without a value: the same end for what was to follow, and for the chord that waits for it."""
        self._leave(workflow, encode_exception(error, self._app.settings.result_serializer), state, traceback)

    def ignored(self, workflow: Embedded) -> None:
        """The call ended without a state: the chord that waits for it gets None, and its chain ends silently."""
        self._leave(workflow, None, IGNORED, None)

    def _leave(self, workflow: Embedded, value: Any, state: str, traceback: str | None) -> None:
        for call in reversed(workflow.chain or ()):
            self._abandon(Signature.from_dict(call, self._app), value, state, traceback)
        self.part(workflow, state, value)

    def fail_body(self, body: Signature, error: BaseException) -> None:
        """A chord's body will never run: its errbacks, and the failure for it and for what was to follow it."""
        self.abandon(body, encode_exception(error, self._app.settings.result_serializer), FAILURE, errbacks=True)

    def abandon(
        self,
        signature: Signature,
        value: Any,
        state: str,
        errbacks: bool = False,
        place: dict[str, Any] | None = None,
    ) -> None:
        """A workflow will never run.

        Args:
            signature: what will not, frozen.
            value: the exception as results have it.
            state: how it ended: FAILURE, REVOKED, or IGNORED for no state at all.
            errbacks: it is a chord's body: the errbacks of what would have run first in it are called.
            place: instead of its own.
        """
        self._abandon(signature, value, state, None, place or None, errbacks)

    def _abandon(
        self,
        call: Signature,
        value: Any,
        state: str,
        traceback: str | None,
        place: dict[str, Any] | None = None,
        errbacks: bool = False,
    ) -> None:
        place = place_of(call.options) if place is None else place
        if isinstance(call, Stored):
            self._abandon_stored(call, value, state, place, errbacks)
        elif isinstance(call, Chain):
            steps = call.tasks
            for position, step in enumerate(steps):
                own = (place or place_of(step.options)) if position == len(steps) - 1 else {}
                self._abandon(step, value, state, traceback, own, errbacks and not position)
        elif isinstance(call, group):
            index = place.get("group_index") or 0
            for member in call.tasks:
                own = {**place, "group_index": index} if "chord" in place else {}
                self._abandon(member, value, state, traceback, own, errbacks)
                index += member.completions()
        elif isinstance(call, chord):
            for member in call.header.tasks:
                self._abandon(member, value, state, traceback, {})
            if call.body is not None:
                own = place or place_of(call.body.options)
                self._abandon(call.body, value, state, traceback, own, errbacks)
        elif call.id is not None:
            self._abandon_call(call, value, state, traceback, place, errbacks)

    def _abandon_call(
        self,
        call: Signature,
        value: Any,
        state: str,
        traceback: str | None,
        place: dict[str, Any],
        errbacks: bool,
    ) -> None:
        if errbacks and call.options.get("link_error"):
            self._call_errbacks(listed(call.options["link_error"]), self._context_of(call), decode_exception(value), "")
        if state != IGNORED:
            self.results.append(self._record(call, value, state, traceback))
        if place.get("chord"):
            index = place.get("group_index") or 0
            self._add_part(_plain(place["chord"]), place["group_id"], index, str(call.id), state, value)

    def _context_of(self, call: Signature) -> Context:
        """The request that a call would have had, for its errbacks."""
        return Context(
            id=call.id,
            task=call.task,
            args=call.args,
            kwargs=call.kwargs,
            errbacks=call.options.get("link_error"),
            root_id=self._context.root_id,
            parent_id=self._context.parent_id,
            group=call.options.get("group_id"),
            headers=call.options.get("headers"),
            called_directly=False,
        )

    def _abandon_stored(self, call: Stored, value: Any, state: str, place: dict[str, Any], errbacks: bool) -> None:
        """What is stored is read by the task that would have gone on with it: it says the same of all that is in it."""
        if isinstance(value, BaseException):  # as results have it whose serializer is pickle: messages need not be
            value = encode_exception(value, "json")
        ended = {"value": value, "state": state, "errbacks": errbacks}
        own: dict[str, Any] = {name: call.options[name] for name in LINKS if name in call.options}
        self.go_on(Stored(FLOW_TASK, (), {**call.kwargs, "ended": ended}, {**own, **place}, app=self._app))

    def _record(self, call: Signature, value: Any, state: str, traceback: str | None) -> ResultRecord:
        settings = self._app.settings
        document: dict[str, Any] = {
            "status": state,
            "result": value,
            "traceback": traceback,
            "children": [],
            "date_done": result_documents.now(),
            "task_id": call.id,
        }
        if call.options.get("group_id") is not None:
            document["group_id"] = call.options["group_id"]
        payload = result_documents.encode(document, settings.result_serializer)
        return ResultRecord(str(call.id), payload, state, settings.result_expires, self._context.reply_to or "")

    def _call_errbacks(self, errbacks: Iterable[Any], context: Context, error: BaseException, traceback: str) -> None:
        """Those that take more than the failed task's id are called here, the others are sent (J.147)."""
        for each in errbacks:
            call = Signature.from_dict(each, self._app)
            if called_here(self._app, context, call, error, traceback):
                continue
            try:
                self.go_on(call, (context.id,))
            except Exception:  # that an errback cannot be sent must not hide the failure that it was for
                logger.exception("the errback %s of %s cannot be sent", call.task, context.id)


def called_here(app: Celeriac, context: Context, call: SignatureData, error: BaseException, traceback: str) -> bool:
    """Call an errback that takes the request, the exception and the traceback; False for one that is to be sent."""
    errback = Signature.from_dict(call, app)
    task = app.tasks.get(errback.task)
    if task is None or not _takes_details(task, errback):
        return False
    args, kwargs, _ = errback.merged((context, error, traceback))
    try:
        task(*args, **kwargs)
    except Exception:
        logger.exception("the errback %s of %s raised", task.name, context.id)
    return True


def _takes_details(task: Task[Any, Any], errback: Signature) -> bool:
    """Whether it can be called with request, exception and traceback. A bound one that can do with an id gets that."""
    if errback.subtask_type or errback.immutable or task.is_coroutine:
        return False
    if not _takes(task, errback, _DETAILS):
        return False
    return not (_is_bound(task) and _takes(task, errback, _DETAILS[:1]))


def _is_bound(task: Task[Any, Any]) -> bool:
    """Its function gets the task first."""
    function = getattr(task, "__wrapped__", None)
    return function is not None and len(signature(function).parameters) > len(signature(task.run).parameters)


def _takes(task: Task[Any, Any], errback: Signature, args: tuple[str, ...]) -> bool:
    given, named, _ = errback.merged(args)
    try:
        ArgumentChecker(task.run, task.name).check(given, named)
    except TypeError:
        return False
    return True


def _plain(body: Any) -> SignatureData:
    return body.data if isinstance(body, PlainData) else body
