"""The memory store, asynchronous: the real rules, in one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from celeriac import exceptions
from celeriac.stores.memory.results import ResultWait
from celeriac.stores.memory.state import Holder, Inbox, State
from celeriac.stores.memory.waiting import LoopWaiter
from celeriac.stores.options import StoreOptions
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

__all__ = ["CAPABILITIES", "MemoryStore"]

CAPABILITIES = Capabilities(between_processes=False, survives_restart=False)


class MemoryStore:
    """A :class:`~celeriac.stores.store.Store` on a shared :class:`~celeriac.stores.memory.state.State`.

    Stores of one name may be used in several event loops and threads at once, each store in one of them.
    """

    capabilities = CAPABILITIES

    def __init__(self, state: State, options: StoreOptions) -> None:
        self._state = state
        self._holder = Holder(options)
        self._waiters: set[LoopWaiter] = set()
        self._open = False

    async def open(self) -> None:
        """Take part from now on."""
        self._state.add_holder(self._holder)
        self._open = True

    async def close(self) -> None:
        """End what waits. Nothing is ever received and not delivered here: claiming and returning is one step."""
        self._open = False
        for waiter in list(self._waiters):
            waiter.wake()

    async def declare(self, queues: Sequence[str]) -> None:
        """Do nothing: queues need no preparation here."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """See :meth:`celeriac.stores.store.Store.publish`."""
        self._shared().publish(messages)

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> Received:
        """See :meth:`celeriac.stores.store.Store.receive`."""
        state = self._shared()
        received = state.claim(self._holder, queues, limit)
        if received.deliveries or limit <= 0 or timeout <= 0:
            return received
        deadline = state.clock.now() + timeout
        waiter = LoopWaiter()
        self._waiters.add(waiter)
        try:
            with state.receiving(queues, waiter):
                while self._open:
                    received = state.claim(self._holder, queues, limit)
                    if received.deliveries or state.clock.now() >= deadline:
                        return received
                    change = state.next_change(queues)
                    until = deadline if change is None else min(deadline, change)
                    await waiter.sleep(state.clock.sleep_for(until))
        finally:
            self._waiters.discard(waiter)
        return received

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        """See :meth:`celeriac.stores.store.Store.settle`."""
        return self._shared().settle(self._holder, settlements, queues, limit)

    async def renew(self, claims: Sequence[bytes]) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.renew`."""
        return self._shared().renew(self._holder, claims)

    async def counts(self, queues: Sequence[str]) -> dict[str, QueueCounts]:
        """How many messages of each queue are where."""
        return self._shared().counts(queues)

    async def queues(self) -> list[str]:
        """The names of all queues that hold any message."""
        return self._shared().queues()

    async def peek(self, queue: str, limit: int) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.peek`."""
        return self._shared().peek(self._holder, queue, limit)

    async def purge(self, queue: str) -> int:
        """Drop all ready and held messages of a queue; returns how many."""
        return self._shared().purge(queue)

    async def dead_letters(self, limit: int = 1000, queue: str | None = None) -> list[DeadLetter]:
        """The newest dead letters first."""
        return self._shared().dead_letters(limit, queue)

    async def dead_letter(self, id: str) -> DeadLetter | None:  # noqa: A002 - the interface's name
        """One dead letter, None when there is none of that id."""
        return self._shared().dead_letter(id)

    async def replay(self, ids: Sequence[str]) -> int:
        """Move dead letters back to their queues with a fresh count of losses; returns how many there were."""
        return self._shared().replay(ids)

    async def drop(self, ids: Sequence[str]) -> int:
        """Delete dead letters; returns how many there were."""
        return self._shared().drop(ids)

    async def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Store results; a SUCCESS is never replaced by another state."""
        self._shared().store_results(records)

    async def record(self, settlements: Sequence[Settlement], published: Sequence[str] = ()) -> list[Recorded]:
        """See :meth:`celeriac.stores.store.Store.record`."""
        return self._shared().record(settlements, published)

    async def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The stored results, None where there is none."""
        return self._shared().results(task_ids)

    async def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.Store.wait`."""
        state = self._shared()
        deadline = None if timeout is None else state.clock.now() + timeout
        waiter = LoopWaiter()
        wait = ResultWait(task_ids, ready, waiter)
        self._waiters.add(waiter)
        try:
            with state.awaiting(wait):
                while True:
                    for found in state.take_ready(wait):
                        yield found
                    if not wait.awaited:
                        return
                    self._shared()
                    if deadline is not None and state.clock.now() >= deadline:
                        raise exceptions.TimeoutError(timeout_text(wait, timeout))
                    await waiter.sleep(None if deadline is None else state.clock.sleep_for(deadline))
        finally:
            self._waiters.discard(waiter)

    async def forget(self, task_ids: Sequence[str]) -> None:
        """Drop the results of these tasks."""
        self._shared().forget(task_ids)

    async def store_documents(self, documents: Sequence[Document]) -> None:
        """Store documents; a later one of the same kind and id replaces the earlier."""
        self._shared().store_documents(documents)

    async def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """The payloads of documents, None where there is none."""
        return self._shared().documents(kind, ids)

    async def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Drop documents."""
        self._shared().drop_documents(kind, ids)

    async def chord_parts(self, group_id: str) -> list[bytes]:
        """The payloads of the parts that were counted, in the order of the members' positions."""
        return self._shared().chord_parts(group_id)

    async def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """Store the revocations for ``lifetime`` seconds and tell those who watch for them."""
        self._shared().revoke(revocations, lifetime)

    async def revocations(self, after: int = 0) -> tuple[int, list[Revocation]]:
        """The count now, and the revocations stored after the count ``after``."""
        return self._shared().revocations(after)

    async def claim_once(self, name: str, slot: str, lifetime: float) -> bool:
        """True for exactly one caller of that name and slot within ``lifetime`` seconds."""
        return self._shared().claim_once(name, slot, lifetime)

    async def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        """Hand a payload to all inboxes of the exchange; they get it whatever the routing key is."""
        self._shared().broadcast(exchange, payload)

    async def inbox(self, exchange: str) -> AsyncIterator[bytes]:
        """What is broadcast to the exchange from the first iteration on; ends when the store is closed."""
        state = self._shared()
        waiter = LoopWaiter()
        inbox = Inbox(waiter)
        self._waiters.add(waiter)
        state.add_inbox(exchange, inbox)
        try:
            while self._open:
                while inbox.payloads:
                    yield inbox.payloads.popleft()
                await waiter.sleep(None)
        finally:
            state.remove_inbox(exchange, inbox)
            self._waiters.discard(waiter)

    def _shared(self) -> State:
        if not self._open:
            raise exceptions.OperationalError("this memory:// store is closed, or was never opened: call open() first")
        return self._state


def timeout_text(wait: ResultWait, timeout: float | None) -> str:
    """The sentence for a wait that took too long."""
    waiting = sorted(wait.awaited)
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    return f"no result of task {waiting[0]}{more} after {timeout} seconds"
