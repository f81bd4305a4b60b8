"""Sending: a call's message reaches its queue, and the caller gets the handle of its result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from celeriac import current, documents, signals
from celeriac.app.building import Builder, Built
from celeriac.app.flow import PLACE, Flow
from celeriac.app.options import refuse_unknown
from celeriac.app.publishing import apublish, batch_buffer, publish
from celeriac.app.task import Call
from celeriac.canvas.signature import Signature, listed
from celeriac.stores.store import Outgoing, ResultRecord

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.task import Task
    from celeriac.result import AsyncResult, ResultBase

__all__ = ["Sender"]

FROZEN: Final = frozenset((*PLACE, "task_id", "link", "link_error", "add_to_parent", "producer"))
"""Options of a workflow's call that are within it before it is sent."""


class Sender:
    """Sends the messages of one app."""

    def __init__(self, app: Celeriac) -> None:
        self.app = app
        self._builder = Builder(app)
        self.forget_defaults = self._builder.forget_defaults

    def send(self, call: Call) -> AsyncResult[Any]:
        """Send a call."""
        built = self._build(call)
        if not _buffered(built.outgoing):
            publish(self.app, built.outgoing, call.options)
        return self._sent(call, built)

    async def asend(self, call: Call) -> AsyncResult[Any]:
        """Send a call without blocking the event loop."""
        built = self._build(call)
        if not _buffered(built.outgoing):
            await apublish(self.app, built.outgoing, call.options)
        return self._sent(call, built)

    def prepare(self, task: Task[Any, Any] | None, call: Signature, args: Any = (), **overrides: Any) -> list[Outgoing]:
        """The message of a signature, for a settlement's follow-ups; ``args`` are prepended to its own."""
        new_args, new_kwargs, options = call.merged(args, None, overrides)
        parent = current.current_worker_context()
        if parent is not None and parent.reply_to:
            options.setdefault("reply_to", parent.reply_to)  # what follows is awaited by whoever awaits this
        return self.built(call.task, new_args, new_kwargs, options, task).outgoing

    def built(
        self, name: str, args: Any, kwargs: dict[str, Any], options: dict[str, Any], task: Task[Any, Any] | None = None
    ) -> Built:
        """The message of a call by the task's name; ``options`` as of ``apply_async``, links too."""
        if task is None or task.name != name:
            task = self.app.tasks.get(name)
        options.pop("add_to_parent", None)
        task_id, shadow = options.pop("task_id", None), options.pop("shadow", None)
        link, link_error = options.pop("link", None), options.pop("link_error", None)
        return self._builder.build(Call(task, name, args, kwargs, task_id, link, link_error, shadow, options))

    # -- workflows ---------------------------------------------------------------------------------------------------

    def send_workflow(
        self, workflow: Signature, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any]
    ) -> Any:
        """Send what of a chain, group or chord runs first, all in one round trip; returns the workflow's result."""
        if self.app.settings.task_always_eager:
            return workflow.apply(args, kwargs, **options)
        flow, result = self._flow(workflow, args, kwargs, options)
        if flow.documents and self.app.store.capabilities.workflows:
            self.app.store.store_documents(flow.documents)
        if not _buffered(flow.messages):
            publish(self.app, flow.messages, options)
        return self._workflow_sent(flow, result, options)

    async def asend_workflow(
        self, workflow: Signature, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any]
    ) -> Any:
        """As :meth:`send_workflow`, without blocking the event loop."""
        if self.app.settings.task_always_eager:
            return workflow.apply(args, kwargs, **options)
        flow, result = self._flow(workflow, args, kwargs, options)
        documents = flow.documents
        if documents and self.app.store.capabilities.workflows:
            await self.app.connections.call(lambda store: store.store_documents(documents))
        if not _buffered(flow.messages):
            await apublish(self.app, flow.messages, options)
        return self._workflow_sent(flow, result, options)

    def apply_workflow(
        self, workflow: Signature, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any]
    ) -> Any:
        """Run a workflow here and now; returns its result."""
        from celeriac.app.eager_workflows import apply_workflow

        return apply_workflow(workflow, args, kwargs, options)

    def _flow(
        self, workflow: Signature, args: Any, kwargs: dict[str, Any] | None, options: dict[str, Any]
    ) -> tuple[Flow, ResultBase]:
        if options and self.app.flavour == "celeriac":
            refuse_unknown(options)
        copy = workflow.clone()
        for linked in listed(options.get("link")):
            copy.link(linked)
        for linked in listed(options.get("link_error")):
            copy.link_error(linked)
        place = {name: options.get(name) for name in PLACE}
        result = copy.freeze(options.get("task_id"), root_id=options.get("root_id"), parent_id=options.get("parent_id"))
        flow = Flow(self.app)
        given = {name: value for name, value in options.items() if name not in FROZEN and value is not None}
        flow.add(copy, args or (), kwargs, given, {name: value for name, value in place.items() if value is not None})
        flow.check()
        return flow, result

    def _workflow_sent(self, flow: Flow, result: ResultBase, options: dict[str, Any]) -> ResultBase:
        if signals.after_task_publish:
            for built in flow.built:
                self._announce(built)
        parent = current.current_worker_task() if options.get("add_to_parent", True) else None
        if parent is not None:
            first = result
            while first.parent is not None:
                first = first.parent
            parent.add_trail(first)
        return result

    def _build(self, call: Call) -> Built:
        if call.options and self.app.flavour == "celeriac":
            refuse_unknown(call.options)
        return self._builder.build(call)

    def _sent(self, call: Call, built: Built) -> AsyncResult[Any]:
        if signals.after_task_publish:
            self._announce(built)
        result = self.app.result_of(built.task_id, call.name, built.ignored)
        if call.options.get("add_to_parent", True):
            parent = current.current_worker_task()
            if parent is not None:
                parent.add_trail(result)
        return result

    def _announce(self, built: Built) -> None:
        signals.after_task_publish.send(
            sender=built.headers["task"],
            body=built.body,
            headers=built.headers,
            exchange=built.route.exchange,
            routing_key=built.route.routing_key,
        )

    # -- states ------------------------------------------------------------------------------------------------------

    def state_record(self, task_id: str, state: str, meta: Any) -> ResultRecord:
        """The record of a state that is not final."""
        settings = self.app.settings
        document = {
            "status": state,
            "result": meta,
            "traceback": None,
            "children": [],
            "date_done": None,
            "task_id": task_id,
        }
        payload = documents.encode(document, settings.result_serializer)
        running = current.current_worker_context()
        reply_to = (running.reply_to or "") if running is not None and running.id == task_id else ""
        return ResultRecord(task_id, payload, state, settings.result_expires, reply_to)

    def store_state(self, task: Task[Any, Any], task_id: str | None, state: str | None, meta: Any) -> None:
        """Store a state of a task's own."""
        if task_id is None:
            raise ValueError(f"{task.name}.update_state() outside of a call needs task_id=")
        if state is None:
            raise ValueError(f"{task.name}.update_state() needs state=")
        self.app.store.store_results([self.state_record(task_id, state, meta)])


def _buffered(messages: Sequence[Outgoing]) -> bool:
    """Within ``app.batch()`` messages wait for its end."""
    buffer = batch_buffer.get()
    if buffer is None:
        return False
    buffer.extend(messages)
    return True
