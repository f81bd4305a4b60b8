"""A worker's store in a simulation: every call travels to the broker and back, and may be lost on either way.

It behaves as the real ones do: a call whose connection breaks is sent again, until the store has been unreachable for
longer than its patience; one that is cancelled loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from celeriac.exceptions import BrokerUnreachable, OperationalError, UnsupportedOption
from celeriac.stores.store import (
    Capabilities,
    DeadLetter,
    Document,
    Outgoing,
    QueueCounts,
    Received,
    Recorded,
    ResultRecord,
    Revocation,
    Settlement,
)
from celeriac.testing.inbox import Inbox
from celeriac.testing.journey import BROKEN, Journey

if TYPE_CHECKING:
    from celeriac.testing.broker import Broker
    from celeriac.testing.ledger import Ledger
    from celeriac.testing.process import Process

__all__ = ["SimulatedStore"]

T = TypeVar("T")

LONGEST_PAUSE: Final = 0.5
"""Seconds between two attempts."""


class SimulatedStore:
    """A :class:`~celeriac.stores.store.Store` of one simulated process.

    Args:
        process: whose it is.
        broker: where it leads to.
        patience: seconds after which a call that cannot reach the broker raises OperationalError.
        atomic: it settles with follow-ups in one step; else it says that it does not.
    """

    def __init__(self, process: Process, broker: Broker, ledger: Ledger, patience: float, atomic: bool = True) -> None:
        self.capabilities = Capabilities(between_processes=False, survives_restart=False, atomic=atomic)
        self.worker = process.name
        self.holder = broker.connect()
        self.process = process
        self._world = process.world
        self._network = broker.network
        self.broker = broker
        self.ledger = ledger
        self._patience = patience
        self._inboxes: list[Inbox] = []
        process.at_death.append(self._died)

    async def open(self) -> None:
        """Connect.

        Raises:
            BrokerUnreachable: it does not answer in time.
        """
        try:
            await self._do("open", lambda: None)
        except OperationalError as error:
            raise BrokerUnreachable(str(error)) from None

    async def close(self) -> None:
        """Hang up; what was not delivered to the caller goes back by itself."""
        self.broker.hang_up(self)
        for inbox in list(self._inboxes):
            inbox.close()

    async def declare(self, queues: Sequence[str]) -> None:
        """Nothing is to be declared."""

    # -- messages ----------------------------------------------------------------------------------------------------

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """See :meth:`celeriac.stores.store.Store.publish`."""
        await self._do("publish", lambda: self.broker.publish(messages))

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> Received:
        """See :meth:`celeriac.stores.store.Store.receive`."""
        earlier: list[Received] = []

        def effect(journey: Journey[Received]) -> None:
            self._take_back(earlier)

            def answer(received: Received) -> None:
                earlier.append(received)
                journey.back(received)

            self.broker.receive(self, queues, limit, timeout, answer, journey.broken)

        return await self._ask("receive", effect, self._unread)

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        """See :meth:`celeriac.stores.store.Store.settle`."""
        earlier: list[Received] = []
        refused: list[list[bytes]] = []

        def effect(journey: Journey[Received]) -> None:
            self._take_back(earlier)
            if refused:
                received = self.broker.claim_again(self, queues, limit, refused[0])
            else:
                received = self.broker.settle(self, settlements, queues, limit)
                refused.append(received.refused)
            earlier.append(received)
            journey.back(received)

        try:
            return await self._ask("settle", effect, self._unread)
        except OperationalError:
            self.ledger.surrendered.add(self.worker)
            raise

    async def renew(self, claims: Sequence[bytes]) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.renew`."""
        return await self._do("renew", lambda: self.broker.renew(self, claims))

    async def revocations(self, after: int = 0) -> tuple[int, list[Revocation]]:
        """See :meth:`celeriac.stores.store.Store.revocations`."""
        return await self._do("revocations", lambda: self.broker.state.revocations(after))

    def inbox(self, exchange: str) -> AsyncIterator[bytes]:
        """What is broadcast; a word that the network loses is lost, as with real ones."""
        return Inbox(self)

    # -- the journey -------------------------------------------------------------------------------------------------

    async def _do(self, label: str, act: Callable[[], T]) -> T:
        """Do something at the broker that is harmless to repeat."""
        return await self._ask(label, lambda journey: journey.back(act()))

    async def _ask(
        self, label: str, effect: Callable[[Journey[T]], None], unread: Callable[[T], None] | None = None
    ) -> T:
        """Let something take effect at the broker, and bring its reply.

        Args:
            label: for the trace.
            effect: done at the broker each time that the call arrives there.
            unread: told of a reply that nobody waits for any more.
        """
        world = self._world
        give_up = world.now + self._patience
        while True:
            journey = Journey(self, label, effect, unread)
            journey.go()
            value = await journey.answer
            if value is not BROKEN:
                return value  # type: ignore[no-any-return]
            if world.now >= give_up:
                raise OperationalError(
                    f"the simulated broker could not be reached for {self._patience:.1f} s ({label})"
                )
            await asyncio.sleep(world.random.uniform(0.0, LONGEST_PAUSE))

    def _unread(self, received: Received) -> None:
        """A reply came to a call that was cancelled: its messages go back."""
        if received.deliveries:
            self._give_back([received])

    def _give_back(self, received: list[Received]) -> None:
        trip = self._network.trip()
        if trip is None:  # their leases do it
            self.ledger.trouble(self.worker)
        else:
            self._world.after(trip, lambda: self._take_back(received))

    def _take_back(self, earlier: list[Received]) -> None:
        """At the broker: what was leased for replies that were lost."""
        while earlier:
            self.broker.take_back(self, earlier.pop())

    def _died(self) -> None:
        """The broker notices the end of a client a while later, and may lease messages to it until then."""
        self._world.after(self._network.notice(), lambda: self.broker.hang_up(self))
        for inbox in list(self._inboxes):
            self.unlisten(inbox)

    # -- inboxes -----------------------------------------------------------------------------------------------------

    def listen(self, inbox: Inbox) -> None:
        """An inbox is told from now on what is broadcast."""
        self._inboxes.append(inbox)
        self.broker.inboxes.append(inbox.tell)

    def unlisten(self, inbox: Inbox) -> None:
        """An inbox is told nothing more."""
        if inbox in self._inboxes:
            self._inboxes.remove(inbox)
            self.broker.inboxes.remove(inbox.tell)

    def carry(self, inbox: Inbox) -> None:
        """A word travels to an inbox, or is lost."""
        trip = self._network.trip()
        if trip is not None:
            self._world.after(trip, lambda: self.process.call_soon(inbox.put))

    # -- what no worker asks for -------------------------------------------------------------------------------------

    async def counts(self, queues: Sequence[str]) -> dict[str, QueueCounts]:
        """How many messages of each queue are where."""
        return self.broker.state.counts(queues)

    async def queues(self) -> list[str]:
        """The names of all queues that hold any message."""
        return self.broker.state.queues()

    async def peek(self, queue: str, limit: int) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.peek`."""
        return self.broker.state.peek(self.holder, queue, limit)

    async def purge(self, queue: str) -> int:
        """Simulations lose nothing on purpose."""
        raise _unsupported("purge")

    async def dead_letters(self, limit: int = 1000, queue: str | None = None) -> list[DeadLetter]:
        """The newest dead letters first."""
        return self.broker.state.dead_letters(limit, queue)

    async def dead_letter(self, id: str) -> DeadLetter | None:  # noqa: A002  # as DeadLetter.id
        """One dead letter, None when there is none of that id."""
        return self.broker.state.dead_letter(id)

    async def replay(self, ids: Sequence[str]) -> int:
        """Simulations judge the first life of a message."""
        raise _unsupported("replay")

    async def drop(self, ids: Sequence[str]) -> int:
        """Simulations lose nothing on purpose."""
        raise _unsupported("drop")

    async def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Store results; a SUCCESS is never replaced by another state."""
        await self._do("store", lambda: self.broker.state.store_results(records))

    async def record(self, settlements: Sequence[Settlement], published: Sequence[str] = ()) -> list[Recorded]:
        """See :meth:`celeriac.stores.store.Store.record`."""
        return await self._do("record", lambda: self.broker.record(settlements, published))

    async def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The stored results, None where there is none."""
        return await self._do("results", lambda: self.broker.state.results(task_ids))

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Nobody waits for results in a simulation: its ledger knows them."""
        raise _unsupported("wait")

    async def forget(self, task_ids: Sequence[str]) -> None:
        """Drop the results of these tasks."""
        await self._do("forget", lambda: self.broker.state.forget(task_ids))

    async def store_documents(self, documents: Sequence[Document]) -> None:
        """See :meth:`celeriac.stores.store.Store.store_documents`."""
        await self._do("documents", lambda: self.broker.state.store_documents(documents))

    async def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """The payloads of documents, None where there is none."""
        return await self._do("documents", lambda: self.broker.state.documents(kind, ids))

    async def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Drop documents."""
        await self._do("documents", lambda: self.broker.state.drop_documents(kind, ids))

    async def chord_parts(self, group_id: str) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.chord_parts`."""
        return await self._do("parts", lambda: self.broker.state.chord_parts(group_id))

    async def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """See :meth:`celeriac.stores.store.Store.revoke`."""
        for each in revocations:
            self.broker.revoke(each.task_id, each.terminate)

    async def claim_once(self, name: str, slot: str, lifetime: float) -> bool:
        """See :meth:`celeriac.stores.store.Store.claim_once`."""
        return await self._do("once", lambda: self.broker.state.claim_once(name, slot, lifetime))

    async def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        """Workers broadcast nothing yet."""
        raise _unsupported("broadcast")


def _unsupported(what: str) -> UnsupportedOption:
    return UnsupportedOption(f"the simulated broker has no {what}")
