"""``task_routes`` in all its forms, made into functions that are asked in order."""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from celeriac.exceptions import InvalidSetting
from celeriac.settings.suggestions import did_you_mean

__all__ = ["Answer", "MapRouter", "Routing", "prepare"]

Answer = Mapping[str, Any] | None
Ask = Callable[[str, Any, Any, dict[str, Any], Any], object]

GLOB: Final = re.compile(r"[*?\[]")

# What a route may say beside any option of apply_async; a name that is only like one of these is a mistake.
ROUTE_OPTIONS: Final = frozenset(
    {
        "queue",
        "exchange",
        "exchange_type",
        "routing_key",
        "priority",
        "delivery_mode",
        "serializer",
        "compression",
        "countdown",
        "eta",
        "expires",
        "headers",
        "ignore_result",
        "retry",
        "retry_policy",
        "soft_time_limit",
        "time_limit",
    }
)


class Routing(msgspec.Struct, frozen=True):
    """The routers of an application.

    ``depends_on_name`` says that nothing but the name of a task decides, so that answers can be kept.
    """

    routers: tuple[Ask, ...]
    depends_on_name: bool

    def ask(self, name: str, args: Any, kwargs: Any, options: Mapping[str, Any], task: Any) -> Answer:
        """Return the first answer of a router that is not None, as options."""
        for router in self.routers:
            answer = router(name, args, kwargs, dict(options), task)
            if answer is not None:
                return _as_options(answer, router)
        return None


class MapRouter:
    """A router from names and patterns to routes: exact names first, then the patterns in their order.

    Args:
        routes: Pairs of a pattern and a route. A pattern is a name, a glob (``*``, ``?``, ``[...]``) or a compiled
            regular expression, which must match from the start of the name.
    """

    def __init__(self, routes: Iterable[tuple[Any, Any]]) -> None:
        self._exact: dict[str, Mapping[str, Any]] = {}
        self._patterns: list[tuple[re.Pattern[str], Mapping[str, Any]]] = []
        for pattern, route in routes:
            options = _as_options(route, pattern)
            if isinstance(pattern, re.Pattern):
                self._patterns.append((pattern, options))
            elif not isinstance(pattern, str):
                raise InvalidSetting(f"task_routes: {pattern!r} is neither the name of a task nor a pattern.")
            elif GLOB.search(pattern):
                self._patterns.append((re.compile(fnmatch.translate(pattern)), options))
            else:
                self._exact[pattern] = options

    def __call__(self, name: str, *_: object) -> Answer:
        found = self._exact.get(name)
        if found is not None:
            return found
        for pattern, options in self._patterns:
            if pattern.match(name):
                return options
        return None


def prepare(routes: object) -> Routing:
    """Return the routers that a value of ``task_routes`` stands for; raises InvalidSetting and ImportError."""
    if routes is None:
        return Routing((), depends_on_name=True)
    if isinstance(routes, (list, tuple)) and not _is_pair(routes):
        routers = _prepare_list(routes)
    else:
        routers = [_prepare_one(routes)]
    return Routing(tuple(routers), all(isinstance(router, MapRouter) for router in routers))


def _is_pair(value: object) -> bool:
    """Whether a value is a pattern with its route; a list of two routers is not."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    pattern, route = value
    return isinstance(pattern, (str, re.Pattern)) and (isinstance(route, (str, Mapping)) or _is_queue(route))


def _is_queue(value: object) -> bool:
    return hasattr(value, "routing_key") and hasattr(value, "name")


def _prepare_list(items: Iterable[Any]) -> list[Ask]:
    """Pairs that follow one another are one map."""
    routers: list[Ask] = []
    pairs: list[tuple[Any, Any]] = []
    for item in items:
        if _is_pair(item):
            pairs.append(item)
            continue
        if pairs:
            routers.append(MapRouter(pairs))
            pairs = []
        routers.append(_prepare_one(item))
    return [*routers, MapRouter(pairs)] if pairs else routers


def _prepare_one(router: Any) -> Ask:
    if isinstance(router, str):
        router = _imported(router)
    if isinstance(router, type):
        router = router()
    if _is_pair(router):
        return MapRouter([router])
    if hasattr(router, "route_for_task"):
        return _of_object(router.route_for_task)
    if isinstance(router, Mapping):
        return MapRouter(router.items())
    if isinstance(router, (list, tuple)):
        if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in router):
            raise InvalidSetting(f"task_routes: {router!r} is not a list of pairs of a pattern and a route.")
        return MapRouter((pair[0], pair[1]) for pair in router)
    if callable(router):
        return _of_function(router)
    raise InvalidSetting(f"task_routes: {router!r} is not a router.")


def _imported(path: str) -> Any:
    """Return what the import path of a router names: ``package.module:name`` or ``package.module.name``."""
    module, separator, name = path.rpartition(":") if ":" in path else path.rpartition(".")
    if not separator:
        raise InvalidSetting(
            f'task_routes: "{path}" is not the import path of a router. A route for a task is written as a dictionary: '
            f'{{"name of the task": "{path}"}}'
        )
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        raise ImportError(f'task_routes names "{path}", but {module} has no {name}.', name=module) from None
    except ImportError as error:
        error.add_note(f'It was named by task_routes: "{path}".')
        raise


def _of_function(function: Callable[..., object]) -> Ask:
    def ask(name: str, args: Any, kwargs: Any, options: dict[str, Any], task: Any) -> object:
        return function(name, args, kwargs, options, task=task)

    return ask


def _of_object(method: Callable[..., object]) -> Ask:
    """A method ``route_for_task`` may take the options and the task as well, or only what it took before Celery 4."""
    parameters = inspect.signature(method).parameters
    takes_all = {"options", "task"} <= parameters.keys()

    def ask(name: str, args: Any, kwargs: Any, options: dict[str, Any], task: Any) -> object:
        if takes_all:
            return method(name, args, kwargs, options, task=task)
        return method(name, args, kwargs)

    return ask


def _as_options(route: object, source: object) -> Mapping[str, Any]:
    if isinstance(route, str) or _is_queue(route):
        return {"queue": route}
    if isinstance(route, Mapping):
        for option in route:
            question = did_you_mean(f"{option}", ROUTE_OPTIONS) if option not in ROUTE_OPTIONS else ""
            if question:
                raise InvalidSetting(f'task_routes: the route for {source!r} has an option "{option}"{question}')
        return route
    hint = 'write the name of a queue, or {"queue": ..., "priority": ...}'
    raise InvalidSetting(f"task_routes: {source!r} gives {route!r}, which is not a route; {hint}.")
