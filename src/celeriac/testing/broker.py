"""The simulated broker: the memory store's state, which the conformance suite holds, behind a network.

Everything that it does for a connection happens in one step, as in the real ones. What a connection asks again because
the reply was lost is not done again: a settlement answers the same, as :class:`celeriac.stores.store.Store` demands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from msgspec.structs import replace

from celeriac import documents
from celeriac.stores.memory.state import Holder, State
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import (
    Disposition,
    Effects,
    Outgoing,
    QueueCounts,
    Received,
    Recorded,
    ResultRecord,
    Revocation,
    Settlement,
)
from celeriac.testing.ledger import Ledger
from celeriac.testing.world import EPOCH

if TYPE_CHECKING:
    from celeriac.testing.network import Network
    from celeriac.testing.world import World

__all__ = ["Backend", "Broker", "Client"]

REVOCATION_LIFETIME: Final = 86400.0
"""Seconds: longer than any simulation."""
BY_DEADLINE: Final = 0.001
"""Seconds after a deadline at which the broker looks: a deadline itself is still in time."""


class WorldClock:
    """The world's time of day, as the memory store wants it."""

    def __init__(self, world: World) -> None:
        self.now = world.time

    def sleep_for(self, when: float) -> float:
        """Nobody sleeps in the store itself here."""
        return max(0.0, when - self.now())

    def on_advance(self, wake: Callable[[], None]) -> None:
        """Nobody sleeps in the store itself here."""


class WatchedState(State):
    """Keeps besides which chords a batch of settlements has completed.

    Attributes:
        completed: the messages that were published for that, each with the claim of the settlement that did it.
    """

    def __init__(self, clock: WorldClock) -> None:
        super().__init__(clock)
        self.completed: list[tuple[bytes, Outgoing]] = []

    def _complete(self, settlement: Settlement, effects: Effects, now: float) -> list[Outgoing]:
        completions = super()._complete(settlement, effects, now)
        self.completed += [(settlement.claim, each) for each in completions]
        return completions


class Client(Protocol):
    """A connection, as the broker sees it.

    Attributes:
        worker: whose it is.
        holder: its claims.
    """

    worker: str
    holder: Holder


@dataclass(slots=True)
class Waiting:
    """A client that waits for messages."""

    client: Client
    queues: Sequence[str]
    limit: int
    reply: Callable[[Received], None]
    lose: Callable[[], None]


class Broker:
    """One broker for all processes of a world.

    Args:
        world: where it is.
        network: how it is reached.
        ledger: told of everything that takes effect.
        lease: seconds.
    """

    def __init__(self, world: World, network: Network, ledger: Ledger, lease: float) -> None:
        self.world = world
        self.network = network
        self.ledger = ledger
        self.options = StoreOptions(url="memory://", lease=lease)
        self.state = WatchedState(WorldClock(world))
        self.inboxes: list[Callable[[], None]] = []
        self._waiting: list[Waiting] = []
        self._poking = False
        self._look_at: float | None = None

    def connect(self) -> Holder:
        """A new holder of claims."""
        holder = Holder(self.options)
        self.state.add_holder(holder)
        return holder

    # -- messages ----------------------------------------------------------------------------------------------------

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Take messages of a producer."""
        self.ledger.published(messages, None)
        self.state.publish(messages)
        self._changed()

    def receive(
        self,
        client: Client,
        queues: Sequence[str],
        limit: int,
        timeout: float,
        reply: Callable[[Received], None],
        lose: Callable[[], None],
    ) -> None:
        """Lease messages at once, or as soon as there are any, or reply with none when the time is over."""
        received = self._claim(client, queues, limit)
        if received.deliveries or timeout <= 0:
            reply(received)
            return
        waiting = Waiting(client, queues, limit, reply, lose)
        self._waiting.append(waiting)
        self.world.after(timeout, lambda: self._time_out(waiting))
        self._look_again()

    def settle(self, client: Client, settlements: Sequence[Settlement], queues: Sequence[str], limit: int) -> Received:
        """Settle each in one step, and lease more."""
        known = settlements if self.ledger.remembers else [replace(each, identity="") for each in settlements]
        received = self.state.settle(client.holder, known, queues, limit)
        for settlement, effective in zip(settlements, _effective(settlements, received.refused), strict=True):
            self.ledger.settled(client.worker, settlement, effective)
            if effective:
                self._look_at_results(settlement)
        self._look_at_completions()
        self._leased(client, received)
        self._changed()
        return received

    def claim_again(self, client: Client, queues: Sequence[str], limit: int, refused: list[bytes]) -> Received:
        """What a settlement answers that is sent again."""
        received = self._claim(client, queues, limit)
        received.refused = refused
        return received

    def take_back(self, client: Client, received: Received) -> None:
        """Deliveries whose reply never reached the client become ready again, uncounted."""
        claims = [delivery.claim for delivery in received.deliveries]
        gone = set(
            self.state.settle(
                client.holder, [Settlement(claim, Disposition.GIVE_BACK) for claim in claims], (), 0
            ).refused
        )
        self.ledger.gave_back(claim for claim in claims if claim not in gone)
        self._changed()

    def renew(self, client: Client, claims: Sequence[bytes]) -> list[bytes]:
        """Renew leases; returns the claims that are gone."""
        lost = self.state.renew(client.holder, claims)
        self.ledger.renewed(claims, lost, self.options.lease)
        self._changed()
        return lost

    def revoke(self, task_id: str, terminate: bool) -> None:
        """Revoke a task and tell those who watch."""
        self.ledger.revoke(task_id)
        self.state.revoke([Revocation(task_id, terminate)], REVOCATION_LIFETIME)
        for tell in list(self.inboxes):
            tell()

    def hang_up(self, client: Client) -> None:
        """A client does not wait any more."""
        self._waiting = [each for each in self._waiting if each.client is not client]

    def cut(self) -> None:
        """Nobody can be reached: all who wait lose their connections."""
        self.network.up = False
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.lose()

    def mend(self) -> None:
        """It can be reached again."""
        self.network.up = True

    def record(self, settlements: Sequence[Settlement], published: Sequence[str]) -> list[Recorded]:
        """See :meth:`celeriac.stores.store.Store.record`."""
        records = self.state.record(settlements, published)
        for settlement in settlements:
            self._look_at_results(settlement)
        return records

    # -- inside ------------------------------------------------------------------------------------------------------

    def _claim(self, client: Client, queues: Sequence[str], limit: int) -> Received:
        received = self.state.claim(client.holder, queues, limit)
        self._leased(client, received)
        return received

    def _leased(self, client: Client, received: Received) -> None:
        lost = self.ledger.delivered(client.worker, received.deliveries, self.options.lease)
        for record, claim in lost:
            self.world.note("broker", "lease ended", record, "of", claim.worker)
            self._blame(record.name, claim.worker, claim.deadline)

    def _blame(self, name: str, worker: str, deadline: float) -> None:
        """A lease has ended. That takes a fault: one that kept its holder from the broker in the lease's lifetime."""
        if self.ledger.troubled.get(worker, float("-inf")) < deadline - self.options.lease:
            self.ledger.objections.append(
                f"the lease of {worker} on {name} ended, though nothing kept it from renewing"
            )

    def _look_at_completions(self) -> None:
        completed, self.state.completed = self.state.completed, []
        for claim, message in completed:
            self.ledger.completed(claim, message)

    def _look_at_results(self, settlement: Settlement) -> None:
        records: list[ResultRecord] = [] if settlement.result is None else [settlement.result]
        if settlement.effects is not None:
            records += settlement.effects.results
        for record in records:
            self._look_at_result(record.task_id)

    def _look_at_result(self, task_id: str) -> None:
        payload = self.state.results([task_id])[0]
        if payload is not None:
            self.ledger.stored(task_id, documents.status_of(payload, documents.JSON))

    def _time_out(self, waiting: Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            waiting.reply(Received([], [], self.state.revocations(0)[0]))

    def _changed(self) -> None:
        """Messages may be ready: let those who wait have them, in any order."""
        if self._waiting and not self._poking:
            self._poking = True
            self.world.after(0.0, self._poke)

    def _poke(self) -> None:
        self._poking = False
        waiting = list(self._waiting)
        self.world.random.shuffle(waiting)
        for each in waiting:
            received = self._claim(each.client, each.queues, each.limit)
            if received.deliveries:
                self._waiting.remove(each)
                each.reply(received)
        self._look_again()

    def _look_again(self) -> None:
        """Look when the next held message becomes due or the next lease ends."""
        if not self._waiting:
            return
        queues = list(dict.fromkeys(queue for each in self._waiting for queue in each.queues))
        change = self.state.next_change(queues)
        if change is None:
            return
        at = max(change - EPOCH, self.world.now) + BY_DEADLINE
        if self._look_at is None or at < self._look_at:
            self._look_at = at
            self.world.after(at - self.world.now, self._looked)

    def _looked(self) -> None:
        self._look_at = None
        self._poke()

    def left(self) -> dict[str, QueueCounts]:
        """How many messages are where, of the queues that have any."""
        return self.state.counts(self.state.queues())


def _effective(settlements: Sequence[Settlement], refused: Sequence[bytes]) -> list[bool]:
    """Which settlements took effect; of one claim that is settled twice in a batch, the first if any."""
    left = Counter(refused)
    effective = []
    for settlement in reversed(settlements):
        taken = left[settlement.claim] > 0
        left[settlement.claim] -= taken
        effective.append(not taken)
    return effective[::-1]


class Backend(Broker):
    """A place for results only, beside a broker that keeps the messages."""

    def settle(self, client: Client, settlements: Sequence[Settlement], queues: Sequence[str], limit: int) -> Received:
        """Store results; there are no claims here."""
        received = self.state.settle(client.holder, settlements, (), 0)
        for settlement in settlements:
            self._look_at_results(settlement)
        return received
