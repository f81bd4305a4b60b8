"""``celery.app.amqp``: an app's queues and routes, as Celery's programs and kombu's see them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from celeriac.routing import Queues as OurQueues
from celeriac.settings.configuration import Configuration
from celeriac_dropin.absences import MESSAGES, absent_names, missing
from celeriac_dropin.brokers import kombu_for
from celeriac_dropin.modules.app_routes import Router, prepare

if TYPE_CHECKING:
    from celeriac.routing.entities import Exchange, Queue
    from celeriac_dropin.modules.app_base import Celery

__all__ = ["AMQP", "Queues"]

_MESSAGES: Final = frozenset(
    {"as_task_v1", "as_task_v2", "autoexchange", "create_task_message", "send_task_message", "task_protocols"}
)


class Queues(Mapping[str, Any]):
    """Queues by name, as kombu's.

    Args:
        queues: as ``task_queues``: kombu's queues, ours, or names with options.
        default_exchange: the exchange of those that name none.
        create_missing: looking up a name that was not declared makes the queue.
        create_missing_queue_type: classic or quorum.
        create_missing_queue_exchange_type: of the exchanges of queues that are made.
        autoexchange: must be None: an exchange has its queue's name.
        max_priority: of queues that say nothing else.
    """

    def __init__(
        self,
        queues: Any = None,
        default_exchange: Any = None,
        create_missing: bool = True,
        create_missing_queue_type: str | None = None,
        create_missing_queue_exchange_type: str | None = None,
        autoexchange: None = None,
        max_priority: int | None = None,
        default_routing_key: str | None = None,
    ) -> None:
        if autoexchange is not None:
            missing("Queues(autoexchange=...)", MESSAGES)
        settings = {
            "task_queues": queues,
            "task_default_exchange": getattr(default_exchange, "name", default_exchange),
            "task_create_missing_queues": create_missing,
            "task_create_missing_queue_type": create_missing_queue_type,
            "task_create_missing_queue_exchange_type": create_missing_queue_exchange_type,
            "task_queue_max_priority": max_priority,
            "task_default_routing_key": default_routing_key,
        }
        self._queues = OurQueues(Configuration("celery", settings, environment={}).snapshot())

    @classmethod
    def of(cls, queues: OurQueues) -> Queues:
        """Those of an app."""
        found = cls.__new__(cls)
        found._queues = queues  # noqa: SLF001  # its own
        return found

    def __getitem__(self, name: str) -> Any:
        return as_kombu(self._queues[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._queues)

    def __len__(self) -> int:
        return len(self._queues)

    def __contains__(self, name: object) -> bool:
        return name in self._queues

    @property
    def ours(self) -> OurQueues:
        """The same, as the engine has them."""
        return self._queues

    @property
    def consume_from(self) -> dict[str, Any]:
        """The queues that a worker consumes."""
        return {name: as_kombu(queue) for name, queue in self._queues.consumed.items()}

    def add(self, queue: Any, **kwargs: Any) -> Any:
        """Declare a queue (ours, kombu's, or a name with options)."""
        return as_kombu(self._queues.add(queue, **kwargs))

    def add_compat(self, name: str, **options: Any) -> Any:
        """Declare a queue by name and options."""
        return self.add(name, **options)

    def new_missing(self, name: str) -> Any:
        """The queue that looking up an unknown name makes."""
        return self[name]

    def select(self, include: str | Iterable[str]) -> None:
        """Consume these only."""
        if include:
            self._queues.select(include)

    def select_add(self, queue: Any, **kwargs: Any) -> Any:
        """Declare a queue and consume it too."""
        return as_kombu(self._queues.select_add(queue, **kwargs))

    def deselect(self, exclude: str | Iterable[str]) -> None:
        """Consume these no longer."""
        if exclude:
            self._queues.deselect(exclude)

    def format(self, indent: int = 0, indent_first: bool = True) -> str:
        """The consumed queues, a line for each."""
        lines = [
            f".> {name:<16} exchange={queue.source.name}({queue.source.type}) key={queue.routing_key}"
            for name, queue in sorted(self._queues.consumed.items())
        ]
        pad = " " * indent
        text = f"\n{pad}".join(lines)
        return f"{pad}{text}" if indent_first else text


# Inside the class these names are its own.
SomeQueues = Queues
AnyRouter = Router


class AMQP:
    """Queues, routes, and kombu's classes.

    Args:
        app: whose.
    """

    argsrepr_maxsize = 1024
    kwargsrepr_maxsize = 1024

    def __init__(self, app: Celery) -> None:
        self.app = app

    @property
    def queues(self) -> SomeQueues:
        """The app's queues."""
        return Queues.of(self.app.queues)

    def Queues(self, queues: Any, **options: Any) -> SomeQueues:  # noqa: N802  # Celery's name
        """Queues with the app's defaults; options as of the class."""
        settings = self.app.settings
        given = {
            "default_exchange": settings.task_default_exchange,
            "create_missing": settings.task_create_missing_queues,
            "max_priority": settings.task_queue_max_priority,
        }
        return Queues(queues, **{**given, **options})

    @property
    def router(self) -> AnyRouter:
        """What decides where calls go."""
        return Router(app=self.app)

    @property
    def routes(self) -> tuple[Any, ...]:
        """The routers of ``task_routes``, in their order."""
        return tuple(prepare(self.app.conf.task_routes))

    def Router(self, queues: SomeQueues | None = None, create_missing: bool | None = None) -> AnyRouter:  # noqa: N802
        """A router with the app's routes, over other queues."""
        return Router(self.routes, queues, create_missing, self.app)

    def flush_routes(self) -> None:
        """Read the settings, routes too, again."""
        self.app.conf.refresh()

    @property
    def default_queue(self) -> Any:
        """Kombu's queue of the name ``task_default_queue``."""
        return self.queues[self.app.settings.task_default_queue]

    @property
    def default_exchange(self) -> Any:
        """Kombu's exchange of the name ``task_default_exchange``."""
        settings = self.app.settings
        exchange = kombu_for("app.amqp.default_exchange").Exchange
        return exchange(settings.task_default_exchange, settings.task_default_exchange_type)

    @property
    def utc(self) -> bool:
        """Times are sent in UTC."""
        return bool(self.app.conf.enable_utc)

    @property
    def Connection(self) -> Any:  # noqa: N802  # Celery's name
        """Kombu's class."""
        return kombu_for("app.amqp.Connection").Connection

    @property
    def Consumer(self) -> Any:  # noqa: N802  # Celery's name
        """Kombu's class."""
        return kombu_for("app.amqp.Consumer").Consumer

    @property
    def Producer(self) -> Any:  # noqa: N802  # Celery's name
        """Kombu's class."""
        return kombu_for("app.amqp.Producer").Producer

    @property
    def producer_pool(self) -> Any:
        """Kombu's producers."""
        return self.app.producer_pool

    publisher_pool = producer_pool

    def TaskConsumer(  # noqa: N802  # Celery's name
        self, channel: Any, queues: Any = None, accept: Any = None, **kw: Any
    ) -> Any:
        """Kombu's consumer of the app's queues."""
        chosen = list(self.queues.consume_from.values()) if queues is None else queues
        accepted = self.app.settings.accept_content if accept is None else accept
        return self.Consumer(channel, queues=chosen, accept=list(accepted), **kw)

    def __getattr__(self, name: str) -> Any:
        if name in _MESSAGES:
            missing(f"app.amqp.{name}", MESSAGES)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def as_kombu(queue: Queue) -> Any:
    """Kombu's queue that stands for one of ours."""
    kombu = kombu_for(f"the queue {queue.name!r} as kombu's")
    arguments = dict(queue.queue_arguments)
    if queue.type is not None:
        arguments.setdefault("x-queue-type", queue.type)
    return kombu.Queue(
        queue.name,
        exchange=_exchange(kombu, queue.source),
        routing_key=queue.routing_key,
        durable=queue.durable,
        auto_delete=queue.auto_delete,
        exclusive=queue.exclusive,
        queue_arguments=arguments or None,
        binding_arguments=dict(queue.binding_arguments) or None,
        bindings=[
            kombu.binding(_exchange(kombu, bound.exchange), bound.routing_key, dict(bound.arguments) or None)
            for bound in queue.bindings
        ],
        alias=queue.alias,
        max_priority=queue.max_priority,
        expires=queue.expires,
        message_ttl=queue.message_ttl,
        max_length=queue.max_length,
        max_length_bytes=queue.max_length_bytes,
    )


def _exchange(kombu: Any, exchange: Exchange) -> Any:
    return kombu.Exchange(
        exchange.name,
        exchange.type,
        durable=exchange.durable,
        auto_delete=exchange.auto_delete,
        delivery_mode=exchange.delivery_mode,
        arguments=dict(exchange.arguments) or None,
    )


__getattr__ = absent_names("celery.app.amqp", {"task_message": MESSAGES})
