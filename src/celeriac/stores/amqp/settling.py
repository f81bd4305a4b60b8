"""Settling: what is to be published first, confirmed; then the acknowledgements.

AMQP has no step that does both. A crash between leaves the message unacknowledged: it is delivered again and its
follow-ups are published once more, with the same ids. What only ends is acknowledged at once, with nothing to wait for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import msgspec

from celeriac.exceptions import CorruptMessage, EncodeError
from celeriac.stores.amqp import ladder
from celeriac.stores.amqp.acknowledging import Acknowledging
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.claims import Claims, Held
from celeriac.stores.amqp.dead import letter
from celeriac.stores.amqp.effects import replies_of_effects
from celeriac.stores.amqp.publishing import Publisher
from celeriac.stores.amqp.replies import ReplyWriter
from celeriac.stores.amqp.topology import Topology
from celeriac.stores.amqp.translation import Marks, remarked
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Disposition, Outgoing, ResultRecord, Settlement

__all__ = ["Settling"]

logger = logging.getLogger("celeriac.stores.amqp")


class Settling:
    """Settles for one store.

    Args:
        claims: what may be settled.
        publisher: publishes.
        topology: what the queues are.
        options: ``dead_letter_queue`` and ``dead_letter_expires`` count.
        results: how results are sent; None sends none.
    """

    def __init__(
        self,
        claims: Claims,
        publisher: Publisher,
        topology: Topology,
        options: StoreOptions,
        results: StoreOptions | None = None,
    ) -> None:
        self._claims = claims
        self._topology = topology
        self._publisher = publisher
        self._options = options
        self._writer = None if results is None else ReplyWriter(results.result_content, results.result_persistent)
        self.acknowledging = Acknowledging(claims)
        self._under_way: dict[bytes, asyncio.Task[None]] = {}

    async def settle(self, settlements: Sequence[Settlement]) -> list[bytes]:
        """Settle each; returns the claims that are not ours (any more), of which nothing was done.

        Raises:
            OperationalError, BrokerUnreachable: it is not known what was published; nothing of that is acknowledged.
        """
        refused: list[bytes] = []
        ended: list[Settlement] = []
        others: list[Settlement] = []
        said: set[bytes] = set()
        waited: list[asyncio.Task[None]] = []
        claims, under_way = self._claims, self._under_way
        for settlement in settlements:
            claim = settlement.claim
            if settlement.disposition is Disposition.NONE:
                others.append(settlement)
            elif claim in under_way:
                waited.append(under_way[claim])
            elif claim in said:
                continue
            elif claim not in claims:
                refused.append(claim)
            else:
                said.add(claim)
                (ended if _ends(settlement) else others).append(settlement)
        answers = self._answers(ended)
        if answers:
            waited.append(self._begin(ended, self._answer(ended, answers)))
        else:
            self._end(ended)
        if others:
            waited.append(self._begin(others, self._settle_others(others)))
        for task in waited:
            await asyncio.shield(task)
        return refused

    def _begin(self, settlements: Sequence[Settlement], work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Settle in a task of its own: a caller who is cancelled and settles again must not publish twice."""
        task = asyncio.create_task(work)
        claims = [settlement.claim for settlement in settlements if settlement.claim]
        self._under_way.update(dict.fromkeys(claims, task))
        task.add_done_callback(partial(self._done, claims))
        return task

    def _done(self, claims: Sequence[bytes], task: asyncio.Task[None]) -> None:
        for claim in claims:
            self._under_way.pop(claim, None)
        if not task.cancelled():
            task.exception()  # whoever waited has heard of it

    def _answers(self, settlements: Sequence[Settlement]) -> list[Publication]:
        """The results on their way to those who wait for them."""
        if self._writer is None:
            return []
        answer, get = self._writer.answer, self._claims.get
        answers: list[Publication] = []
        for settlement in settlements:
            if settlement.result is not None and (held := get(settlement.claim)) is not None:
                written = answer(settlement.result, held.incoming.properties)
                if written is not None:
                    answers.append(written)
        return answers

    async def _answer(self, settlements: Sequence[Settlement], answers: Sequence[Publication]) -> None:
        assert self._writer is not None
        await self._publisher.reply(answers, persistent=self._writer.persistent)
        self._end(settlements)

    async def _settle_others(self, settlements: Sequence[Settlement]) -> None:
        publications: list[Publication] = []
        follow_ups: dict[int, Settlement] = {}
        now = time.time()
        for settlement in settlements:
            for message in settlement.follow_ups:
                for publication in self._written(message, now):
                    follow_ups[id(publication)] = settlement
                    publications.append(publication)
            held = self._claims.get(settlement.claim)
            if settlement.result is not None and self._writer is not None:
                publications += _replies(settlement.result, held, self._writer)
            if settlement.effects is not None and self._writer is not None:
                publications += replies_of_effects(settlement.effects, held, self._writer)
            if held is None:
                continue
            if settlement.disposition is not Disposition.ACKNOWLEDGE and not self._keeps_place(settlement, held):
                publications += self._moved(settlement, held, now)
        if publications:
            await self._publish(publications, follow_ups)
        self._end(settlements)

    def _written(self, message: Outgoing, now: float) -> list[Publication]:
        """A follow-up as it is published; one that AMQP cannot carry is a dead letter that says why."""
        try:
            return self._publisher.addressing.publications([message], now)
        except (EncodeError, CorruptMessage) as error:
            logger.error("A follow-up goes to the dead letters: %s", error)
            return [
                letter(
                    b"\0\0", message.payload, message.queue, f"{type(error).__name__}: {error}", 0, now, self._options
                )
            ]

    def _moved(self, settlement: Settlement, held: Held, now: float) -> list[Publication]:
        """The copy of a message that goes elsewhere."""
        incoming, marks = held.incoming, held.marks
        match settlement.disposition:
            case Disposition.HOLD:
                delay = settlement.delay if settlement.due is None else settlement.due - now
                marks = Marks(marks.losses, marks.holds + settlement.counted, settlement.granted)
                properties = _remarked(incoming.properties, marks)
                milliseconds = ladder.milliseconds(delay)
                return [self._publisher.addressing.addressed(held.queue, properties, incoming.body, milliseconds)]
            case Disposition.REDELIVER | Disposition.GIVE_BACK:
                lost = settlement.disposition is Disposition.REDELIVER
                marks = msgspec.structs.replace(marks, losses=marks.losses + lost)
                return [Publication("", held.queue, _remarked(incoming.properties, marks), incoming.body)]
            case _:
                return [
                    letter(
                        incoming.properties,
                        incoming.body,
                        held.queue,
                        settlement.reason,
                        marks.losses,
                        now,
                        self._options,
                    )
                ]

    async def _publish(self, publications: list[Publication], follow_ups: dict[int, Settlement]) -> None:
        failures = await self._publisher.deliver(publications)
        dead: list[Publication] = []
        for publication, error in failures:
            if id(publication) not in follow_ups:
                raise error
            # The task has run; that its follow-up has nowhere to go must neither undo that nor be forgotten.
            target = publication.exchange or publication.routing_key
            logger.error("A follow-up goes to the dead letters: %s", error)
            dead.append(
                letter(publication.properties, publication.body, target, str(error), 0, time.time(), self._options)
            )
        if dead:
            failures = await self._publisher.deliver(dead)
            if failures:
                raise failures[0][1]

    def _keeps_place(self, settlement: Settlement, held: Held) -> bool:
        """The server returns the message to its place in its queue; else a copy is to take its place."""
        gives_back = settlement.disposition is Disposition.GIVE_BACK
        return gives_back and not held.parked and not self._topology.is_quorum(held.queue)

    def _end(self, settlements: Sequence[Settlement]) -> None:
        """Acknowledge or return the messages; those whose channel closed meanwhile come back by themselves."""
        acknowledged: dict[Channel, list[int]] = {}
        returned: dict[Channel, list[int]] = {}
        for settlement in settlements:
            held = self._claims.pop(settlement.claim) if settlement.claim else None
            if held is not None:
                ends = returned if self._keeps_place(settlement, held) else acknowledged
                ends.setdefault(held.channel, []).append(held.incoming.tag)
        for channel, tags in acknowledged.items():
            self.acknowledging.acknowledge(channel, tags)
        for channel, tags in returned.items():
            channel.reject(tags, requeue=True)


def _remarked(raw: bytes, marks: Marks) -> bytes:
    try:
        return remarked(raw, marks)
    except CorruptMessage:
        return raw


def _ends(settlement: Settlement) -> bool:
    """Nothing but its result is to be published for it."""
    return (
        settlement.disposition is Disposition.ACKNOWLEDGE and not settlement.follow_ups and settlement.effects is None
    )


def _replies(record: ResultRecord, held: Held | None, writer: ReplyWriter) -> list[Publication]:
    """A result on its way to whoever waits for it; nothing when nobody does."""
    if held is not None:
        written = writer.answer(record, held.incoming.properties)
        return [] if written is None else [written]
    return [writer.write(record)] if record.reply_to else []
