"""Where a message goes: the options of a call, the routers and the queues brought together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from celeriac.routing.entities import Exchange, Queue
from celeriac.routing.queues import Queues
from celeriac.routing.routes import prepare

if TYPE_CHECKING:
    from celeriac.settings import Settings

__all__ = ["Route", "Router"]

KEPT_ROUTES: Final = 4096  # names of tasks; a producer that makes up more of them starts again

DESTINATION_OPTIONS: Final = ("queue", "exchange", "routing_key", "priority", "delivery_mode")
DECIDED: Final = frozenset({*DESTINATION_OPTIONS, "exchange_type"})  # the type is the declared queue's, as in Celery
DELIVERY_MODES: Final[dict[Any, int]] = {"transient": 1, "persistent": 2}  # the names that kombu has for them
NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})


class Route(msgspec.Struct, frozen=True):
    """Where one message goes.

    Args:
        queue: The queue that was meant; None when only an exchange and a key were named.
        exchange: Empty is the default exchange, where the routing key is the name of a queue.
        routing_key: The key.
        destinations: The queues that get it, as far as they are declared here; empty when only the broker's own
            bindings can tell.
        priority: None is the broker's lowest.
        delivery_mode: 2 is persistent, 1 transient.
        options: The other options, those of the call over those of the routers; not to be changed.
    """

    queue: str | None
    exchange: str
    routing_key: str
    destinations: tuple[str, ...]
    priority: int | None
    delivery_mode: int
    options: Mapping[str, Any] = NO_OPTIONS


class Router:
    """Routes messages by one snapshot of the settings; another snapshot needs another router.

    An explicit option wins over the first router that has an answer, and that over the defaults of the queue
    (behaviours.md, C.46 to C.50). Where no router is a function, routes are kept by the name of the task and by those
    options that decide.

    Args:
        settings: The snapshot.
        queues: The queues to route to; those of the settings by default.

    Raises:
        InvalidSetting: ``task_routes`` or ``task_queues`` cannot be made sense of.
    """

    def __init__(self, settings: Settings, queues: Queues | None = None) -> None:
        self.settings = settings
        self.queues = Queues(settings) if queues is None else queues
        self._routing = prepare(settings.task_routes)
        self._kept: dict[Any, Route] = {}
        self.queues.on_change.append(self._kept.clear)

    def route(
        self,
        options: Mapping[str, Any] | None,
        name: str,
        args: Any = (),
        kwargs: Any = None,
        task: Any = None,
    ) -> Route:
        """Return where a message goes.

        Args:
            options: The options of the call; None among them is as good as not given.
            name: The name of the task.
            args: Its positional arguments, for routers that are functions.
            kwargs: Its named arguments, for the same.
            task: The task itself, for the same.

        Raises:
            QueueNotFound: The queue is not declared and missing ones are not created.
        """
        if not options:
            kept = self._kept.get(name)
            if kept is not None:
                return kept
        return self._route(options or NO_OPTIONS, name, args, kwargs, task)

    def bound_queues(self, exchange: str, routing_key: str) -> tuple[str, ...]:
        """Return the names of the declared queues that get a message with this key from this exchange."""
        return self.queues.bound_queues(exchange, routing_key)

    def _route(self, options: Mapping[str, Any], name: str, args: Any, kwargs: Any, task: Any) -> Route:
        if not self._routing.depends_on_name:
            return _with_options(self._ask(options, name, args, kwargs, task), options)
        get = options.get
        key: Any = name
        if options:
            key = (name, get("queue"), get("exchange"), get("routing_key"), get("priority"), get("delivery_mode"))
        try:
            route = self._kept.get(key)
        except TypeError:  # a queue or an exchange as an object is no key
            return _with_options(self._ask(options, name, args, kwargs, task), options)
        if route is None:
            destination = {option: get(option) for option in DESTINATION_OPTIONS}
            route = self._ask(destination, name, args, kwargs, task)
            if len(self._kept) >= KEPT_ROUTES:
                self._kept.clear()
            self._kept[key] = route
        return _with_options(route, options)

    def _ask(self, options: Mapping[str, Any], name: str, args: Any, kwargs: Any, task: Any) -> Route:
        """Ask the routers and decide; the result has only the options that they gave."""
        answer = self._routing.ask(name, args, {} if kwargs is None else kwargs, options, task) or NO_OPTIONS
        explicit = {option: options[option] for option in DESTINATION_OPTIONS if options.get(option) is not None}
        return self._decide({**answer, **explicit})

    def _decide(self, options: Mapping[str, Any]) -> Route:
        """Return the route that merged options stand for."""
        exchange, key = _exchange_name(options.get("exchange")), options.get("routing_key")
        queue = self._queue(options.get("queue"), exchange is not None and bool(exchange) and bool(key))
        if queue is not None and queue.source.type == "direct" and not (exchange and key):
            exchange, key = "", queue.name
        elif queue is not None:
            exchange = queue.source.name if exchange is None else exchange
            key = key or (queue.routing_key if exchange else queue.name)
        priority = options.get("priority")
        mode = options.get("delivery_mode") or (queue.source.delivery_mode if queue is not None else None)
        return Route(
            queue=queue.name if queue is not None else None,
            exchange=exchange or "",
            routing_key=key or "",
            destinations=self.queues.bound_queues(exchange or "", key or ""),
            priority=self.settings.task_default_priority if priority is None else priority,
            delivery_mode=DELIVERY_MODES.get(mode, mode) or self.settings.task_default_delivery_mode,
            options={option: value for option, value in options.items() if option not in DECIDED},
        )

    def _queue(self, named: Any, has_address: bool) -> Queue | None:
        if isinstance(named, str) and named:
            return self.queues[named]
        if named:
            return self.queues.adopt(Queue.of(named))
        return None if has_address else self.queues.default


def _exchange_name(exchange: Any) -> str | None:
    return exchange if exchange is None or isinstance(exchange, str) else Exchange.of(exchange).name


def _with_options(route: Route, options: Mapping[str, Any]) -> Route:
    """Return the route with the options of a call over those it has."""
    given = {
        option: value
        for option, value in options.items()
        if option not in DESTINATION_OPTIONS and (value is not None or option not in route.options)
    }
    if not given:
        return route
    return Route(
        route.queue,
        route.exchange,
        route.routing_key,
        route.destinations,
        route.priority,
        route.delivery_mode,
        {**route.options, **given},
    )
