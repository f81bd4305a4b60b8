"""What all memory stores of one name share: messages, results, revocations and who waits for them.

Every public method takes the one lock, does its whole work under it and never waits: that is what makes each of them
atomic. Waiting is done outside, see :mod:`celeriac.stores.memory.waiting`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Final

import msgspec

from celeriac.envelope import PRIORITY_MAX
from celeriac.exceptions import OperationalError
from celeriac.ids import new_incarnation
from celeriac.stores.memory.chords import WorkflowTable
from celeriac.stores.memory.clock import Clock
from celeriac.stores.memory.dead import DeadLetters
from celeriac.stores.memory.queue import Entry, MessageQueue
from celeriac.stores.memory.records import RecordTable
from celeriac.stores.memory.results import ResultTable, ResultWait
from celeriac.stores.memory.revoked import RevocationLog
from celeriac.stores.memory.waiting import Waiter
from celeriac.stores.options import StoreOptions
from celeriac.stores.records import COPY_LIFETIME, is_followed_once
from celeriac.stores.store import (
    REVOCATIONS,
    Completed,
    DeadLetter,
    Delivery,
    Disposition,
    Document,
    Effects,
    Outgoing,
    QueueCounts,
    Received,
    Recorded,
    ResultRecord,
    Revocation,
    Settlement,
)

__all__ = ["Holder", "Inbox", "State"]

INBOX_SIZE: Final = 65_536
"""Messages that an inbox keeps for a reader who does not read; the oldest go first, as on a broken subscription."""


class _Flight(msgspec.Struct):
    """A message under a lease."""

    holder: Holder
    entry: Entry
    deadline: float


class Holder:
    """One open store: whose claims these are, and its turn among the queues."""

    def __init__(self, options: StoreOptions) -> None:
        self.options = options
        self.incarnation = new_incarnation()
        self.numbers = count(1)
        self.turn = 0
        #: By deadline: a lease is always renewed to the latest deadline of all.
        self.flights: OrderedDict[bytes, _Flight] = OrderedDict()


class Inbox:
    """What was broadcast to one exchange since the inbox was registered."""

    def __init__(self, waiter: Waiter) -> None:
        self.waiter = waiter
        self.payloads: deque[bytes] = deque(maxlen=INBOX_SIZE)


class State:
    """The shared state of one name."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._lock = threading.RLock()
        self._orders = count()
        self._queues: dict[str, MessageQueue] = {}
        self._flights: dict[bytes, _Flight] = {}
        self._holders: dict[bytes, Holder] = {}
        self._receivers: dict[str, set[Waiter]] = {}
        self._results = ResultTable()
        self._records = RecordTable()
        self._followed = RecordTable(COPY_LIFETIME)
        self._result_waiters: set[Waiter] = set()
        self._dead = DeadLetters()
        self._revocations = RevocationLog()
        self._slots: dict[tuple[str, str], float] = {}
        self._inboxes: dict[str, set[Inbox]] = {}
        self._workflows = WorkflowTable()
        self._forked = False
        clock.on_advance(self._wake_all)

    # ------------------------------------------------------------------------------------------------------- messages

    def publish(self, messages: Iterable[Outgoing]) -> None:
        """Make messages ready, hold those that are not due, and hand those for an exchange to its inboxes."""
        with self._locked() as now:
            self._publish(messages, now)

    def claim(self, holder: Holder, queues: Sequence[str], limit: int) -> Received:
        """Claim up to ``limit`` messages for ``holder``, the queues in turn."""
        with self._locked() as now:
            return self._received(self._claim(holder, queues, limit, now), [])

    def settle(self, holder: Holder, settlements: Iterable[Settlement], queues: Sequence[str], limit: int) -> Received:
        """Settle each or refuse it, then claim as :meth:`claim` does."""
        with self._locked() as now:
            refused = [each.claim for each in settlements if not self._settle(holder, each, now)]
            return self._received(self._claim(holder, queues, limit, now), refused)

    def renew(self, holder: Holder, claims: Sequence[bytes]) -> list[bytes]:
        """Renew the leases of ``holder``, take back those that ended; returns the claims that are gone."""
        with self._locked() as now:
            lost: list[bytes] = []
            deadline = now + holder.options.lease
            for claim in claims:
                flight = holder.flights.get(claim)
                if flight is None:
                    lost.append(claim)
                else:
                    flight.deadline = deadline
                    holder.flights.move_to_end(claim)
            self._sweep(now)
            return lost

    def counts(self, queues: Sequence[str]) -> dict[str, QueueCounts]:
        """How many messages of each queue are where."""
        with self._locked() as now:
            return {name: self._counts(name, now) for name in queues}

    def queues(self) -> list[str]:
        """The names of the queues that hold any message."""
        with self._locked():
            return sorted(name for name, queue in self._queues.items() if not queue.empty)

    def peek(self, holder: Holder, name: str, limit: int) -> list[bytes]:
        """The payloads of the first ready messages."""
        with self._locked() as now:
            queue = self._queue(name)
            queue.release_due(now)
            return queue.peek(limit, holder.options.strict_priorities)

    def purge(self, name: str) -> int:
        """Drop what is ready and held."""
        with self._locked():
            return self._queue(name).clear()

    def next_change(self, queues: Sequence[str]) -> float | None:
        """When a message of these queues becomes due or any lease ends, whichever is first; None is never."""
        with self._locked():
            moments = [due for name in queues if (due := self._queue(name).next_due) is not None]
            for holder in self._holders.values():
                if holder.flights:
                    moments.append(next(iter(holder.flights.values())).deadline)
            return min(moments, default=None)

    @contextmanager
    def receiving(self, queues: Sequence[str], waiter: Waiter) -> Iterator[None]:
        """Wake ``waiter`` whenever one of the queues may have something."""
        with self._locked():
            for name in queues:
                self._receivers.setdefault(name, set()).add(waiter)
        try:
            yield
        finally:
            with self._lock:
                for name in queues:
                    self._receivers[name].discard(waiter)

    # -------------------------------------------------------------------------------------------------------- holders

    def add_holder(self, holder: Holder) -> None:
        """From now on ``holder`` may claim."""
        with self._locked():
            self._holders[holder.incarnation] = holder

    # --------------------------------------------------------------------------------------------------- dead letters

    def dead_letters(self, limit: int, queue: str | None) -> list[DeadLetter]:
        """The newest dead letters."""
        with self._locked() as now:
            return self._dead.newest(limit, queue, now)

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """One dead letter."""
        with self._locked() as now:
            return self._dead.find(letter_id, now)

    def replay(self, ids: Sequence[str]) -> int:
        """Dead letters back to their queues; returns how many."""
        with self._locked() as now:
            entries = self._dead.take(ids, now)
            for entry in entries:
                fresh = Entry(next(self._orders), entry.queue, entry.payload, entry.priority)
                self._queue(entry.queue).append(fresh)
                self._wake_receivers(entry.queue)
            return len(entries)

    def drop(self, ids: Sequence[str]) -> int:
        """Delete dead letters; returns how many."""
        with self._locked() as now:
            return len(self._dead.take(ids, now))

    # -------------------------------------------------------------------------------------------------------- results

    def store_results(self, records: Iterable[ResultRecord]) -> None:
        """Store results and tell those who wait."""
        with self._locked() as now:
            for record in records:
                self._results.store(record, now)

    def record(self, settlements: Iterable[Settlement], published: Iterable[str]) -> list[Recorded]:
        """Mark records as published, then store what has no record yet."""
        with self._locked() as now:
            for identity in published:
                self._records.store(identity, (), now)
            return [self._record(each, now) for each in settlements]

    def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The stored results, None where there is none."""
        with self._locked() as now:
            return self._results.read(task_ids, now)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Drop results."""
        with self._locked():
            self._results.forget(task_ids)

    @contextmanager
    def awaiting(self, wait: ResultWait) -> Iterator[None]:
        """Tell ``wait`` what is stored for its tasks."""
        with self._locked():
            self._results.register(wait)
            self._result_waiters.add(wait.waiter)
        try:
            yield
        finally:
            with self._lock:
                self._results.unregister(wait, wait.awaited)
                self._result_waiters.discard(wait.waiter)

    def take_ready(self, wait: ResultWait) -> list[tuple[str, bytes]]:
        """The results that have become ready since the last call; they are awaited no more."""
        with self._locked() as now:
            changed = self._results.take_changed(wait, now)
        # The caller's function runs outside of the lock: it may be slow, or raise.
        ready = [(task_id, payload) for task_id, payload in changed if wait.ready(payload)]
        done = [task_id for task_id, _ in ready]
        with self._lock:
            self._results.unregister(wait, done)
        wait.awaited.difference_update(done)
        return ready

    def store_documents(self, documents: Iterable[Document]) -> None:
        """Store documents."""
        with self._locked() as now:
            self._workflows.documents.store(documents, now)

    def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """The stored documents, None where there is none."""
        with self._locked() as now:
            return self._workflows.documents.read(kind, ids, now)

    def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Drop documents."""
        with self._locked():
            self._workflows.documents.drop(kind, ids)

    def chord_parts(self, group_id: str) -> list[bytes]:
        """The parts of a chord that were counted, in the order of positions."""
        with self._locked() as now:
            return self._workflows.parts(group_id, now)

    # -------------------------------------------------------------------------------------- revocations and broadcast

    def revoke(self, revocations: Iterable[Revocation], lifetime: float) -> None:
        """Store the revocations and tell those who watch for them."""
        with self._locked() as now:
            self._revocations.add(revocations, lifetime, now)
            self._broadcast(REVOCATIONS, b"")

    def revocations(self, after: int) -> tuple[int, list[Revocation]]:
        """The revocations after that count, and the count."""
        with self._locked() as now:
            return self._revocations.count, self._revocations.after(after, now)

    def claim_once(self, name: str, slot: str, lifetime: float) -> bool:
        """True for the first caller within ``lifetime`` seconds."""
        with self._locked() as now:
            taken = self._slots.get((name, slot))
            if taken is not None and taken > now:
                return False
            self._slots = {key: end for key, end in self._slots.items() if end > now}
            self._slots[name, slot] = now + lifetime
            return True

    def broadcast(self, exchange: str, payload: bytes) -> None:
        """Hand a payload to all inboxes of the exchange."""
        with self._locked():
            self._broadcast(exchange, payload)

    def add_inbox(self, exchange: str, inbox: Inbox) -> None:
        """From now on the inbox gets what is broadcast to the exchange."""
        with self._locked():
            self._inboxes.setdefault(exchange, set()).add(inbox)

    def remove_inbox(self, exchange: str, inbox: Inbox) -> None:
        """The inbox gets nothing any more."""
        with self._lock:
            self._inboxes[exchange].discard(inbox)

    def forget_after_fork(self) -> None:
        """In a forked child: refuse all further calls. Nobody would ever see what the child puts in its copy."""
        self._lock = threading.RLock()
        self._forked = True

    # ------------------------------------------------------------------------------------------------- under the lock

    @contextmanager
    def _locked(self) -> Iterator[float]:
        with self._lock:
            if self._forked:
                raise OperationalError(
                    "this memory:// store was opened before a fork and is not shared with the child process: "
                    "use sqlite:// or redis:// between processes, or open the store in the child"
                )
            yield self.clock.now()

    def _queue(self, name: str) -> MessageQueue:
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = MessageQueue()
        return queue

    def _publish(self, messages: Iterable[Outgoing], now: float) -> None:
        for message in messages:
            if message.exchange:
                self._broadcast(message.exchange, message.payload)
                continue
            priority = min(max(message.priority, 0), PRIORITY_MAX)
            entry = Entry(next(self._orders), message.queue, message.payload, priority)
            queue = self._queue(message.queue)
            if message.due is not None and message.due > now:
                queue.hold(entry, message.due)
            else:
                queue.append(entry)
            self._wake_receivers(message.queue)

    def _claim(self, holder: Holder, queues: Sequence[str], limit: int, now: float) -> list[Delivery]:
        deliveries: list[Delivery] = []
        if limit <= 0 or not queues:
            return deliveries
        self._sweep(now)
        turn = holder.turn % len(queues)
        names = deque([*queues[turn:], *queues[:turn]])
        for name in names:
            self._queue(name).release_due(now)
        strict = holder.options.strict_priorities
        while names and len(deliveries) < limit:
            entry = self._queue(names[0]).take(strict)
            if entry is None:
                names.popleft()
                continue
            names.rotate(-1)
            deliveries.append(self._lease(holder, entry, now))
        if deliveries:
            holder.turn = queues.index(deliveries[-1].queue) + 1
        return deliveries

    def _lease(self, holder: Holder, entry: Entry, now: float) -> Delivery:
        claim = b"%s:%d" % (holder.incarnation, next(holder.numbers))
        flight = _Flight(holder, entry, now + holder.options.lease)
        self._flights[claim] = flight
        holder.flights[claim] = flight
        self._queue(entry.queue).in_flight += 1
        return Delivery(claim, entry.queue, entry.payload, entry.losses, entry.granted, entry.holds)

    def _land(self, claim: bytes) -> Entry | None:
        """End a lease; returns its message, None when the lease is lost."""
        flight = self._flights.pop(claim, None)
        if flight is None:
            return None
        del flight.holder.flights[claim]
        self._queue(flight.entry.queue).in_flight -= 1
        return flight.entry

    def _sweep(self, now: float) -> None:
        """Make the messages ready whose leases have ended."""
        for holder in list(self._holders.values()):
            while holder.flights:
                claim, flight = next(iter(holder.flights.items()))
                if flight.deadline > now:
                    break
                self._land(claim)
                self._give_back(flight.entry, lost=True)

    def _give_back(self, entry: Entry, lost: bool) -> None:
        entry.granted = False
        entry.losses += lost
        self._queue(entry.queue).append_front(entry)
        self._wake_receivers(entry.queue)

    def _settle(self, holder: Holder, settlement: Settlement, now: float) -> bool:
        """Settle; False when the claim is stale, and then nothing has happened."""
        if settlement.disposition is not Disposition.NONE:
            entry = self._land(settlement.claim)
            if entry is None:
                return False
            self._dispose(holder, entry, settlement, now)
        if is_followed_once(settlement):
            if self._followed.find(settlement.identity, now) is not None:
                return True
            self._followed.store(settlement.identity, (), now)
        if settlement.result is not None:
            self._results.store(settlement.result, now)
        if settlement.effects is not None:
            self._publish(self._complete(settlement, settlement.effects, now), now)
        if settlement.follow_ups:
            self._publish(settlement.follow_ups, now)
        return True

    def _complete(self, settlement: Settlement, effects: Effects, now: float) -> list[Outgoing]:
        """Let the effects of a settlement become final; returns the completions of chords."""
        return self._workflows.apply(effects, self._results.store, now, again=False)

    def _record(self, settlement: Settlement, now: float) -> Recorded:
        identity = settlement.identity
        if identity:
            found = self._records.find(identity, now)
            if found is not None:
                return found
            self._records.store(identity, settlement.follow_ups, now)
        if settlement.result is not None:
            self._results.store(settlement.result, now)
        if settlement.effects is None:
            return None
        completions = self._workflows.apply(settlement.effects, self._results.store, now, again=not identity)
        if not completions:
            return None
        if identity:
            self._records.store(identity, [*completions, *settlement.follow_ups], now)
        return Completed(completions)

    def _dispose(self, holder: Holder, entry: Entry, settlement: Settlement, now: float) -> None:
        match settlement.disposition:
            case Disposition.HOLD:
                due = now + settlement.delay if settlement.due is None else settlement.due
                entry.granted = settlement.granted
                entry.holds += settlement.counted
                self._queue(entry.queue).hold(entry, due)
                self._wake_receivers(entry.queue)
            case Disposition.GIVE_BACK:
                self._give_back(entry, lost=False)
            case Disposition.REDELIVER:
                self._give_back(entry, lost=True)
            case Disposition.DEAD_LETTER:
                lifetime = holder.options.dead_letter_expires
                self._dead.add(entry, settlement.reason, now, None if lifetime is None else now + lifetime)

    def _received(self, deliveries: list[Delivery], refused: list[bytes]) -> Received:
        return Received(deliveries, refused, self._revocations.count)

    def _counts(self, name: str, now: float) -> QueueCounts:
        queue = self._queue(name)
        return QueueCounts(queue.ready, queue.held, queue.in_flight, self._dead.count(name, now))

    def _broadcast(self, exchange: str, payload: bytes) -> None:
        for inbox in self._inboxes.get(exchange, ()):
            inbox.payloads.append(payload)
            inbox.waiter.wake()

    def _wake_receivers(self, name: str) -> None:
        for waiter in self._receivers.get(name, ()):
            waiter.wake()

    def _wake_all(self) -> None:
        with self._lock:
            for name in self._receivers:
                self._wake_receivers(name)
            for waiter in self._result_waiters:
                waiter.wake()
