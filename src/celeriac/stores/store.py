"""What a store is: the one interface behind every broker and every result backend.

A store holds messages, results or both. The worker knows :class:`Store` (asynchronous, batched) and nothing else:
it receives deliveries, each under a lease, and settles them. Clients use :class:`SyncStore`, which only publishes,
reads and waits for results, revokes and broadcasts.

A lease is held on a *claim*, opaque bytes that name one delivery to one holder and fence it: once the lease is lost
(not renewed in time, and given to somebody else) everything that is said under the old claim is refused.

The rules that every store keeps, and that the conformance suite in ``tests/stores/conformance`` checks:

- A message is in exactly one place at every instant: ready, held, in flight, dead; a crash between two calls moves
  none.
- ``settle`` is one atomic step for each settlement: acknowledgement, result, follow-ups and effects happen together
  or, when the claim is stale, not at all. (A broker that is not able to says so in ``Capabilities.atomic``.)
- Time is the store's clock.
- A stored SUCCESS is never replaced by another state.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

__all__ = [
    "REVOCATIONS",
    "Capabilities",
    "ChordPart",
    "Completed",
    "DeadLetter",
    "Delivery",
    "Disposition",
    "Document",
    "Effects",
    "Outgoing",
    "QueueCounts",
    "Received",
    "Recorded",
    "ResultRecord",
    "Revocation",
    "Settlement",
    "Store",
    "SyncStore",
]


REVOCATIONS: Final = "celeriac.revocations"
"""The exchange that ``revoke`` broadcasts to; a worker that watches its ``inbox`` then reads ``revocations`` anew."""


class Outgoing(msgspec.Struct, array_like=True, frozen=True):
    """A message on its way to a queue, encoded already.

    Attributes:
        queue: the queue's name.
        payload: the encoded message, see :mod:`celeriac.envelope`.
        priority: 0 to 9, 0 is served first (as Celery does on Redis).
        due: when it may be delivered, seconds since the epoch; None is at once.
        exchange: set, with ``routing_key``, for a message to a fanout exchange that every bound queue gets.
    """

    queue: str
    payload: bytes
    priority: int = 0
    due: float | None = None
    exchange: str = ""
    routing_key: str = ""


class Delivery(msgspec.Struct):
    """A message that this worker holds a lease on.

    Attributes:
        claim: the fence token, opaque; renewing may change it.
        queue: the queue that it came from.
        payload: the encoded message, untouched.
        losses: how often it was redelivered because its holder was lost.
        granted: it was held for a rate limit and its token is reserved.
        holds: how often it was held because no worker knew its task, see ``Settlement.counted``.
        waited: the store has just let it go after holding it. Set by stores that count the time to wait and do not
            compare times (RabbitMQ): a worker whose clock is behind must not let it wait once more.
    """

    claim: bytes
    queue: str
    payload: bytes
    losses: int = 0
    granted: bool = False
    holds: int = 0
    waited: bool = False


class Disposition(enum.IntEnum):
    """What becomes of the delivery."""

    ACKNOWLEDGE = 0
    """It is done: gone from the store."""
    HOLD = 1
    """Held by the store until it is due, then ready again at the front of its queue."""
    GIVE_BACK = 2
    """Ready again at once, at the front of its queue; no attempt is spent."""
    REDELIVER = 3
    """As GIVE_BACK, but its holder was lost: ``losses`` grows by one."""
    DEAD_LETTER = 4
    """To the dead-letter queue, with ``reason``."""
    NONE = 5
    """It was acknowledged before (early acknowledgement): only result, follow-ups and effects are stored."""


class ResultRecord(msgspec.Struct, array_like=True, frozen=True):
    """A result as the reader finds it.

    Attributes:
        task_id: the task's id.
        payload: the encoded result document (protocol.md, section 11).
        state: its state; anything but SUCCESS gives way to a stored SUCCESS.
        expires: lifetime in seconds, None keeps it for ever.
        reply_to: the queue of whoever waits for it, where results are sent and not stored (rpc). Empty with a claim:
            then the message says it.
    """

    task_id: str
    payload: bytes
    state: str = "SUCCESS"
    expires: float | None = 86400.0
    reply_to: str = ""


class ChordPart(msgspec.Struct, array_like=True, frozen=True):
    """That one member of a chord's header is done. Counted by identity: a redelivered part counts once.

    Attributes:
        group_id: the header's group id.
        index: the member's position in the header.
        task_id: the member.
        size: members in the whole header, when the message says so.
        payload: its encoded state and result, as :meth:`Store.chord_parts` returns it.
        completion: the message that is published in the same step when this part is the last one that was missing.
    """

    group_id: str
    index: int
    task_id: str
    size: int | None
    payload: bytes
    completion: Outgoing | None = None


class Document(msgspec.Struct, array_like=True, frozen=True):
    """Something that is stored beside the results, by its kind and its name.

    Attributes:
        kind: ``"group"`` (a saved GroupResult), ``"flow"`` (a workflow that messages refer to) or ``"size"`` (of a
            chord's header, for peers that count by it).
        id: names it among those of its kind.
        payload: opaque, but for a size: decimal digits.
        expires: lifetime in seconds, None keeps it for ever.
    """

    kind: str
    id: str
    payload: bytes
    expires: float | None = 86400.0


class Effects(msgspec.Struct, array_like=True, frozen=True):
    """What else becomes final with a settlement when a task is part of a workflow; in this order.

    Attributes:
        documents: stored.
        results: of tasks that will never run, since this one ended as it did; their waiters are told.
        grown: header's group id and how many members were added to it while it runs; not again when the settlement
            brings a part of the same chord that was counted before.
        parts: counted.
        closed: group ids of chords whose body has been sent: their parts are dropped.
    """

    documents: Sequence[Document] = ()
    results: Sequence[ResultRecord] = ()
    grown: Sequence[tuple[str, int]] = ()
    parts: Sequence[ChordPart] = ()
    closed: Sequence[str] = ()


class Settlement(msgspec.Struct):
    """How one delivery ends, in one atomic step.

    Attributes:
        claim: of the delivery; empty with ``Disposition.NONE``.
        disposition: what becomes of the delivery.
        result: stored, and its waiters are told.
        follow_ups: messages published in the same step (callbacks, next chain step, retry).
        effects: what else becomes final in the same step, for members of workflows.
        due: for HOLD: when it is due, seconds since the epoch.
        delay: for HOLD without ``due``: seconds from now, by the store's clock.
        granted: for HOLD: remembered in ``Delivery.granted``.
        counted: for HOLD: ``Delivery.holds`` grows by one.
        reason: for DEAD_LETTER, one line for people.
        identity: names the message that ended, the same at each of its deliveries, and of its copies, and nobody
            else's; empty when it has no such name. Where it has follow-ups it is remembered, see :meth:`Store.settle`
            and, for messages and results in two places, :meth:`Store.record`.
    """

    claim: bytes
    disposition: Disposition = Disposition.ACKNOWLEDGE
    result: ResultRecord | None = None
    follow_ups: Sequence[Outgoing] = ()
    effects: Effects | None = None
    due: float | None = None
    delay: float = 0.0
    granted: bool = False
    counted: bool = False
    reason: str = ""
    identity: str = ""


class Completed(msgspec.Struct, frozen=True):
    """What ``record`` tells of a settlement that it stored now and whose parts completed chords.

    Attributes:
        completions: to be published before the settlement's follow-ups; its record, if it has one, holds both.
    """

    completions: list[Outgoing]


Recorded = list[Outgoing] | Completed | None
"""What ``record`` tells of one settlement, see :meth:`Store.record`."""


class Received(msgspec.Struct):
    """What ``receive`` and ``settle`` bring.

    Attributes:
        deliveries: new ones, each under a lease.
        refused: of ``settle``: the claims whose lease was lost; nothing of them was stored.
        revocations: grows with every revocation, so that a worker knows when its cache is old.
    """

    deliveries: list[Delivery]
    refused: list[bytes] = []
    revocations: int = 0


class QueueCounts(msgspec.Struct, frozen=True):
    """How many messages of a queue are where; None where the store cannot say (``Capabilities.counts_all``)."""

    ready: int = 0
    held: int | None = 0
    in_flight: int | None = 0
    dead: int = 0


class DeadLetter(msgspec.Struct, frozen=True):
    """A message in the dead-letter queue.

    Attributes:
        id: names the entry for show, replay and drop.
        queue: where it came from and is replayed to.
        reason: why it died, one line.
        died: seconds since the epoch.
        losses: redeliveries after losses before it died.
        payload: the encoded message.
    """

    id: str
    queue: str
    reason: str
    died: float
    losses: int
    payload: bytes


class Revocation(msgspec.Struct, frozen=True):
    """A task id that is not to run, and what to do with it when it runs already.

    Attributes:
        task_id: the task's id.
        terminate: kill it when it runs.
        signal: the signal's name for that, such as ``"SIGTERM"``.
    """

    task_id: str
    terminate: bool = False
    signal: str = "SIGTERM"


class Capabilities(msgspec.Struct, frozen=True):
    """What a store can do; `doctor` prints the guarantee that follows.

    Attributes:
        timed_leases: a claim holds for the lease's time. Else it ends with the connection, at any moment, and ``renew``
            knows that without asking the server.
        counts_all: it knows how many messages are held and in flight, and a purge drops held ones too.
        counts_lost_holders: it counts every loss of a holder by itself. Else ``losses`` grows only when somebody
            settles so (a child died), and a task that takes its whole worker with it may come back uncounted.
        atomic: ``settle`` publishes follow-ups and acknowledges in one step. A broker that confirms the one before it
            does the other is not atomic: a crash in between publishes them twice.
        workflows: it counts the parts of chords and keeps documents. Where it does not, chords are refused, and
            workflows travel whole in their messages.
        records: ``record`` keeps records of settlements, which make good what a broker that is not atomic lacks.
    """

    messages: bool = True
    results: bool = True
    leases: bool = True
    holds: bool = True
    priorities: bool = True
    broadcast: bool = True
    between_processes: bool = True
    survives_restart: bool = True
    timed_leases: bool = True
    counts_all: bool = True
    counts_lost_holders: bool = True
    atomic: bool = True
    records: bool = True
    workflows: bool = True


class Store(Protocol):
    """An asynchronous store, owned by one event loop.

    ``open`` connects and raises BrokerUnreachable (what, where, what to do); afterwards connections mend themselves: a
    call waits until it is done or raises OperationalError once the store has been unreachable for longer than its
    policy. Every method is safe to repeat.
    """

    capabilities: Capabilities

    async def open(self) -> None: ...

    async def close(self) -> None:
        """Give back what was received and not delivered to the caller; then disconnect. Idempotent."""
        ...

    async def declare(self, queues: Sequence[str]) -> None:
        """Make the queues ready to be consumed."""
        ...

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Store all messages in one round trip; when it returns they are confirmed."""
        ...

    async def receive(self, queues: Sequence[str], limit: int, timeout: float) -> Received:
        """Claim up to ``limit`` messages; when there is none, wait for the first one, at most ``timeout`` seconds.

        Due held messages become ready here, in bounded steps. Queues are served in turn, priorities by weight
        (every eighth message is the oldest of any priority). Cancelling loses nothing.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        """Settle each in one atomic step, all in one round trip, and claim up to ``limit`` messages in the same one.

        A settlement whose reply was lost is sent again by the store itself; repeating one is harmless. An ``atomic``
        store remembers for ``records.COPY_LIFETIME`` which identities it published follow-ups of: a copy of such a
        message, as a publication makes that is repeated since its reply was lost, is only acknowledged.
        """
        ...

    async def renew(self, claims: Sequence[bytes]) -> list[bytes]:
        """Renew the leases and sweep: claims of lost holders become ready again, ``losses`` plus one.

        Returns the claims that are no longer ours.
        """
        ...

    async def counts(self, queues: Sequence[str]) -> dict[str, QueueCounts]: ...

    async def queues(self) -> list[str]:
        """The names of all queues that hold any message."""
        ...

    async def peek(self, queue: str, limit: int) -> list[bytes]:
        """The payloads of the first ready messages, in the order in which they would be delivered; takes nothing."""
        ...

    async def purge(self, queue: str) -> int:
        """Drop all ready and held messages of a queue; returns how many."""
        ...

    async def dead_letters(self, limit: int = 1000, queue: str | None = None) -> list[DeadLetter]:
        """The newest dead letters first."""
        ...

    async def dead_letter(self, id: str) -> DeadLetter | None: ...  # noqa: A002  # as DeadLetter.id

    async def replay(self, ids: Sequence[str]) -> int:
        """Move dead letters back to their queues with a fresh count of losses; returns how many there were."""
        ...

    async def drop(self, ids: Sequence[str]) -> int: ...

    async def store_results(self, records: Sequence[ResultRecord]) -> None: ...

    async def record(self, settlements: Sequence[Settlement], published: Sequence[str] = ()) -> list[Recorded]:
        """Store results and effects for a broker that is elsewhere, each settlement with an ``identity`` once.

        All in one round trip: first the records of ``published`` are marked as published. Then, in one atomic step for
        each settlement, its result and effects are stored with a record that holds its follow-ups, and the completions
        of the chords that its parts complete; unless there is a record of its identity already, then nothing is stored.
        Without an identity there is no record; then the completion of a chord is told again for a part that was counted
        before, until the chord is closed, since nobody knows whether it was published. Claims and dispositions mean
        nothing here, and nothing is published. Records live for ``records.RECORD_LIFETIME``.

        Args:
            settlements: what ended.
            published: identities whose follow-ups the broker has confirmed.

        Returns:
            For each settlement None when it was stored now and what is to be published are its follow-ups;
            ``Completed`` when it was stored now and the completions of chords are to be published, too; a list when
            there was a record already: what that holds and what is not marked as published.
        """
        ...

    async def results(self, task_ids: Sequence[str]) -> list[bytes | None]: ...

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Yield each id with its result document as it becomes ``ready``; raises celeriac.exceptions.TimeoutError."""
        ...

    async def forget(self, task_ids: Sequence[str]) -> None: ...

    async def store_documents(self, documents: Sequence[Document]) -> None: ...

    async def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """The payloads of documents, None where there is none."""
        ...

    async def drop_documents(self, kind: str, ids: Sequence[str]) -> None: ...

    async def chord_parts(self, group_id: str) -> list[bytes]:
        """The payloads of the parts that were counted, in the order of the members' positions."""
        ...

    async def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """Store the revocations for ``lifetime`` seconds and tell all workers."""
        ...

    async def revocations(self, after: int = 0) -> tuple[int, list[Revocation]]:
        """The revocations stored after that count, and the count now (see ``Received.revocations``)."""
        ...

    async def claim_once(self, name: str, slot: str, lifetime: float) -> bool:
        """True for exactly one caller of that name and slot within ``lifetime`` seconds (beat's ticks, sweeps)."""
        ...

    async def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None: ...

    def inbox(self, exchange: str) -> AsyncIterator[bytes]:
        """What is broadcast to the exchange from the first iteration on."""
        ...


class SyncStore(Protocol):
    """What clients need, synchronous: thread-safe, fork-safe, no background thread, bounded by one deadline."""

    capabilities: Capabilities

    def close(self) -> None: ...
    def publish(self, messages: Sequence[Outgoing]) -> None: ...
    def store_results(self, records: Sequence[ResultRecord]) -> None: ...
    def results(self, task_ids: Sequence[str]) -> list[bytes | None]: ...
    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> Iterator[tuple[str, bytes]]: ...
    def forget(self, task_ids: Sequence[str]) -> None: ...
    def store_documents(self, documents: Sequence[Document]) -> None: ...
    def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]: ...
    def drop_documents(self, kind: str, ids: Sequence[str]) -> None: ...
    def chord_parts(self, group_id: str) -> list[bytes]: ...
    def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None: ...
    def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None: ...
