"""The memory store, synchronous: what clients need, from any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from celeriac import exceptions
from celeriac.stores.memory.results import ResultWait
from celeriac.stores.memory.state import State
from celeriac.stores.memory.store import CAPABILITIES, timeout_text
from celeriac.stores.memory.waiting import ThreadWaiter
from celeriac.stores.store import Document, Outgoing, ResultRecord, Revocation

__all__ = ["SyncMemoryStore"]


class SyncMemoryStore:
    """A :class:`~celeriac.stores.store.SyncStore` on a shared :class:`~celeriac.stores.memory.state.State`."""

    capabilities = CAPABILITIES

    def __init__(self, state: State) -> None:
        self._state = state
        self._open = True
        self._waiters: set[ThreadWaiter] = set()

    def close(self) -> None:
        """End what waits. Idempotent."""
        self._open = False
        for waiter in list(self._waiters):
            waiter.wake()

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Store all messages."""
        self._shared().publish(messages)

    def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Store results; a SUCCESS is never replaced by another state."""
        self._shared().store_results(records)

    def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The stored results, None where there is none."""
        return self._shared().results(task_ids)

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> Iterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.Store.wait`."""
        state = self._shared()
        deadline = None if timeout is None else state.clock.now() + timeout
        waiter = ThreadWaiter()
        wait = ResultWait(task_ids, ready, waiter)
        self._waiters.add(waiter)
        try:
            with state.awaiting(wait):
                while True:
                    yield from state.take_ready(wait)
                    if not wait.awaited:
                        return
                    self._shared()
                    if deadline is not None and state.clock.now() >= deadline:
                        raise exceptions.TimeoutError(timeout_text(wait, timeout))
                    waiter.sleep(None if deadline is None else state.clock.sleep_for(deadline))
        finally:
            self._waiters.discard(waiter)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Drop the results of these tasks."""
        self._shared().forget(task_ids)

    def store_documents(self, documents: Sequence[Document]) -> None:
        """Store documents; a later one of the same kind and id replaces the earlier."""
        self._shared().store_documents(documents)

    def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """The payloads of documents, None where there is none."""
        return self._shared().documents(kind, ids)

    def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Drop documents."""
        self._shared().drop_documents(kind, ids)

    def chord_parts(self, group_id: str) -> list[bytes]:
        """The payloads of the parts that were counted, in the order of the members' positions."""
        return self._shared().chord_parts(group_id)

    def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """Store the revocations for ``lifetime`` seconds and tell those who watch for them."""
        self._shared().revoke(revocations, lifetime)

    def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        """Hand a payload to all inboxes of the exchange; they get it whatever the routing key is."""
        self._shared().broadcast(exchange, payload)

    def _shared(self) -> State:
        if not self._open:
            raise exceptions.OperationalError("this memory:// store is closed")
        return self._state
