"""The embedded store, asynchronous: broker and result backend in one file."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from celeriac.exceptions import OperationalError
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import (
    administration,
    claiming,
    control,
    dead,
    publishing,
    recording,
    results,
    sweeping,
    waiters,
    workflows,
)
from celeriac.stores.sqlite.bell import LoopBell
from celeriac.stores.sqlite.claiming import Holder
from celeriac.stores.sqlite.database import Database
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.receiving import LOOK_INTERVAL, QUICK, Receiver
from celeriac.stores.sqlite.transaction import Transaction
from celeriac.stores.sqlite.watching import Watch
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

__all__ = ["CAPABILITIES", "SQLiteStore", "patience_of"]

CAPABILITIES: Final = Capabilities()

SWEEP_INTERVAL: Final = 5.0
"""Seconds between two sweeps for what has expired."""
SOCKET_SWEEP_INTERVAL: Final = 600.0
"""Seconds between two sweeps for the sockets of the dead: they cost nothing but a file and a row."""
ATTEMPT: Final = 1.0
"""Seconds that count as one attempt of ``max_retries``, for a store whose only way to be unreachable is a lock."""
FOREVER: Final = float("inf")


class SQLiteStore:
    """A :class:`~celeriac.stores.store.Store` on one SQLite file.

    Args:
        path: the file.
        options: of the store.
        clock: the store's time; this host's, as the file is on this host.
    """

    capabilities = CAPABILITIES

    def __init__(self, path: Path, options: StoreOptions, clock: Callable[[], float] = time.time) -> None:
        self._options = options
        self._clock = clock
        self._file = StoreFile(path, options.synchronous, clock)
        self._database = Database(self._file, patience_of(options))
        self._holder = Holder(options)
        self._receiver: Receiver | None = None
        self._watch: Watch | None = None
        self._inboxes: set[LoopBell] = set()
        self._swept = self._swept_sockets = 0.0

    async def open(self) -> None:
        """Open the file, make it when it is not there, and bring it to this release's schema.

        Raises:
            BrokerUnreachable, StoreError, ImproperlyConfigured: the file cannot be used, and why.
        """
        self._database.start()
        try:
            await self._database.submit(self._remove_dead_sockets)
            bell = LoopBell(self._file.folder)
        except BaseException:
            await self._database.stop()
            raise
        self._receiver = Receiver(self._database, self._holder, bell, self._clock)

    async def close(self) -> None:
        """Give back what was received and not delivered to the caller; then disconnect. Idempotent."""
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        await receiver.close()
        gone = [bell.name for bell in self._inboxes]
        if self._watch is not None:
            gone.append(self._watch.name)
            self._watch.close()
        for bell in self._inboxes:
            bell.close()
        self._inboxes.clear()
        if gone:
            await self._database.submit(partial(waiters.forget, sockets=gone))
        await self._database.stop()
        self._file.folder.close()

    async def declare(self, queues: Sequence[str]) -> None:
        """Do nothing: queues need no preparation here."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """See :meth:`celeriac.stores.store.Store.publish`."""
        if messages:
            await self._database.submit(partial(publishing.publish, messages=messages))

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> Received:
        """See :meth:`celeriac.stores.store.Store.receive`."""
        return await self._receiving().receive(tuple(dict.fromkeys(queues)), limit, timeout)

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        """See :meth:`celeriac.stores.store.Store.settle`."""
        return await self._receiving().settle(settlements, tuple(dict.fromkeys(queues)), limit)

    async def renew(self, claims: Sequence[bytes]) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.renew`; now and then what has expired is deleted beside it."""
        lost = await self._database.submit(partial(self._renew, claims=claims))
        now = time.monotonic()
        if now - self._swept >= SWEEP_INTERVAL:
            self._swept = now
            self._sweep(now + SWEEP_INTERVAL / 2)
        return lost

    async def counts(self, queues: Sequence[str]) -> dict[str, QueueCounts]:
        """How many messages of each queue are where."""
        return {
            queue: await self._database.submit(partial(administration.counts, queue=queue), only_reads=True)
            for queue in queues
        }

    async def queues(self) -> list[str]:
        """The names of all queues that hold any message."""
        return await self._database.submit(administration.queues, only_reads=True)

    async def peek(self, queue: str, limit: int) -> list[bytes]:
        """See :meth:`celeriac.stores.store.Store.peek`."""
        return await self._database.submit(partial(claiming.peek, holder=self._holder, queue=queue, limit=limit))

    async def purge(self, queue: str) -> int:
        """Drop all ready and held messages of a queue that were there at the call; returns how many."""
        last_id = await self._database.submit(administration.last_message_id, only_reads=True)
        step = partial(administration.purge_step, queue=queue, last_id=last_id)
        purged = 0
        while dropped := await self._database.submit(step):
            purged += dropped
        return purged

    async def dead_letters(self, limit: int = 1000, queue: str | None = None) -> list[DeadLetter]:
        """The newest dead letters first."""
        return await self._database.submit(partial(dead.newest, limit=limit, queue=queue), only_reads=True)

    async def dead_letter(self, id: str) -> DeadLetter | None:  # noqa: A002 - the interface's name
        """One dead letter, None when there is none of that id."""
        return await self._database.submit(partial(dead.find, letter_id=id), only_reads=True)

    async def replay(self, ids: Sequence[str]) -> int:
        """Move dead letters back to their queues with a fresh count of losses; returns how many there were."""
        return await self._database.submit(partial(dead.replay, letter_ids=ids))

    async def drop(self, ids: Sequence[str]) -> int:
        """Delete dead letters; returns how many there were."""
        return await self._database.submit(partial(dead.drop, letter_ids=ids))

    async def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Store results; a SUCCESS is never replaced by another state."""
        if records:
            await self._database.submit(partial(results.store, records=records))

    async def record(self, settlements: Sequence[Settlement], published: Sequence[str] = ()) -> list[Recorded]:
        """See :meth:`celeriac.stores.store.Store.record`."""
        operation = partial(recording.record, settlements=settlements, published=published)
        return await self._database.submit(operation, quick=len(settlements) <= QUICK)

    async def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The stored results, None where there is none."""
        return await self._database.submit(partial(results.read, task_ids=task_ids), only_reads=True)

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.Store.wait`."""
        self._receiving()
        if self._watch is None:
            self._watch = Watch(self._database, self._file.folder, self._options.publish_timeout)
        return self._watch.wait(task_ids, ready, timeout)

    async def forget(self, task_ids: Sequence[str]) -> None:
        """Drop the results of these tasks."""
        await self._database.submit(partial(results.forget, task_ids=task_ids))

    async def store_documents(self, documents: Sequence[Document]) -> None:
        """Store documents; a later one of the same kind and id replaces the earlier."""
        await self._database.submit(partial(workflows.store_documents, stored=documents))

    async def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """The payloads of documents, None where there is none."""
        return await self._database.submit(partial(workflows.documents, kind=kind, ids=ids), only_reads=True)

    async def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Drop documents."""
        await self._database.submit(partial(workflows.drop_documents, kind=kind, ids=ids))

    async def chord_parts(self, group_id: str) -> list[bytes]:
        """The payloads of the parts that were counted, in the order of the members' positions."""
        return await self._database.submit(partial(workflows.parts, group_id=group_id), only_reads=True)

    async def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """Store the revocations for ``lifetime`` seconds and tell those who watch for them."""
        await self._database.submit(partial(control.revoke, revoked=revocations, lifetime=lifetime))

    async def revocations(self, after: int = 0) -> tuple[int, list[Revocation]]:
        """The count now, and the revocations stored after the count ``after``."""
        return await self._database.submit(partial(control.revocations, after=after), only_reads=True)

    async def claim_once(self, name: str, slot: str, lifetime: float) -> bool:
        """True for exactly one caller of that name and slot within ``lifetime`` seconds."""
        return await self._database.submit(partial(control.claim_once, name=name, slot=slot, lifetime=lifetime))

    async def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        """Hand a payload to all inboxes of the exchange; they get it whatever the routing key is."""
        await self._database.submit(partial(control.broadcast, exchange=exchange, payload=payload))

    async def inbox(self, exchange: str) -> AsyncIterator[bytes]:
        """What is broadcast to the exchange from the first iteration on; ends when the store is closed."""
        self._receiving()
        bell = LoopBell(self._file.folder)
        self._inboxes.add(bell)
        try:
            last = await self._database.submit(partial(control.listen, exchange=exchange, socket=bell.name))
            while bell in self._inboxes:
                ring = bell.expect()
                read = partial(control.read_broadcasts, exchange=exchange, after=last)
                found = await self._database.submit(read, only_reads=True)
                for number, payload in found:
                    last = number
                    yield payload
                if found:
                    ring.cancel()
                else:
                    await bell.sleep(ring, LOOK_INTERVAL)
        finally:
            if bell in self._inboxes:
                self._inboxes.discard(bell)
                bell.close()
                self._database.post(partial(control.unlisten, exchange=exchange, socket=bell.name))

    def _receiving(self) -> Receiver:
        if self._receiver is None:
            raise OperationalError("this store is closed, or was never opened: call open() first")
        return self._receiver

    def _renew(self, transaction: Transaction, claims: Sequence[bytes]) -> list[bytes]:
        lost = claiming.renew(transaction, claims, self._options.lease)
        claiming.end_expired(transaction, self._holder)
        return lost

    def _sweep(self, until: float) -> None:
        """Delete what has expired, one step after the other, so that others get the lock between."""
        if time.monotonic() - self._swept_sockets >= SOCKET_SWEEP_INTERVAL:
            self._database.post(self._remove_dead_sockets)
        step = self._database.submit(sweeping.sweep)

        def go_on(_: object) -> None:
            if step.exception() is None and step.result() and self._receiver and time.monotonic() < until:
                self._sweep(until)

        step.add_done_callback(go_on)

    def _remove_dead_sockets(self, transaction: Transaction) -> None:
        self._swept_sockets = time.monotonic()
        folder = self._file.folder
        known = {*waiters.registered(transaction), *folder.names()}
        gone = [name for name in known if not folder.is_alive(name)]
        waiters.forget(transaction, gone)
        for name in gone:
            folder.remove(name)


def patience_of(options: StoreOptions) -> float:
    """Seconds that the store may stay locked before an operation fails."""
    if not options.retry:
        return options.publish_timeout
    return FOREVER if options.max_retries is None else options.max_retries * ATTEMPT
