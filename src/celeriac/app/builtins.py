"""The tasks that every app has: Celery's own, for messages of its peers, and those that go on with our workflows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celeriac import serialization
from celeriac.app.ending import CHORD_TASK, Ending
from celeriac.app.flow import NESTED, NOTHING_WAITS, placed, read_stored, workflow_queue
from celeriac.canvas.chord import chord
from celeriac.canvas.group import group
from celeriac.canvas.maps import chunks
from celeriac.canvas.signature import Signature, maybe_signature
from celeriac.canvas.stored import FLOW_TASK
from celeriac.exceptions import ChordError, OperationalError
from celeriac.serialization.failures import decode_exception, encode_exception
from celeriac.states import FAILURE, IGNORED, SUCCESS

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.stores.store import Outgoing

__all__ = ["add_builtins"]

logger = logging.getLogger("celeriac.app.builtins")


def add_builtins(app: Celeriac) -> None:
    """Register them, those that are not registered under their names already."""
    for make in _MAKERS:
        function, options = make(app)
        if options["name"] not in app.known_tasks:
            app.add_task(function, {"typing": False, **options})


Made = tuple[Callable[..., Any], dict[str, Any]]
_OURS: dict[str, Any] = {
    "bind": True,
    "ignore_result": True,
    "acks_late": True,
    "reject_on_worker_lost": True,
    "autoretry_for": (OperationalError,),
    "max_retries": None,
    "retry_backoff": True,
}
"""Options of the tasks that go on with workflows: nothing but the store can hinder them, and that passes."""


def _flow(app: Celeriac) -> Made:
    def flow(self: Any, *args: Any, key: str, ended: dict[str, Any] | None = None, **handed: Any) -> None:
        """Go on with a stored workflow, or say of all that is in it that it will never run.

        Args:
            args: for what runs first in it.
            key: names it.
            ended: how that ended which it waited for: ``value``, ``state``, and whether ``errbacks`` are called.
            handed: what was meant for it: ``kwargs``, ``options``, ``place``, ``links``, ``errbacks``, ``chain``.
        """
        workflow = read_stored(app, key)
        if workflow is None:
            raise LookupError(f"the stored workflow {key} is gone: it was older than result_expires")
        request = self.request
        for link in handed.get("links") or ():
            workflow.link_end(Signature.from_dict(link, app))
        for errback in handed.get("errbacks") or ():
            workflow.link_error(Signature.from_dict(errback, app))
        place, chain = handed.get("place") or {}, handed.get("chain")
        ending = Ending(app, request)
        if ended is None:
            options = {"parent_id": request.parent_id, "root_id": request.root_id, **(handed.get("options") or {})}
            options.update({"chain": chain} if chain else {})
            ending.go_on(placed(workflow, place), args, handed.get("kwargs"), **options)
        else:
            value = ended["value"]
            if value is not None:
                value = encode_exception(decode_exception(value), app.settings.result_serializer)
            for step in chain or ():
                ending.abandon(Signature.from_dict(step, app), value, ended["state"])
            ending.abandon(workflow, value, ended["state"], ended["errbacks"], place)
        request.own_ending = ending

    def on_failure(self: Any, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """It could not be done, or killed its children: what is stored will never run."""
        if "ended" in kwargs:
            logger.error("the stored workflow %s was abandoned, but that cannot be told: %r", kwargs.get("key"), exc)
            return
        ended = {"value": encode_exception(exc, "json"), "state": FAILURE, "errbacks": True}
        self.request.follow_ups.extend(_again(self, {**kwargs, "ended": ended}))

    return flow, {"name": FLOW_TASK, **_OURS, "on_failure": on_failure}


def _again(task: Any, kwargs: dict[str, Any]) -> list[Outgoing]:
    """Another call of this task of ours, with this call's settlement."""
    options = {"queue": workflow_queue(task.app), "chord": NOTHING_WAITS, "ignore_result": True}
    return task.app.sender.built(task.name, (), kwargs, options).outgoing  # type: ignore[no-any-return]  # it is one


def _chord_body(app: Celeriac) -> Made:
    def send_body(self: Any, group_id: str, body: dict[str, Any], broken: str | None = None) -> None:
        """Send a chord's body with the results of the header, or the failure of the first member that failed.

        Args:
            broken: why that cannot be done.
        """
        call = Signature.from_dict(body, app)
        ending = Ending(app, self.request)
        try:
            if broken is not None:
                raise ChordError(broken)
            payloads = app.store.chord_parts(group_id)
            if payloads:
                shape = app.store.documents("group", [group_id])[0] if body.get(NESTED) else b""
                ending.go_on(call, (_joined(app, payloads, shape),), parent_id=self.request.parent_id)
            # Else the body was sent before; or, where messages are elsewhere, it is in the record of this very
            # message, whose first run came no further. Closing the chord again is what asks for that record.
        except OperationalError:
            raise
        except Exception as error:  # whatever it is, nothing but the body's failure can tell those who wait for it
            ending = Ending(app, self.request)
            ending.fail_body(call, error if isinstance(error, ChordError) else ChordError(f"Callback error: {error!r}"))
        ending.close(group_id)
        self.request.own_ending = ending

    def on_failure(self: Any, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """It killed its children: the body fails."""
        if kwargs.get("broken") is None:
            self.request.follow_ups.extend(_again(self, {**kwargs, "broken": f"Callback error: {exc!r}"}))

    return send_body, {"name": CHORD_TASK, **_OURS, "on_failure": on_failure}


def _joined(app: Celeriac, payloads: list[bytes], shape: bytes | None) -> list[Any]:
    """The values of a header's members, in their order.

    Args:
        payloads: of the parts, in the order of their positions.
        shape: the group's result as it is stored, where some values are lists; else empty.

    Raises:
        ChordError: a member failed, the first one of those that did; or the shape is gone.
    """
    values: list[Any] = []
    by_id: dict[str, list[Any]] = {}
    for payload in payloads:
        _, task_id, state, value = _decoded(app, payload)
        if state == IGNORED:
            value = None
        elif state != SUCCESS:
            raise ChordError(f"Dependency {task_id} raised {decode_exception(value)!r}")
        values.append(value)
        by_id.setdefault(task_id, []).append(value)
    if shape == b"":
        return values
    if shape is None:
        raise ChordError("which results of the header are lists is not known any more: it is older than result_expires")
    _, members = _decoded(app, shape)["result"]
    found = [_taken(by_id, each) for each in members]
    return [*found, *(value for added in by_id.values() for value in added)]


def _taken(by_id: dict[str, list[Any]], result: Any) -> Any:
    """The value of a member, or the list of those of a group; what is left belongs to members that were added."""
    (task_id, _), members = result
    return by_id[task_id].pop(0) if members is None else [_taken(by_id, each) for each in members]


def _decoded(app: Celeriac, payload: bytes) -> Any:
    serializer = serialization.serializer(app.settings.result_serializer)
    return serialization.loads(payload, serializer.content_type, serializer.content_encoding, app.accepted_results())


def _accumulate(app: Celeriac) -> Made:
    def accumulate(*args: Any, **kwargs: Any) -> Any:
        """The arguments, or one of them: of a group that runs in a task's stead."""
        index = kwargs.get("index")
        return args[index] if index is not None else args

    return accumulate, {"name": "celery.accumulate"}


def _map(app: Celeriac) -> Made:
    def xmap(task: Any, it: Any) -> list[Any]:
        """Call a task for each item."""
        called = _callable(app, task)
        return [called(item) for item in it]

    return xmap, {"name": "celery.map"}


def _starmap(app: Celeriac) -> Made:
    def xstarmap(task: Any, it: Any) -> list[Any]:
        """Call a task for each item, which is its arguments."""
        called = _callable(app, task)
        return [called(*item) for item in it]

    return xstarmap, {"name": "celery.starmap"}


def _callable(app: Celeriac, task: Any) -> Callable[..., Any]:
    """A signature's task, to be called here with the signature's own arguments too."""
    call = Signature.from_dict(task, app)
    if not call.args and not call.kwargs:
        return app.task_named(call.task)
    return call


def _chunks(app: Celeriac) -> Made:
    def send_chunks(task: Any, it: Any, n: int) -> Any:
        """Send a task's calls in parts."""
        return chunks.apply_chunks(maybe_signature(task, app), it, n, app=app)

    return send_chunks, {"name": "celery.chunks"}


def _group(app: Celeriac) -> Made:
    def send_group(
        self: Any, tasks: Any, result: Any = None, group_id: str | None = None, partial_args: Any = ()
    ) -> Any:
        """Send a group."""
        return group(tasks, app=app).apply_async(tuple(partial_args or ()), task_id=group_id)

    return send_group, {"name": "celery.group", "bind": True}


def _chain(app: Celeriac) -> Made:
    def send_chain(*args: Any, **kwargs: Any) -> Any:
        """Refuse, as Celery does: a chain travels in its steps."""
        raise NotImplementedError("a chain is sent as its first step, never as a task of its own")

    return send_chain, {"name": "celery.chain"}


def _chord(app: Celeriac) -> Made:
    def send_chord(self: Any, header: Any, body: Any, partial_args: Any = (), **options: Any) -> Any:
        """Send a chord."""
        return chord(header, body, app=app).apply_async(tuple(partial_args or ()))

    return send_chord, {"name": "celery.chord", "bind": True}


_MAKERS = (_flow, _chord_body, _accumulate, _map, _starmap, _chunks, _group, _chain, _chord)
