"""A small world in which a canvas runs: messages one at a time, in any order, with duplicates and crashes in between.

What a worker does is done by hand here: a message is claimed, run as a child would, and its outcome settled. After each
of these steps the worker may die: then nothing of what it did not settle has happened, and somebody else runs the
message again. So a seed is one interleaving, and a canvas takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Final

from celeriac import envelope
from celeriac.app import flow
from celeriac.app.runner import TaskRunner
from celeriac.pools.pool import Outcome, Work
from celeriac.stores.chords import needs_record
from celeriac.stores.memory.clock import VirtualClock
from celeriac.stores.memory.state import Holder, State
from celeriac.stores.memory.sync import SyncMemoryStore
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Completed, Delivery, Disposition, Outgoing, ResultRecord, Settlement
from celeriac.stores.two_stores import SyncTwoStores

from .generator import build
from .kit import FLAVOURS, JOURNAL, CeleriacKit, app_of
from .plan import Call, Plan, calls_of
from .sightings import Observed, Sightings, watch, without_ids

__all__ = ["SIZES", "World", "cut_at", "quiet_in", "run_plan"]

MOST_MESSAGES: Final = 20_000
"""A canvas that is not done after so many runs never ends."""
VERDICTS: Final = {"revoked": ("revoked", "revoked"), "expired": ("revoked", "expired"), "lost": ("lost", "lost {}")}
SIZES: Final = ((16_384, 1024), (16_384, 1024), (2000, 400), (600, 300))
"""Above which bytes a workflow is stored, and below which never: the real ones, and some that small canvases reach."""


class World:
    """One run of one canvas.

    Args:
        seed: of everything that is left to chance.
        faulty: things go wrong.
        flavour: of the app; None draws one.
        apart: messages and results are in two stores, and the broker is not atomic.
    """

    def __init__(self, seed: int, faulty: bool = True, flavour: str | None = None, apart: bool = False) -> None:
        self.random = Random(seed)
        flavours = ["plain"] * 7 + [name for name in FLAVOURS if name != "extended" or not apart]
        self.app = app_of(flavour or self.random.choice(flavours))
        self.apart = apart
        self.crash = self.random.choice((0.0, 0.05, 0.3)) if faulty else 0.0
        self.shuffled = faulty
        self.sizes = self.random.choice(SIZES) if faulty else SIZES[0]
        self.sightings = Sightings()
        self.broker = watch(State(VirtualClock()), self.sightings)
        self.backend = watch(State(VirtualClock()), self.sightings) if apart else self.broker
        self.holder = Holder(StoreOptions(url="memory://", lease=1e9))
        self.broker.add_holder(self.holder)
        self.committed: dict[str, list[Any]] = {}
        self._runner = TaskRunner(self.app, "world@here", True)
        broker = SyncMemoryStore(self.broker)
        store = SyncTwoStores(broker, SyncMemoryStore(self.backend)) if apart else broker
        assert self.app.store is not None  # it is open: now it is replaced
        self.app.connections._sync = store  # type: ignore[assignment]  # a store of ours

    def run(self, plan: Plan) -> Observed:
        """Run the canvas of a plan to its end."""
        self._fates = {
            call.label: VERDICTS[call.fate] for call in calls_of(plan) if getattr(call, "fate", "") in VERDICTS
        }
        with cut_at(self.sizes):
            handle = build(plan, CeleriacKit(self.app)).apply_async()
            self._work()
        observed = self.sightings.conclude(self.app, self.backend, handle, quiet_in(plan))
        for told in self.committed.values():
            for errback, task_id, text in told:
                label = self.sightings.labels.get(task_id, 0)
                observed.errbacks[errback, label, None if text is None else without_ids(text)] += 1
        return observed

    # -- working -----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        queues = [self.app.queues.default.name, flow.workflow_queue(self.app)]
        flying: list[Delivery] = []
        zombies: list[Settlement] = []
        for number in range(1, MOST_MESSAGES):
            limit = self.random.randint(1, 8) if self.shuffled else 1
            flying += self.broker.claim(self.holder, queues, limit).deliveries
            if not flying:
                break
            delivery = flying.pop(self.random.randrange(len(flying)) if self.shuffled else 0)
            if self._dies():
                self._redeliver(delivery)
                continue
            settlement = self._settlement(number, delivery)
            if not self._dies():
                self._settle(settlement, delivery)
            else:
                self._redeliver(delivery)
                if self.random.random() < 0.5:  # it lives, only its lease ended: it will say what came of it, too late
                    zombies.append(settlement)
            if zombies and self._dies():
                self._settle_late(zombies.pop())
        else:
            raise AssertionError(f"not done after {MOST_MESSAGES} messages")
        for settlement in zombies:
            self._settle_late(settlement)

    def _dies(self) -> bool:
        return self.random.random() < self.crash

    def _redeliver(self, delivery: Delivery) -> None:
        self.broker.settle(self.holder, [Settlement(delivery.claim, Disposition.REDELIVER)], (), 0)

    def _settlement(self, number: int, delivery: Delivery) -> Settlement:
        """Run a message."""
        message = envelope.decode(delivery.payload)
        verdict, reason = self._fates.get(message.headers.get("label", 0), ("", ""))
        work = Work(number, delivery.payload, delivery.queue, delivery.losses, verdict=verdict)
        work.reason = reason.format(message.headers.get("label"))
        JOURNAL.clear()
        outcome: Outcome = self._runner.load(work).run()
        self._told = list(JOURNAL)
        result = None
        if outcome.result is not None:
            result = ResultRecord(message.headers["id"], outcome.result, outcome.state)
        effects = outcome.effects
        settlement = Settlement(delivery.claim, result=result, follow_ups=outcome.follow_ups, effects=effects)
        if outcome.follow_ups or (effects is not None and (needs_record(effects) or effects.closed)):
            settlement.identity = envelope.identity_of(delivery.payload)
        return settlement

    def _settle(self, settlement: Settlement, delivery: Delivery) -> None:
        identity = envelope.identity_of(delivery.payload)
        if self.apart:
            self._settle_apart(settlement, delivery, identity)
            return
        refused = self.broker.settle(self.holder, [settlement], (), 0).refused
        assert not refused, "a claim that nobody had taken away was refused"
        assert identity not in self.committed, "a message was settled twice"
        self.committed[identity] = self._told

    def _settle_apart(self, settlement: Settlement, delivery: Delivery, identity: str) -> None:
        """As :class:`celeriac.stores.two_stores.TwoStores` does with a broker that is not atomic."""
        recorded = self.backend.record([settlement], [])[0]
        self.committed.setdefault(identity, self._told)
        if self._dies():
            self._redeliver(delivery)
            return
        follow_ups: Sequence[Outgoing] = settlement.follow_ups if recorded is None else []
        if isinstance(recorded, Completed):
            follow_ups = [*recorded.completions, *settlement.follow_ups]
        elif recorded is not None:
            follow_ups = recorded
        self.broker.publish(follow_ups)
        if self._dies():
            self._redeliver(delivery)
            return
        if settlement.identity:
            self.backend.record([], [settlement.identity])
        if self._dies():
            self._redeliver(delivery)
        else:
            self.broker.settle(self.holder, [Settlement(delivery.claim)], (), 0)

    def _settle_late(self, settlement: Settlement) -> None:
        """By one whose claim is lost; where messages are elsewhere it would have asked first."""
        if not self.apart:
            refused = self.broker.settle(self.holder, [settlement], (), 0).refused
            assert refused == [settlement.claim], "a lost claim settled its message"


@contextmanager
def cut_at(sizes: tuple[int, int]) -> Iterator[None]:
    """Workflows above the first of these sizes in bytes are stored, those below the second never."""
    before = flow.LARGEST_EMBEDDED, flow.SMALL
    flow.LARGEST_EMBEDDED, flow.SMALL = sizes  # type: ignore[misc]  # for this block
    try:
        yield
    finally:
        flow.LARGEST_EMBEDDED, flow.SMALL = before  # type: ignore[misc]  # as it was


def quiet_in(plan: Plan) -> set[int]:
    """The labels of the calls whose results are not stored."""
    return {call.label for call in calls_of(plan) if isinstance(call, Call) and call.quiet}


def run_plan(seed: int, plan: Plan, **how: Any) -> Observed:
    """Run the canvas of a plan in a world of that seed."""
    return World(seed, **how).run(plan)
