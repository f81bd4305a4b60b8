"""The queues of an application: declared ones, those created at first use, and which of them a worker consumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from celeriac.exceptions import InvalidSetting, QueueNotFound
from celeriac.routing import topics
from celeriac.routing.entities import MAX_PRIORITY, QUEUE_TYPE, Exchange, Queue
from celeriac.settings.suggestions import did_you_mean

if TYPE_CHECKING:
    from celeriac.settings import Settings

__all__ = ["Queues"]


class Queues:
    """Queues by name.

    Looking up a name that was not declared creates the queue, bound to an exchange and by a key of its own name, or
    raises QueueNotFound where ``task_create_missing_queues`` is off. Where none is declared, the default one is.

    Args:
        settings: The application's.

    Attributes:
        workflow: The queue of what goes on with workflows: our own workers' own, which none is told to consume.
        on_change: Functions that are called when a queue became known or another.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queues: dict[str, Queue] = {}
        self._aliases: dict[str, str] = {}
        self._consumed: list[str] = []
        self.workflow = self._workflow()
        self.on_change: list[Callable[[], object]] = []
        for queue in _declared(settings):
            self.add(queue)
        if not self._queues:
            self.add(self._default())

    def __getitem__(self, name: str) -> Queue:
        queue = self.get(name)
        return queue if queue is not None else self._missing(name)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._queues))

    def __len__(self) -> int:
        return len(self._queues)

    def __contains__(self, name: object) -> bool:
        return name in self._queues or name in self._aliases

    def get(self, name: str) -> Queue | None:
        """Return a known queue; none is created."""
        if name == self.workflow.name:
            return self.workflow
        return self._queues.get(self._aliases.get(name, name))

    @property
    def default(self) -> Queue:
        """The queue of tasks that no route names one for."""
        return self[self._settings.task_default_queue]

    @property
    def consumed(self) -> dict[str, Queue]:
        """The queues that a worker consumes: those selected, otherwise all that were declared."""
        return {name: self._queues[name] for name in self._consumed}

    @property
    def received(self) -> list[str]:
        """The names of all queues that a worker receives from: those it consumes, and the workflow queue."""
        return [*self._consumed, self.workflow.name]

    def add(self, queue: Queue | Any, **options: Any) -> Queue:
        """Declare a queue, or a name with options as :meth:`Queue.named` takes them, and return it completed."""
        declared = self._complete(Queue.named(queue, options) if isinstance(queue, str) else Queue.of(queue))
        if not declared.name:
            raise InvalidSetting("task_queues: a queue has no name; write Queue(name).")
        self._keep(declared)
        if declared.name not in self._consumed:
            self._consumed.append(declared.name)
        return declared

    def adopt(self, queue: Queue) -> Queue:
        """Make a queue known for routing, not for consuming, unless one of its name is; return it completed."""
        return self[queue.name] if queue.name in self else self._keep(self._complete(queue))

    def select(self, names: str | Iterable[str]) -> None:
        """Consume these queues only; raises QueueNotFound."""
        chosen = [self[name].name for name in _split(names)]
        self._consumed = list(dict.fromkeys(chosen))

    def select_add(self, queue: Queue | Any, **options: Any) -> Queue:
        """Declare a queue and consume it beside the others; return it."""
        if isinstance(queue, str) and queue in self and not options:
            found = self[queue]
            if found.name not in self._consumed:
                self._consumed.append(found.name)
            return found
        return self.add(queue, **options)

    def deselect(self, names: str | Iterable[str]) -> None:
        """Stop consuming these queues; they stay known for routing."""
        dropped = {self._aliases.get(name, name) for name in _split(names)}
        self._consumed = [name for name in self._consumed if name not in dropped]

    def bound_queues(self, exchange: str, routing_key: str) -> tuple[str, ...]:
        """Return the names of the known queues that get a message with this key from this exchange.

        The default exchange, whose name is empty, is bound to every queue by its name, known here or not.
        """
        if not exchange:
            return (routing_key,)
        found = []
        for queue in self._queues.values():
            for binding in queue.bound:
                source = binding.exchange
                if source.name == exchange and _carries(source.type, binding.routing_key, routing_key):
                    found.append(queue.name)
                    break
        return tuple(found)

    def _missing(self, name: str) -> Queue:
        settings = self._settings
        if not settings.task_create_missing_queues:
            raise QueueNotFound(
                f'"{name}" is not among the queues of task_queues, and task_create_missing_queues is off'
                f"{did_you_mean(name, [*self._queues, *self._aliases])}"
            )
        exchange = Exchange(name, settings.task_create_missing_queue_exchange_type or "direct")
        kind = settings.task_create_missing_queue_type
        return self._keep(self._complete(Queue(name, exchange, name, type=None if kind == "classic" else kind)))

    def _workflow(self) -> Queue:
        name, kind = f"{self._settings.task_default_queue}.workflow", self._settings.task_default_queue_type
        return self._complete(Queue(name, Exchange(name), name, type=None if kind == "classic" else kind))

    def _default(self) -> Queue:
        kind = self._settings.task_default_queue_type
        name = self._settings.task_default_queue
        return self._complete(Queue(name, type=None if kind == "classic" else kind))

    def _keep(self, queue: Queue) -> Queue:
        self._queues[queue.name] = queue
        if queue.alias:
            self._aliases[queue.alias] = queue.name
        for changed in self.on_change:
            changed()
        return queue

    def _complete(self, queue: Queue) -> Queue:
        """Fill in the defaults of what a declaration leaves open."""
        settings = self._settings
        exchange = queue.source
        if not exchange.name and not queue.bindings:
            exchange = Exchange(settings.task_default_exchange, settings.task_default_exchange_type)
        highest = queue.max_priority
        if highest is None and MAX_PRIORITY not in queue.queue_arguments:
            highest = settings.task_queue_max_priority
        return msgspec.structs.replace(
            queue,
            exchange=exchange,
            routing_key=queue.routing_key or settings.task_default_routing_key,
            type=queue.type or queue.queue_arguments.get(QUEUE_TYPE),
            max_priority=highest,
        )


def _declared(settings: Settings) -> list[Any]:
    """Return what ``task_queues`` declares, in the order it has there."""
    declared = settings.task_queues
    if declared is None:
        return []
    if isinstance(declared, Mapping):
        return [_from_options(name, options) for name, options in declared.items()]
    return [_from_options(item, {}) if isinstance(item, str) else item for item in declared]


def _from_options(name: str, options: Any) -> Queue:
    if not isinstance(options, Mapping):
        return msgspec.structs.replace(Queue.of(options), name=name)
    try:
        return Queue.named(name, options)
    except TypeError:
        known = [*Queue.__struct_fields__, "exchange_type", "binding_key"]
        wrong = next(option for option in options if option not in known)
        question = did_you_mean(wrong, known)
        raise InvalidSetting(
            f'task_queues: the queue "{name}" has an option "{wrong}", which queues do not have{question}'
        ) from None


def _split(names: str | Iterable[str]) -> list[str]:
    listed = names.split(",") if isinstance(names, str) else names
    return [name.strip() for name in listed]


def _carries(exchange_type: str, binding_key: str, routing_key: str) -> bool:
    if exchange_type == "fanout":
        return True
    if exchange_type == "topic":
        return topics.matches(binding_key, routing_key)
    return binding_key == routing_key
