"""Sending: a call's message reaches its queue, and the caller gets the handle of its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celeriac import current, documents, signals
from celeriac.app.building import Builder, Built
from celeriac.app.options import refuse_unknown
from celeriac.app.publishing import apublish, batch_buffer, publish
from celeriac.app.task import Call
from celeriac.stores.store import Outgoing, ResultRecord

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.task import Task
    from celeriac.canvas.signature import Signature
    from celeriac.result import AsyncResult

__all__ = ["Sender"]


class Sender:
    """Sends the messages of one app."""

    def __init__(self, app: Celeriac) -> None:
        self.app = app
        self._builder = Builder(app)
        self.forget_defaults = self._builder.forget_defaults

    def send(self, call: Call) -> AsyncResult[Any]:
        """Send a call."""
        built = self._build(call)
        if not _buffered(built):
            publish(self.app, built.outgoing, call.options)
        return self._sent(call, built)

    async def asend(self, call: Call) -> AsyncResult[Any]:
        """Send a call without blocking the event loop."""
        built = self._build(call)
        if not _buffered(built):
            await apublish(self.app, built.outgoing, call.options)
        return self._sent(call, built)

    def prepare(self, task: Task[Any, Any] | None, call: Signature, args: Any = (), **overrides: Any) -> list[Outgoing]:
        """The message of a signature, for a settlement's follow-ups; ``args`` are prepended to its own."""
        new_args, new_kwargs, options = call.merged(args, None, overrides)
        options.pop("add_to_parent", None)
        parent = current.current_worker_context()
        if parent is not None and parent.reply_to:
            options.setdefault("reply_to", parent.reply_to)  # what follows is awaited by whoever awaits this
        task_id, shadow = options.pop("task_id", None), options.pop("shadow", None)
        link, link_error = options.pop("link", None), options.pop("link_error", None)
        if task is None or task.name != call.task:
            task = self.app.tasks.get(call.task)
        made = Call(task, call.task, new_args, new_kwargs, task_id, link, link_error, shadow, options)
        return self._builder.build(made).outgoing

    def _build(self, call: Call) -> Built:
        if call.options and self.app.flavour == "celeriac":
            refuse_unknown(call.options)
        return self._builder.build(call)

    def _sent(self, call: Call, built: Built) -> AsyncResult[Any]:
        if signals.after_task_publish:
            signals.after_task_publish.send(
                sender=call.name,
                body=built.body,
                headers=built.headers,
                exchange=built.route.exchange,
                routing_key=built.route.routing_key,
            )
        result = self.app.result_of(built.task_id, call.name, built.ignored)
        if call.options.get("add_to_parent", True):
            parent = current.current_worker_task()
            if parent is not None:
                parent.add_trail(result)
        return result

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


def _buffered(built: Built) -> bool:
    """Within ``app.batch()`` the message waits for its end."""
    buffer = batch_buffer.get()
    if buffer is None:
        return False
    buffer.extend(built.outgoing)
    return True
