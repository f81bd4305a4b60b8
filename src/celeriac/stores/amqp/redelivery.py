"""Messages that go back, and those that went back too often.

RabbitMQ marks a message as redelivered whether somebody gave it back, the connection broke or its holder died. So the
mark says nothing: what comes again is handed over at once, with the losses that its header says, and who knows that a
task was lost with its process says so by a settlement.

Quorum queues also count how often a message came back, and RabbitMQ 4 drops one that did so too often. It is replaced
by a copy before, with one loss more: so even a task that takes its whole worker with it, every time, comes to an end.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from celeriac.exceptions import CeleriacError, CorruptMessage
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.names import DELIVERY_COUNT
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.publishing import Publisher
from celeriac.stores.amqp.topology import Topology
from celeriac.stores.amqp.translation import marks_of, remarked
from celeriac.stores.amqp.wire import Incoming, Publication

__all__ = ["MANY_RETURNS", "Arrived", "Redelivery", "is_worn"]

logger = logging.getLogger("celeriac.stores.amqp")

MANY_RETURNS: Final = 10
"""Returns after which a quorum queue's message is replaced by a copy: RabbitMQ 4 drops it after 20."""


class Arrived(msgspec.Struct, eq=False, gc=False):
    """A delivery that waits for the caller."""

    queue: str
    channel: Channel
    incoming: Incoming


class Redelivery:
    """Gives messages back for one store, and replaces them.

    Args:
        publisher: publishes copies.
        topology: what the queues are.
    """

    def __init__(self, publisher: Publisher, topology: Topology) -> None:
        self._publisher = publisher
        self._topology = topology

    async def give_back(self, queue: str, arrived: Sequence[Arrived]) -> None:
        """Let messages be ready again, at their places where the queue can do that."""
        returned = await self.replace(arrived) if self._topology.is_quorum(queue) else arrived
        for channel, tags in _by_channel(returned).items():
            channel.reject(tags, requeue=True)

    async def replace(self, arrived: Sequence[Arrived], losses: int = 0) -> list[Arrived]:
        """Put copies in the place of messages, with so many losses more and a fresh count of returns.

        Returns:
            Those that could not be replaced and are still ours.
        """
        copies: list[tuple[Publication, Arrived]] = []
        left: list[Arrived] = []
        for each in arrived:
            try:
                copies.append((copy_of(each.incoming, each.queue, losses), each))
            except CorruptMessage:
                left.append(each)  # admission says what it is
        try:
            failures = await self._publisher.deliver([copy for copy, _ in copies])
        except CeleriacError as error:
            logger.warning("%d messages could not be replaced by copies: %s", len(copies), error)
            return [each for each in arrived if each.channel.closed is None]
        failed = {id(publication) for publication, _ in failures}
        for channel, tags in _by_channel([each for copy, each in copies if id(copy) not in failed]).items():
            channel.acknowledge(tags)
        left += [each for copy, each in copies if id(copy) in failed]
        return [each for each in left if each.channel.closed is None]


def _by_channel(arrived: Sequence[Arrived]) -> dict[Channel, list[int]]:
    tags: dict[Channel, list[int]] = {}
    for each in arrived:
        if each.channel.closed is None:
            tags.setdefault(each.channel, []).append(each.incoming.tag)
    return tags


def is_worn(incoming: Incoming) -> bool:
    """It came back so often that it has to be replaced; classic queues do not count that."""
    if not incoming.redelivered:
        return False
    try:
        found = (Properties.decode(incoming.properties).headers or {}).get(DELIVERY_COUNT)
    except CorruptMessage:
        return False
    return isinstance(found, int) and found >= MANY_RETURNS


def copy_of(incoming: Incoming, queue: str, losses: int) -> Publication:
    """A copy of a message for its queue, with ``losses`` more and a fresh count of returns.

    Raises:
        CorruptMessage: it has no properties that could be read.
    """
    marks = marks_of(Properties.decode(incoming.properties).headers or {})
    marks = msgspec.structs.replace(marks, losses=marks.losses + losses)
    return Publication("", queue, remarked(incoming.properties, marks), incoming.body)
