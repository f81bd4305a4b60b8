"""Routing: exchanges and queues, and which of them a message goes to."""

from celeriac.routing.entities import Binding, Exchange, Queue
from celeriac.routing.queues import Queues
from celeriac.routing.router import Route, Router

__all__ = ["Binding", "Exchange", "Queue", "Queues", "Route", "Router"]
