"""What a publication or a declaration that the server does not accept means, in our own errors."""

from __future__ import annotations

from celeriac.exceptions import ImproperlyConfigured, MessageRefused, OperationalError, StoreFull
from celeriac.stores.amqp.channel import Refused
from celeriac.stores.amqp.errors import ChannelClosed
from celeriac.stores.amqp.wire import Publication

__all__ = ["QueueMismatch", "Unroutable", "declaration_error", "missing_exchange", "publication_error"]


class Unroutable(MessageRefused):
    """No queue takes the message: the exchange or a binding is missing. It was not stored."""


class QueueMismatch(ImproperlyConfigured, MessageRefused):
    """A queue or an exchange exists on the server with other arguments than those that are declared here.

    Attributes:
        name: of the queue or the exchange.
    """

    def __init__(self, text: str, name: str = "") -> None:
        super().__init__(text)
        self.name = name


def publication_error(publication: Publication, refused: Refused) -> OperationalError | StoreFull:
    """The error to raise for a publication that the server did not take."""
    target = f"exchange {publication.exchange!r} with routing key {publication.routing_key!r}"
    if not publication.exchange:
        target = f"queue {publication.routing_key!r}"
    if refused.is_unroutable:
        return Unroutable(
            f"no queue takes a message for {target} ({refused.text}): it was not sent. Declare a queue that is bound "
            "so (task_queues), or correct the route"
        )
    return StoreFull(
        f"the server did not take a message for {target}: the queue is full (x-max-length with x-overflow "
        "reject-publish) or has failed; it was not sent"
    )


def declaration_error(what: str, name: str, error: ChannelClosed) -> Exception:
    """The error to raise for a declaration that the server refused.

    Args:
        what: ``queue`` or ``exchange``.
        name: its name.
        error: what the server said; its text names the argument.
    """
    if error.is_mismatch:
        return QueueMismatch(
            f"the {what} {name!r} exists with other arguments than are declared here: {error.text}. Declare it as it "
            f"is (task_queues, task_default_queue_type, task_queue_max_priority), or delete it on the server",
            name,
        )
    if error.is_locked:
        return OperationalError(f"the {what} {name!r} cannot be used: {error.text}")
    return OperationalError(f"the {what} {name!r} cannot be declared: {error.text}")


def missing_exchange(publication: Publication) -> Unroutable:
    """The error to raise for a publication to an exchange that does not exist."""
    return Unroutable(
        f"the exchange {publication.exchange!r} does not exist: a message with routing key "
        f"{publication.routing_key!r} was not sent. Declare a queue that is bound to it (task_queues)"
    )
