"""Building: a call becomes a protocol 2 message for each queue that gets it (protocol.md, section 1). No I/O."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from celeriac import current, envelope, serialization, signals
from celeriac.app.arguments import check_containers
from celeriac.app.making import annotate
from celeriac.app.options import PROPERTY_OPTIONS, PUBLISH_ATTRIBUTES, eta_of, expires_of
from celeriac.app.task import Configured
from celeriac.canvas.signature import as_data
from celeriac.exceptions import MessageTooLarge
from celeriac.ids import new_task_id, reply_queue
from celeriac.message import Message
from celeriac.saferepr import saferepr
from celeriac.serialization import compression
from celeriac.stores.store import Outgoing

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.app.task import Call, Task
    from celeriac.routing.router import Route
    from celeriac.settings.snapshot import Settings

__all__ = ["Builder", "Built"]

ARGUMENTS_REPR_SIZE: Final = 1024
"""Characters of argsrepr and kwargsrepr, as Celery (protocol.md, section 1)."""

RPC: Final = "rpc:"
"""How the URL of the result backend begins that sends results to the queue of whoever sent the task."""

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


class Builder:
    """Builds the messages of one app."""

    def __init__(self, app: Celeriac) -> None:
        self.app = app
        self._origin = (0, "")
        self._defaults: tuple[Settings | None, dict[str, dict[str, Any]]] = (None, {})

    def build(self, call: Call) -> Built:
        """Build the message of a call.

        Raises:
            TypeError, ValueError: an argument or an option makes no sense.
            EncodeError: the serializer refuses the arguments.
            MessageTooLarge: they take more than ``task_max_size`` bytes.
        """
        settings, task, name = self.app.settings, call.task, call.name
        args, kwargs = () if call.args is None else call.args, {} if call.kwargs is None else call.kwargs
        check_containers(name, args, kwargs)
        asked = {**self._task_defaults(settings, task), **call.options} if task is not None else call.options
        route = self.app.router.route(asked, asked.get("route_name") or name, args, kwargs, task)
        options = route.options
        headers, due, expiration = self._headers(settings, call, args, kwargs, options)
        properties = self._properties(settings, headers["id"], expiration, route, options)
        body = (args, kwargs, _embed(call, options))
        plain = not headers["stamps"] and not options.get("headers")
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
                retry_policy=options.get("retry_policy"),
            )
        message = self._message(settings, name, body, headers, properties, options)
        outgoing = _addressed(message, route, due, plain)
        return Built(outgoing, headers["id"], headers["ignore_result"], headers, body, route)

    def forget_defaults(self) -> None:
        """Tasks have changed: look their attributes up again."""
        self._defaults = (None, {})

    # -- parts -------------------------------------------------------------------------------------------------------

    def _headers(
        self, settings: Settings, call: Call, args: Any, kwargs: dict[str, Any], options: Mapping[str, Any]
    ) -> tuple[dict[str, Any], float | None, str | None]:
        """The headers, when the call is due, and the expiration property."""
        task, name = call.task, call.name
        task_id = call.task_id or new_task_id()
        eta = due = expires = expiration = hard = soft = None
        if options:
            now = time.time()
            eta, due = eta_of(options.get("countdown"), options.get("eta"), now)
            expires, expiration = expires_of(options.get("expires"), now, name)
            hard, soft = _limits(name, options)
        root_id, parent_id = _lineage(options, task_id)
        stamps = _stamps(options)
        headers: dict[str, Any] = {
            "lang": "py",
            "task": name,
            "id": task_id,
            "shadow": call.shadow,
            "eta": eta,
            "expires": expires,
            "group": options.get("group_id"),
            "group_index": options.get("group_index"),
            "retries": options.get("retries") or 0,
            "timelimit": [hard, soft],
            "root_id": root_id,
            "parent_id": parent_id,
            "argsrepr": options.get("argsrepr") or _repr(args, settings),
            "kwargsrepr": options.get("kwargsrepr") or (_repr(kwargs, settings) if kwargs else "{}"),
            "origin": options.get("origin") or self._own_origin(),
            "ignore_result": bool(options.get("ignore_result", task.ignore_result if task is not None else False)),
            "replaced_task_nesting": options.get("replaced_task_nesting") or 0,
            "stamped_headers": list(stamps) or None,
            "stamps": stamps,
        }
        if own_headers := options.get("headers"):
            headers.update(own_headers)
        return headers, due, expiration

    def _properties(
        self, settings: Settings, task_id: str, expiration: str | None, route: Route, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        priority = route.priority
        if priority is None and settings.task_inherit_parent_priority:
            parent = current.current_worker_context()
            if parent is not None:
                priority = (parent.delivery_info or {}).get("priority")
        properties: dict[str, Any] = {
            "correlation_id": options.get("correlation_id") or task_id,
            "reply_to": options.get("reply_to") or (reply_queue() if settings.result_backend.startswith(RPC) else ""),
            "delivery_mode": _DELIVERY_MODES.get(route.delivery_mode, route.delivery_mode),
            "priority": priority or 0,
        }
        if expiration is not None:
            properties["expiration"] = expiration
        for option in PROPERTY_OPTIONS & options.keys():
            properties[option] = options[option]
        return properties

    def _message(
        self,
        settings: Settings,
        name: str,
        body: Any,
        headers: dict[str, Any],
        properties: dict[str, Any],
        options: Mapping[str, Any],
    ) -> Message:
        serializer = options.get("serializer") or settings.task_serializer
        content_type, content_encoding, payload = serialization.dumps(body, serializer)
        if chosen := options.get("compression") or settings.task_compression:
            payload, headers["compression"] = compression.compress(payload, chosen)
        if len(payload) > settings.task_max_size:
            raise MessageTooLarge(
                f"{name}: the arguments take {len(payload):,} bytes, more than task_max_size = "
                f"{settings.task_max_size:,}; store them elsewhere and send a reference, or raise task_max_size"
            )
        return Message(headers, properties, payload, content_type, content_encoding)

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

    def _own_origin(self) -> str:
        pid = os.getpid()
        if self._origin[0] != pid:
            import socket  # here, since who only defines tasks sends nothing

            self._origin = (pid, f"gen{pid}@{socket.gethostname()}")
        return self._origin[1]


def _repr(value: Any, settings: Settings) -> str:
    return saferepr(value, ARGUMENTS_REPR_SIZE, settings.task_repr_maxlevels)


def _limits(name: str, options: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Hard and soft time limit."""
    hard, soft = options.get("time_limit"), options.get("soft_time_limit")
    if hard is not None and soft is not None and soft > hard:
        raise ValueError(f"{name}: soft_time_limit={soft} must not be above time_limit={hard}")
    return hard, soft


def _lineage(options: Mapping[str, Any], task_id: str) -> tuple[str, str | None]:
    """Root and parent: what was said, else those of the task that sends this one (behaviours.md, C.54)."""
    root_id, parent_id = options.get("root_id"), options.get("parent_id")
    parent = current.current_worker_context()
    if parent is not None:
        root_id = root_id or parent.root_id or parent.id
        parent_id = parent_id or parent.id
    return root_id or task_id, parent_id


def _embed(call: Call, options: Mapping[str, Any]) -> dict[str, Any]:
    chain, chord = options.get("chain"), options.get("chord")
    if not (call.link or call.link_error or chain or chord):
        return _EMPTY_EMBED
    return {
        "callbacks": _signatures(call.link),
        "errbacks": _signatures(call.link_error),
        "chain": _signatures(chain),
        "chord": as_data(chord) if chord else None,
    }


def _signatures(value: Any) -> list[dict[str, Any]] | None:
    """One signature or several, as plain data."""
    if not value:
        return None
    return [as_data(signature) for signature in ([value] if isinstance(value, dict) else value)]


def _stamps(options: Mapping[str, Any]) -> dict[str, Any]:
    names = options.get("stamped_headers")
    if not names:
        return {}
    stamps = options.get("stamps") or {}
    return {name: stamps[name] if name in stamps else options.get(name) for name in names}


def _addressed(message: Message, route: Route, due: float | None, plain: bool) -> list[Outgoing]:
    """The message for each queue that gets it."""
    encoded = envelope.encode(message, route.exchange, route.routing_key, plain=plain)
    priority = envelope.priority_of(message)
    if due is not None and due <= time.time():
        due = None
    if not route.exchange:
        return [Outgoing(route.routing_key, encoded, priority, due)]
    return [
        Outgoing(queue, encoded, priority, due, route.exchange, route.routing_key)
        for queue in route.destinations or ("",)  # no queue is known here: the store's own bindings tell
    ]
