"""Declaring on the server: queues and exchanges when they are needed first, each with errors of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from celeriac.exceptions import OperationalError
from celeriac.stores.amqp import requests
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.errors import ChannelClosed
from celeriac.stores.amqp.refusals import declaration_error
from celeriac.stores.amqp.requests import Declared, Request
from celeriac.stores.amqp.topology import BoundExchange, BoundQueue, Declaration, MadeExchange, MadeQueue, Topology

__all__ = ["Declarer", "declaration_failure", "request_of"]


class Declarer:
    """Declares on channels of its own, since an error closes the channel.

    Args:
        open_channel: makes a channel.
        topology: what the queues are.
    """

    def __init__(self, open_channel: Callable[[], Awaitable[Channel]], topology: Topology) -> None:
        self._open_channel = open_channel
        self.topology = topology

    async def declare(self, queues: Iterable[str]) -> None:
        """Make queues ready; an error concerns one queue, the others are made all the same.

        Raises:
            QueueMismatch: a queue exists with other arguments; the error is that of the first such queue.
            OperationalError: the server refuses it for another reason.
        """
        outcomes = await asyncio.gather(
            *[self.run(self.topology.of_queue(queue)) for queue in queues], return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def run(self, declarations: Iterable[Declaration]) -> None:
        """Make everything in one go.

        Raises:
            QueueMismatch, OperationalError: see :meth:`declare`.
        """
        made = list(declarations)
        channel = await self._open_channel()
        try:
            outcomes = await asyncio.gather(*[channel.call(request_of(each)) for each in made], return_exceptions=True)
        finally:
            await _closed(channel)
        raise_first(made, outcomes)

    async def look(self, queues: Sequence[str]) -> list[Declared | None]:
        """What the server says of queues; None for one that does not exist."""
        return await asyncio.gather(*[self._look(queue) for queue in queues])

    async def _look(self, queue: str) -> Declared | None:
        channel = await self._open_channel()
        try:
            return await channel.declare_queue(queue, passive=True)
        except ChannelClosed as error:
            if error.is_missing:
                return None
            raise declaration_error("queue", queue, error) from None
        finally:
            await _closed(channel)

    async def has_exchange(self, name: str) -> bool:
        """Whether an exchange exists."""
        channel = await self._open_channel()
        try:
            await channel.declare_exchange(name, passive=True)
        except ChannelClosed as error:
            if error.is_missing:
                return False
            raise
        finally:
            await _closed(channel)
        return True


async def _closed(channel: Channel) -> None:
    with contextlib.suppress(OperationalError):
        await channel.close()


def request_of(declaration: Declaration) -> Request[Any]:
    """The method that makes it."""
    match declaration:
        case MadeExchange(name, kind, durable, auto_delete, arguments):
            return requests.declare_exchange(name, kind, durable=durable, auto_delete=auto_delete, arguments=arguments)
        case MadeQueue(name, arguments, durable, exclusive, auto_delete):
            return requests.declare_queue(
                name, durable=durable, exclusive=exclusive, auto_delete=auto_delete, arguments=arguments
            )
        case BoundQueue(queue, exchange, routing_key, arguments):
            return requests.bind_queue(queue, exchange, routing_key, arguments)
        case BoundExchange(destination, source, routing_key):
            return requests.bind_exchange(destination, source, routing_key)


def raise_first(declarations: Sequence[Declaration], outcomes: Sequence[object]) -> None:
    """Raise the error that the server blames, if there is any."""
    errors = [
        (made, each) for made, each in zip(declarations, outcomes, strict=True) if isinstance(each, BaseException)
    ]
    for made, error in errors:
        if isinstance(error, ChannelClosed) and error.blamed:
            raise declaration_failure(made, error) from error
    if errors:
        raise errors[0][1]


def declaration_failure(declaration: Declaration, error: ChannelClosed) -> Exception:
    """The error to raise for a declaration that the server refused."""
    return declaration_error(*_named(declaration), error)


def _named(declaration: Declaration) -> tuple[str, str]:
    match declaration:
        case MadeExchange(name) | BoundExchange(_, name):
            return "exchange", name
        case MadeQueue(name) | BoundQueue(name):
            return "queue", name
