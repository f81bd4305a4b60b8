"""``celery.app.routes``: where calls go, as Celery's programs ask for it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from celeriac import current
from celeriac.routing import Router as OurRouter
from celeriac.routing.routes import MapRouter
from celeriac.routing.routes import prepare as _prepare
from celeriac_dropin.absences import missing, refused

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac
    from celeriac.routing.router import Route
    from celeriac_dropin.modules.app_amqp import Queues

__all__ = ["MapRoute", "Router", "expand_router_string", "prepare"]


class MapRoute(MapRouter):
    """A router from names and patterns to routes.

    Args:
        map: a mapping, or pairs.
    """

    def __init__(self, map: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> None:  # noqa: A002  # Celery's name
        super().__init__(map.items() if isinstance(map, Mapping) else map)


def prepare(routes: Any) -> list[Any]:
    """The routers that a value of ``task_routes`` stands for."""
    return list(_prepare(routes).routers)


def expand_router_string(router: Any) -> Any:
    """The router that an import path names; a class is called."""
    if isinstance(router, str):
        module, _, name = router.rpartition(":") if ":" in router else router.rpartition(".")
        router = getattr(importlib.import_module(module), name)
    return router() if isinstance(router, type) else router


class Router:
    """Tells where calls go.

    Args:
        routes: routers; the app's when None.
        queues: the app's when None.
        create_missing: must be None: the queues decide.
        app: the current one when None.
    """

    def __init__(
        self,
        routes: Any = None,
        queues: Queues | None = None,
        create_missing: bool | None = None,
        app: Celeriac | None = None,
    ) -> None:
        self.app = current.current_app() if app is None else app
        settings = self.app.settings
        if routes is not None:
            settings = msgspec.structs.replace(settings, task_routes=list(routes))
        if create_missing is not None:
            settings = msgspec.structs.replace(settings, task_create_missing_queues=create_missing)
        own = routes is not None or create_missing is not None or queues is not None
        given = None if queues is None else queues.ours
        self._router = OurRouter(settings, given) if own else self.app.router

    def route(
        self, options: Mapping[str, Any], name: str, args: Any = (), kwargs: Any = None, task_type: Any = None
    ) -> dict[str, Any]:
        """The options of a call with what was decided: ``queue`` (kombu's), or ``exchange`` and ``routing_key``."""
        from celeriac_dropin.modules.app_amqp import as_kombu

        found: Route = self._router.route(options, name, args, kwargs, task_type)
        merged: dict[str, Any] = {**found.options, "exchange": found.exchange, "routing_key": found.routing_key}
        if found.queue is not None:
            merged["queue"] = as_kombu(self._router.queues[found.queue])
        if found.priority is not None:
            merged["priority"] = found.priority
        return merged

    def __getattr__(self, name: str) -> Any:
        if name in ("expand_destination", "lookup_route", "query_router"):
            missing(f"Router.{name}", refused("route() does all of it at once"))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
