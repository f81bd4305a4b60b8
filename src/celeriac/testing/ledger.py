"""The ledger of a simulation: what was published, delivered, started, ended and settled. Verdicts are read from it.

It is kept beside the machine that it judges: by the broker when something took effect there, and by the children.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from celeriac import envelope
from celeriac.message import Head
from celeriac.pools.pool import Kind, Outcome
from celeriac.states import SUCCESS
from celeriac.stores.records import is_followed_once
from celeriac.stores.store import Delivery, Disposition, Outgoing, Settlement

if TYPE_CHECKING:
    from celeriac.testing.world import World

__all__ = ["Claim", "Ledger", "Record", "Run"]


@dataclass(slots=True)
class Run:
    """One start of a message in a child.

    Attributes:
        worker: the process.
        started, ended: virtual seconds; ``ended`` is None when the child died before.
        outcome: what came of it.
        doomed: only its failure hooks ran.
    """

    worker: str
    started: float
    doomed: bool = False
    ended: float | None = None
    outcome: Outcome | None = None


@dataclass(slots=True)
class Claim:
    """One delivery of a message to a worker.

    Attributes:
        worker: the process.
        issued: when, virtual seconds.
        deadline: when its lease ends unless it is renewed, virtual seconds.
        over: how it ended, empty while it is open.
    """

    worker: str
    issued: float
    deadline: float
    over: str = ""


@dataclass(slots=True)
class Record:
    """Everything about one message.

    Attributes:
        name: short, for the trace.
        head: its headers.
        parent: the message whose settlement published it, None for one from a producer.
        published: when the broker took it first, virtual seconds.
        due: when it may be delivered, virtual seconds.
        copies: how often the broker took it: a publication whose reply was lost is repeated.
        confirmed: the producer knows that the broker has it.
        settlements: those that took effect and ended it, with the worker that sent them.
        late_ends: what came later of a message that was acknowledged before it ran.
        deaths: how often a child died while it ran there.
    """

    name: str
    head: Head
    parent: Record | None
    published: float
    due: float
    copies: int = 0
    confirmed: bool = False
    claims: list[Claim] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    settlements: list[tuple[str, Settlement]] = field(default_factory=list)
    late_ends: list[Settlement] = field(default_factory=list)
    deaths: int = 0
    children: list[Record] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.name}({self.head.task.rpartition('.')[2]})"


class Ledger:
    """Keeps the records, and objects at once to what no later look could tell.

    Attributes:
        records: by the messages' identities.
        objections: what was wrong in itself.
        revoked: when the task ids were revoked, virtual seconds.
        states: what the broker has as the state of each task.
        surrendered: workers whose store gave up on a settlement, which may have taken effect all the same.
        remembers: the broker publishes what follows from a message once, whichever copy of it is settled first; one
            that is not atomic does not.
        troubled: when a fault last kept each worker from the broker, virtual seconds; infinity while it lasts.
    """

    def __init__(self, world: World, epoch: float) -> None:
        self.records: dict[str, Record] = {}
        self.objections: list[str] = []
        self.revoked: dict[str, float] = {}
        self.states: dict[str, str] = {}
        self.surrendered: set[str] = set()
        self._expected: dict[str, Record] = {}
        self._followed: set[str] = set()
        self.remembers = True
        self.troubled: dict[str, float] = {}
        self._world = world
        self._epoch = epoch
        self._claims: dict[bytes, tuple[Record, Claim]] = {}

    # -- the broker tells --------------------------------------------------------------------------------------------

    def published(self, messages: Iterable[Outgoing], parent: Record | None) -> None:
        """The broker has taken messages."""
        for message in messages:
            identity = envelope.identity_of(message.payload)
            parent = parent or self._expected.get(identity)
            record = self.records.get(identity)
            if record is None:
                head = envelope.read_head(message.payload)
                assert head is not None, "simulations send messages of protocol 2"
                now = self._world.now
                due = now if message.due is None else message.due - self._epoch
                record = self.records[identity] = Record(f"m{len(self.records) + 1}", head, parent, now, due)
            record.copies += 1
            if parent is not None:
                parent.children.append(record)
            self._world.note("broker", "published", record, "after" if parent else "", parent or "")

    def confirmed(self, messages: Iterable[Outgoing]) -> None:
        """A producer knows that the broker has them."""
        for message in messages:
            self.of(message.payload).confirmed = True

    def delivered(self, worker: str, deliveries: Iterable[Delivery], lease: float) -> list[tuple[Record, Claim]]:
        """The broker has leased messages to a worker; returns the claims on them that are lost by that."""
        lost = []
        for delivery in deliveries:
            record = self.of(delivery.payload)
            open_claims = [claim for claim in record.claims if not claim.over]
            if open_claims and record.copies == 1:  # of several copies nobody knows which one came back
                open_claims[0].over = "lost"
                lost.append((record, open_claims[0]))
            claim = Claim(worker, self._world.now, self._world.now + lease)
            record.claims.append(claim)
            self._claims[delivery.claim] = record, claim
            self._world.note("broker", "leased", record, "to", worker, f"losses={delivery.losses}")
        return lost

    def renewed(self, claims: Iterable[bytes], lost: Iterable[bytes], lease: float) -> None:
        """A worker has renewed its leases."""
        refused = set(lost)
        for claim in claims:
            if claim not in refused:
                self._claims[claim][1].deadline = self._world.now + lease

    def gave_back(self, claims: Iterable[bytes]) -> None:
        """Deliveries that never reached their worker's code are ready again."""
        for claim in claims:
            record, held = self._claims[claim]
            held.over = held.over or "unread"
            self._world.note("broker", "taken back", record, "from", held.worker)

    def settled(self, worker: str, settlement: Settlement, effective: bool) -> None:
        """The broker has settled a delivery, or refused to."""
        if settlement.disposition is Disposition.NONE:
            self._ended_early(worker, settlement)
            return
        record, claim = self._claims[settlement.claim]
        what = settlement.disposition.name.lower().replace("_", " ")
        if not effective:
            self._world.note("broker", "refused", what, "of", record, "by", worker)
            claim.over = claim.over or "lost"
            return
        self._world.note("broker", what, record, "by", worker)
        if claim.over:
            self.objections.append(f"{record} was settled by {worker}, whose claim had ended: {claim.over}")
        if claim.worker != worker:
            self.objections.append(f"{record} was settled by {worker} under a claim of {claim.worker}")
        claim.over = what
        if settlement.disposition in (Disposition.ACKNOWLEDGE, Disposition.DEAD_LETTER):
            record.settlements.append((worker, settlement))
        self._follow(settlement, record)

    def _follow(self, settlement: Settlement, record: Record | None) -> None:
        """What follows is published, unless it was for another copy of the message and the broker remembers that."""
        if self.remembers and is_followed_once(settlement):
            if settlement.identity in self._followed:
                return
            self._followed.add(settlement.identity)
        self.published(settlement.follow_ups, record)

    def completed(self, claim: bytes, message: Outgoing) -> None:
        """The broker has published a message since the settlement of that claim completed a chord."""
        held = self._claims.get(claim)
        self.published([message], None if held is None else held[0])

    def _ended_early(self, worker: str, settlement: Settlement) -> None:
        """What comes of a message that was acknowledged before its task ran."""
        if settlement.result is None and not settlement.identity:  # a step of its own, where results are elsewhere
            self.published(settlement.follow_ups, None)
            return
        record = self._meant(worker, settlement)
        if record is None:
            self.objections.append(f"I2: {worker} stored what belongs to no message")
            return
        record.late_ends.append(settlement)
        self._world.note("broker", "late end", record, "by", worker)
        self._follow(settlement, record)

    def _meant(self, worker: str, settlement: Settlement) -> Record | None:
        """The message of a settlement without a claim: named by its identity or its run's result, else the latest."""
        if settlement.identity:
            return self.records.get(settlement.identity)
        result = settlement.result
        same = [each for each in self.records.values() if result is not None and each.head.id == result.task_id]
        for record in same:
            for run in record.runs:
                if run.outcome is not None and result is not None and run.outcome.result == result.payload:
                    return record
        open_ = [each for each in same if len(each.late_ends) < each.copies]
        running = [each for each in open_ if any(run.worker == worker and run.ended is None for run in each.runs)]
        return next(reversed(running or open_ or same), None)

    def stored(self, task_id: str, state: str) -> None:
        """This is what the broker has as a task's state after a settlement."""
        before = self.states.get(task_id)
        if before == SUCCESS and state != SUCCESS:
            self.objections.append(f"I7: the state of a task went from SUCCESS back to {state}")
        self.states[task_id] = state

    def revoke(self, task_id: str) -> None:
        """The broker knows that a task is revoked."""
        self.revoked[task_id] = self._world.now
        self._world.note("broker", "revoked", *(r for r in self.records.values() if r.head.id == task_id))

    def trouble(self, worker: str, lasting: bool = False) -> None:
        """A fault keeps a worker from the broker, at this moment or until further notice."""
        self.troubled[worker] = float("inf") if lasting else self._world.now

    def slow(self, worker: str, seconds: float) -> None:
        """A word takes that long from now on, or the news that it was lost."""
        self.troubled[worker] = max(self.troubled.get(worker, 0.0), self._world.now + seconds)

    # -- the children tell -------------------------------------------------------------------------------------------

    def started(self, worker: str, payload: bytes, doomed: bool) -> Run:
        """A child has started a message's task, or only its failure hooks."""
        record = self.of(payload)
        run = Run(worker, self._world.now, doomed)
        record.runs.append(run)
        self._world.note(worker, "doomed" if doomed else "started", record)
        if not any(claim.worker == worker for claim in record.claims):
            self.objections.append(f"I2: {record} started at {worker}, which never had it")
        if self._world.now < record.due:
            self.objections.append(f"{record} started {record.due - self._world.now:.3f} s before it was due")
        return run

    def ended(self, run: Run, payload: bytes, outcome: Outcome) -> None:
        """The task ran to its end."""
        run.ended, run.outcome = self._world.now, outcome
        record = self.of(payload)
        for message in outcome.follow_ups:
            self._expected[envelope.identity_of(message.payload)] = record
        self._world.note(run.worker, "ended", record, Kind(outcome.kind).name)

    def died(self, worker: str, payload: bytes, text: str) -> None:
        """A child died with it."""
        record = self.of(payload)
        record.deaths += 1
        self._world.note(worker, "died in", record, text)

    # -- reading -----------------------------------------------------------------------------------------------------

    def of(self, payload: bytes) -> Record:
        """The record of a message."""
        return self.records[envelope.identity_of(payload)]
