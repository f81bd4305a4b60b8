"""Messages that come a second time, and messages that go back.

RabbitMQ marks a message as redelivered whether somebody gave it back or its holder was lost. The stream knows what was
given back; any other is a loss, and its message is replaced by a copy that says one loss more, since on the server a
mark counts only once. Quorum queues count returns, and RabbitMQ 4 drops a message that was returned too often: it is
replaced before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from celeriac.exceptions import CorruptMessage, OperationalError
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.names import DELIVERY_COUNT
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.publishing import Publisher
from celeriac.stores.amqp.stream import Stream
from celeriac.stores.amqp.topology import Topology
from celeriac.stores.amqp.translation import marks_of, remarked, task_id_of
from celeriac.stores.amqp.wire import Incoming, Publication

__all__ = ["MANY_RETURNS", "Arrived", "Redelivery"]

logger = logging.getLogger("celeriac.stores.amqp")

MANY_RETURNS: Final = 10
"""Returns after which a quorum queue's message is replaced by a copy: RabbitMQ 4 drops it after 20."""


class Arrived(msgspec.Struct, gc=False):
    """A delivery that waits for the caller."""

    queue: str
    channel: Channel
    incoming: Incoming


class Redelivery:
    """Judges redelivered messages for one store, and gives messages back.

    Args:
        stream: knows what was given back, and is told.
        publisher: publishes copies.
        topology: what the queues are.
        found: called with each message that may be handed over.
        judged: called when a judgement is over.
    """

    def __init__(
        self,
        stream: Stream,
        publisher: Publisher,
        topology: Topology,
        found: Callable[[Arrived], None],
        judged: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._publisher = publisher
        self._topology = topology
        self._found = found
        self._over = judged
        self._suspects: list[Arrived] = []
        self._judging: asyncio.Task[None] | None = None

    def suspect(self, arrived: Arrived) -> None:
        """Judge a message that is marked as redelivered."""
        self._suspects.append(arrived)
        if self._judging is None or self._judging.done():
            self._judging = asyncio.create_task(self._judge())

    def forget(self) -> None:
        """The channel is closed: its messages go to others."""
        self._suspects.clear()

    async def judged(self) -> None:
        """Wait until it is known what became of all of them."""
        if self._judging is not None:
            await asyncio.shield(self._judging)

    async def give_back(self, queue: str, arrived: Sequence[Arrived]) -> None:
        """Let messages be ready again, at their places where the queue can do that."""
        if self._topology.is_quorum(queue):
            await self._replace(arrived, losses=0)
            return
        await self._stream.note_returned([task_id_of(each.incoming.properties) for each in arrived])
        for channel, tags in _by_channel(arrived).items():
            channel.reject(tags, requeue=True)

    async def close(self) -> None:
        """End what is under way."""
        if self._judging is not None and not self._judging.done():
            self._judging.cancel()
            await asyncio.gather(self._judging, return_exceptions=True)

    async def _judge(self) -> None:
        while self._suspects:
            suspects, self._suspects = self._suspects, []
            try:
                await self._stream.refresh()
            except OperationalError as error:
                logger.warning("what was given back counts as lost: %s", error)
            lost: list[Arrived] = []
            returned_often: list[Arrived] = []
            for arrived in suspects:
                if arrived.channel.closed is not None:
                    continue
                if not self._stream.was_returned(task_id_of(arrived.incoming.properties)):
                    lost.append(arrived)
                elif returns_of(arrived.incoming) >= MANY_RETURNS:
                    returned_often.append(arrived)
                else:
                    self._found(arrived)
            await self._replace(lost, losses=1)
            await self._replace(returned_often, losses=0)
            self._over()

    async def _replace(self, arrived: Sequence[Arrived], losses: int) -> None:
        """Put copies in the place of messages, with so many losses more."""
        copies: list[tuple[Publication, Arrived]] = []
        for each in arrived:
            try:
                copies.append((copy_of(each.incoming, each.queue, losses), each))
            except CorruptMessage:
                self._found(each)  # admission says what it is
        if not copies:
            return
        try:
            failures = await self._publisher.deliver([copy for copy, _ in copies])
        except OperationalError as error:
            logger.error("%d messages that came back could not be counted: %s", len(copies), error)
            for _, each in copies:
                if each.channel.closed is None:
                    self._found(each)
            return
        failed = {id(publication) for publication, _ in failures}
        for channel, tags in _by_channel([each for copy, each in copies if id(copy) not in failed]).items():
            channel.acknowledge(tags)
        for copy, each in copies:
            if id(copy) in failed and each.channel.closed is None:
                self._found(each)


def _by_channel(arrived: Sequence[Arrived]) -> dict[Channel, list[int]]:
    tags: dict[Channel, list[int]] = {}
    for each in arrived:
        if each.channel.closed is None:
            tags.setdefault(each.channel, []).append(each.incoming.tag)
    return tags


def returns_of(incoming: Incoming) -> int:
    """How often a quorum queue got the message back; 0 on classic queues, which do not count."""
    try:
        found = (Properties.decode(incoming.properties).headers or {}).get(DELIVERY_COUNT)
    except CorruptMessage:
        return 0
    return found if isinstance(found, int) else 0


def copy_of(incoming: Incoming, queue: str, losses: int) -> Publication:
    """A copy of a message for its queue, with ``losses`` more and a fresh count of returns.

    Raises:
        CorruptMessage: it has no properties that could be read.
    """
    marks = marks_of(Properties.decode(incoming.properties).headers or {})
    marks = msgspec.structs.replace(marks, losses=marks.losses + losses)
    return Publication("", queue, remarked(incoming.properties, marks), incoming.body)
