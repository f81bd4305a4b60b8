"""Which publications a message becomes. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from celeriac.stores.amqp import ladder
from celeriac.stores.amqp.topology import Topology
from celeriac.stores.amqp.translation import content_of
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Outgoing

__all__ = ["Addressing"]


class Addressing:
    """Addresses the messages of one store.

    Args:
        topology: what the queues are.
        options: ``delayed_queue_type`` counts.

    Attributes:
        delays: the type of the ladder's queues.
    """

    def __init__(self, topology: Topology, options: StoreOptions) -> None:
        self.delays = options.delayed_queue_type if topology.has_quorum else "classic"

    def publications(self, messages: Iterable[Outgoing], now: float) -> list[Publication]:
        """Messages as they are published; one for an exchange once, however many queues are known to get it."""
        found: list[Publication] = []
        addressed: set[tuple[bytes, str, str]] = set()
        for message in messages:
            content = content_of(message.payload)
            delay = 0 if message.due is None else ladder.milliseconds(message.due - now)
            if message.exchange and not (delay and message.queue):
                # Held messages are held for each queue that is known to get them. Where none is known the worker that
                # gets the message finds that it is not due, and holds it.
                key = (message.payload, message.exchange, message.routing_key)
                if key not in addressed:
                    addressed.add(key)
                    exchange = message.exchange
                    found.append(Publication(exchange, message.routing_key, content.properties, content.body))
                continue
            found.append(self.addressed(message.queue, content.properties, content.body, delay))
        return found

    def addressed(self, queue: str, properties: bytes, body: bytes, delay: int = 0) -> Publication:
        """A publication to one queue, after ``delay`` milliseconds."""
        if delay <= 0:
            return Publication("", queue, properties, body)
        rung = ladder.rung_of(delay, queue, self.delays)
        return Publication(rung.exchange, rung.routing_key, properties, body)
