"""Sending: a call becomes a message, and the message reaches its queue."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextvars import ContextVar
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from celeriac import current, documents, envelope, serialization, signals
from celeriac.app.arguments import check_containers
from celeriac.app.making import annotate
from celeriac.app.options import PROPERTY_OPTIONS, PUBLISH_ATTRIBUTES, eta_of, expires_of, refuse_unknown
from celeriac.app.publishing import apublish, publish
from celeriac.app.task import Configured
from celeriac.canvas.signature import Signature
from celeriac.exceptions import MessageTooLarge
from celeriac.ids import new_task_id
from celeriac.message import Message
from celeriac.saferepr import saferepr
from celeriac.serialization import compression
from celeriac.stores.store import Outgoing, ResultRecord

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.task import Task
    from celeriac.result import AsyncResult
    from celeriac.routing.router import Route
    from celeriac.settings.snapshot import Settings

__all__ = ["Sender", "batch_buffer"]

ARGUMENTS_REPR_SIZE: Final = 1024
"""Characters of argsrepr and kwargsrepr, as Celery (protocol.md, section 1)."""

batch_buffer: ContextVar[list[Outgoing] | None] = ContextVar("celeriac_batch", default=None)
"""Where messages wait for the end of ``with app.batch():``."""

_DELIVERY_MODES: Final[dict[Any, int]] = {"transient": 1, "persistent": 2}
_EMPTY_EMBED: Final[dict[str, Any]] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


class Built(NamedTuple):
    """A message that is ready to be sent."""

    outgoing: list[Outgoing]
    task_id: str
    ignored: bool
    headers: dict[str, Any]
    body: Any
    route: Route


class Sender:
    """Builds and sends the messages of one app."""

    def __init__(self, app: Celeriac) -> None:
        self.app = app
        self._origin = (0, "")
        self._defaults: tuple[Settings | None, dict[str, dict[str, Any]]] = (None, {})

    # -- sending -----------------------------------------------------------------------------------------------------

    def send(
        self,
        task: Task[Any, Any] | None,
        name: str,
        args: Any,
        kwargs: Any,
        task_id: str | None,
        link: Any,
        link_error: Any,
        shadow: str | None,
        options: dict[str, Any],
    ) -> AsyncResult[Any]:
        """Send a call; returns the handle of its result."""
        if options and self.app.flavour == "celeriac":
            refuse_unknown(options)
        built = self._build(task, name, args, kwargs, task_id, link, link_error, shadow, options)
        buffer = batch_buffer.get()
        if buffer is not None:
            buffer.extend(built.outgoing)
        else:
            publish(self.app, built.outgoing, options)
        return self._sent(task, name, built, options)

    async def asend(
        self,
        task: Task[Any, Any] | None,
        name: str,
        args: Any,
        kwargs: Any,
        task_id: str | None,
        link: Any,
        link_error: Any,
        shadow: str | None,
        options: dict[str, Any],
    ) -> AsyncResult[Any]:
        """Send a call without blocking the event loop; returns the handle of its result."""
        if options and self.app.flavour == "celeriac":
            refuse_unknown(options)
        built = self._build(task, name, args, kwargs, task_id, link, link_error, shadow, options)
        buffer = batch_buffer.get()
        if buffer is not None:
            buffer.extend(built.outgoing)
        else:
            await apublish(self.app, built.outgoing, options)
        return self._sent(task, name, built, options)

    def _sent(self, task: Task[Any, Any] | None, name: str, built: Built, options: dict[str, Any]) -> AsyncResult[Any]:
        if signals.after_task_publish:
            signals.after_task_publish.send(
                sender=name,
                body=built.body,
                headers=built.headers,
                exchange=built.route.exchange,
                routing_key=built.route.routing_key,
            )
        result = self.app.result_of(built.task_id, name, built.ignored)
        if options.get("add_to_parent", True):
            parent = current.current_worker_task()
            if parent is not None:
                parent.add_trail(result)
        return result

    # -- building ----------------------------------------------------------------------------------------------------

    def prepare(self, task: Task[Any, Any] | None, call: Signature, args: Any = (), **overrides: Any) -> list[Outgoing]:
        """The message of a signature, once for each queue that gets it; ``args`` are prepended to its own."""
        new_args, new_kwargs, options = call.merged(args, None, overrides)
        options.pop("add_to_parent", None)
        task_id, shadow = options.pop("task_id", None), options.pop("shadow", None)
        link, link_error = options.pop("link", None), options.pop("link_error", None)
        if task is None or task.name != call.task:
            task = self.app.tasks.get(call.task)
        return self._build(task, call.task, new_args, new_kwargs, task_id, link, link_error, shadow, options).outgoing

    def _build(
        self,
        task: Task[Any, Any] | None,
        name: str,
        args: Any,
        kwargs: Any,
        task_id: str | None,
        link: Any,
        link_error: Any,
        shadow: str | None,
        options: dict[str, Any],
    ) -> Built:
        settings = self.app.settings
        args, kwargs = () if args is None else args, {} if kwargs is None else kwargs
        check_containers(name, args, kwargs)
        task_id = task_id or new_task_id()
        stamps = _stamps(options) if options else {}
        asked = {**self._task_defaults(settings, task), **options} if task is not None else options
        route = self.app.router.route(asked, asked.get("route_name") or name, args, kwargs, task)
        merged = route.options
        now = time.time()
        eta, due = eta_of(merged.get("countdown"), merged.get("eta"), now) if merged else (None, None)
        expires, expiration = expires_of(merged.get("expires"), now, name)
        hard, soft = merged.get("time_limit"), merged.get("soft_time_limit")
        if hard is not None and soft is not None and soft > hard:
            raise ValueError(f"{name}: soft_time_limit={soft} must not be above time_limit={hard}")
        root_id, parent_id, priority = self._lineage(settings, route, merged, task_id)
        ignore_result = bool(merged.get("ignore_result", task.ignore_result if task is not None else False))
        headers: dict[str, Any] = {
            "lang": "py",
            "task": name,
            "id": task_id,
            "shadow": shadow,
            "eta": eta,
            "expires": expires,
            "group": merged.get("group_id"),
            "group_index": merged.get("group_index"),
            "retries": merged.get("retries") or 0,
            "timelimit": [hard, soft],
            "root_id": root_id,
            "parent_id": parent_id,
            "argsrepr": merged.get("argsrepr") or self._repr(args, settings),
            "kwargsrepr": merged.get("kwargsrepr") or (self._repr(kwargs, settings) if kwargs else "{}"),
            "origin": merged.get("origin") or self._own_origin(),
            "ignore_result": ignore_result,
            "replaced_task_nesting": merged.get("replaced_task_nesting") or 0,
            "stamped_headers": list(stamps) or None,
            "stamps": stamps,
        }
        plain = not stamps
        if own_headers := merged.get("headers"):
            headers.update(own_headers)
            plain = False
        properties: dict[str, Any] = {
            "correlation_id": merged.get("correlation_id") or task_id,
            "reply_to": merged.get("reply_to") or "",
            "delivery_mode": _DELIVERY_MODES.get(route.delivery_mode, route.delivery_mode),
            "priority": priority or 0,
        }
        if expiration is not None:
            properties["expiration"] = expiration
        for option in PROPERTY_OPTIONS & merged.keys():
            properties[option] = merged[option]
        embed: dict[str, Any] = _EMPTY_EMBED
        if link or link_error or merged.get("chain") or merged.get("chord"):
            embed = {
                "callbacks": _signatures(link),
                "errbacks": _signatures(link_error),
                "chain": _signatures(merged.get("chain")),
                "chord": dict(merged["chord"]) if merged.get("chord") else None,
            }
        body = (args, kwargs, embed)
        if signals.before_task_publish:
            plain = False
            signals.before_task_publish.send(
                sender=name,
                body=body,
                exchange=route.exchange,
                routing_key=route.routing_key,
                headers=headers,
                properties=properties,
                declare=[],
                retry_policy=merged.get("retry_policy"),
            )
        outgoing = self._encode(name, body, headers, properties, route, merged, settings, due, plain)
        return Built(outgoing, task_id, ignore_result, headers, body, route)

    def _encode(
        self,
        name: str,
        body: Any,
        headers: dict[str, Any],
        properties: dict[str, Any],
        route: Route,
        merged: Mapping[str, Any],
        settings: Settings,
        due: float | None,
        plain: bool,
    ) -> list[Outgoing]:
        serializer = merged.get("serializer") or settings.task_serializer
        content_type, content_encoding, payload = serialization.dumps(body, serializer)
        if chosen := merged.get("compression") or settings.task_compression:
            payload, headers["compression"] = compression.compress(payload, chosen)
        if len(payload) > settings.task_max_size:
            raise MessageTooLarge(
                f"{name}: the arguments take {len(payload):,} bytes, more than task_max_size = {settings.task_max_size:,}; "
                "store them elsewhere and send a reference, or raise task_max_size"
            )
        message = Message(headers, properties, payload, content_type, content_encoding)
        encoded = envelope.encode(message, route.exchange, route.routing_key, plain=plain)
        if due is not None and due <= time.time():
            due = None
        priority = envelope.priority_of(message)
        if not route.exchange:
            return [Outgoing(route.routing_key, encoded, priority, due)]
        return [
            Outgoing(queue, encoded, priority, due, route.exchange, route.routing_key)
            for queue in route.destinations or ("",)  # no queue is known here: the store's own bindings tell
        ]

    def _lineage(self, settings: Settings, route: Route, merged: Mapping[str, Any], task_id: str) -> tuple[Any, Any, Any]:
        root_id, parent_id, priority = merged.get("root_id"), merged.get("parent_id"), route.priority
        parent = current.current_worker_context()
        if parent is not None:
            root_id = root_id or parent.root_id or parent.id
            parent_id = parent_id or parent.id
            if merged.get("priority") is None and settings.task_inherit_parent_priority:
                priority = (parent.delivery_info or {}).get("priority")
        return root_id or task_id, parent_id, priority

    def _task_defaults(self, settings: Settings, task: Task[Any, Any]) -> dict[str, Any]:
        """The options that the task's own attributes give; looked up once per task and settings."""
        known, cache = self._defaults
        if known is not settings:
            cache = {}
            self._defaults = (settings, cache)
        defaults = cache.get(task.name)
        if defaults is None:
            annotate(self.app, task)
            own = [name for name in PUBLISH_ATTRIBUTES if not isinstance(getattr_static(task, name, None), Configured)]
            values = {name: getattr(task, name) for name in own}
            defaults = cache[task.name] = {name: value for name, value in values.items() if value is not None}
        return defaults

    def forget_defaults(self) -> None:
        """Tasks have changed: look their attributes up again."""
        self._defaults = (None, {})

    def _own_origin(self) -> str:
        pid = os.getpid()
        if self._origin[0] != pid:
            self._origin = (pid, f"gen{pid}@{socket.gethostname()}")
        return self._origin[1]

    def _repr(self, value: Any, settings: Settings) -> str:
        return saferepr(value, ARGUMENTS_REPR_SIZE, settings.task_repr_maxlevels)

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
        return ResultRecord(task_id, payload, state, settings.result_expires)

    def store_state(self, task: Task[Any, Any], task_id: str | None, state: str | None, meta: Any) -> None:
        """Store a state of a task's own."""
        if task_id is None:
            raise ValueError(f"{task.name}.update_state() outside of a call needs task_id=")
        if state is None:
            raise ValueError(f"{task.name}.update_state() needs state=")
        self.app.store.store_results([self.state_record(task_id, state, meta)])


def _signatures(value: Any) -> list[dict[str, Any]] | None:
    """One signature or several, as plain data."""
    if not value:
        return None
    if isinstance(value, dict):
        return [dict(value)]
    return [dict(signature) for signature in value]


def _stamps(options: dict[str, Any]) -> dict[str, Any]:
    names = options.get("stamped_headers")
    if not names:
        return {}
    stamps = options.get("stamps") or {}
    return {name: stamps[name] if name in stamps else options.get(name) for name in names}
