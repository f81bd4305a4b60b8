"""A small world in which a canvas runs: messages one at a time, in any order, with duplicates and crashes in between.

What a worker does is done by hand here: a message is claimed, run as a child would, and its outcome settled. After each
of these steps the worker may die: then nothing of what it did not settle has happened, and somebody else runs the
message again. So a seed is one interleaving, and a canvas takes milliseconds.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any, Final

import msgspec

from celeriac import documents, envelope
from celeriac.app import flow
from celeriac.app.runner import TaskRunner
from celeriac.message import body_of
from celeriac.pools.pool import Outcome, Work
from celeriac.serialization.failures import decode_exception
from celeriac.states import SUCCESS
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

__all__ = ["Observed", "World", "run_plan", "without_ids"]

ALL_CONTENT: Final = frozenset({"application/json", "application/x-python-serialize"})
MOST_MESSAGES: Final = 20_000
"""A canvas that is not done after so many runs never ends."""
VERDICTS: Final = {"revoked": ("revoked", "revoked"), "expired": ("revoked", "expired"), "lost": ("lost", "lost {}")}
UNREADY: Final = ("RETRY", "STARTED")
"""States that an ignored task keeps."""
_DEPENDENCY: Final = re.compile(r"Dependency [0-9a-f-]{36} raised")


class Observed:
    """What became of a canvas; as :class:`~tests.canvas.evaluator.Evaluation`.

    Attributes:
        settled, errbacks: as there.
        ended: state and value of every result that the caller's handle has, from the left.
        published: messages, by the names of their tasks.
        sizes: bytes of the messages and documents of each kind.
    """

    def __init__(self) -> None:
        self.settled: Counter[tuple[int, str, str]] = Counter()
        self.errbacks: Counter[tuple[int, int, str | None]] = Counter()
        self.ended: list[tuple[str, Any]] = []
        self.published: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()


class WatchedState(State):
    """A store that shows what is published and stored in it."""

    def __init__(self, world: World) -> None:
        super().__init__(VirtualClock())
        self._world = world

    def _publish(self, messages: Any, now: float) -> None:
        messages = list(messages)
        for message in messages:
            self._world.saw(message)
        super()._publish(messages, now)


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
        self.app = app_of(flavour or self.random.choice(["plain"] * 7 + list(FLAVOURS)))
        self.apart = apart
        self.crash = self.random.choice((0.0, 0.05, 0.3)) if faulty else 0.0
        self.shuffled = faulty
        self.broker = WatchedState(self)
        self.backend = State(VirtualClock()) if apart else self.broker
        self.holder = Holder(StoreOptions(url="memory://", lease=1e9))
        self.broker.add_holder(self.holder)
        self.observed = Observed()
        self.labels: dict[str, int] = {}
        self.committed: dict[str, list[Any]] = {}
        self._runner = TaskRunner(self.app, "world@here", True)
        broker = SyncMemoryStore(self.broker)
        store = SyncTwoStores(broker, SyncMemoryStore(self.backend)) if apart else broker
        assert self.app.store is not None  # it is open: now it is replaced
        self.app.connections._sync = store  # type: ignore[assignment]  # a store of ours
        self._sizes = self.random.choice(((16_384, 1024), (16_384, 1024), (2000, 400), (600, 300))) if faulty else None

    def run(self, plan: Plan) -> Observed:
        """Run the canvas of a plan to its end."""
        before = flow.LARGEST_EMBEDDED, flow.SMALL
        if self._sizes is not None:
            flow.LARGEST_EMBEDDED, flow.SMALL = self._sizes  # type: ignore[misc]  # for this run
        try:
            self._fates = {
                call.label: VERDICTS[call.fate] for call in calls_of(plan) if getattr(call, "fate", "") in VERDICTS
            }
            handle = build(plan, CeleriacKit(self.app)).apply_async()
            self._work()
        finally:
            flow.LARGEST_EMBEDDED, flow.SMALL = before  # type: ignore[misc]  # as it was
        self._look(plan, handle)
        return self.observed

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
            elif self.random.random() < 0.5:
                self._redeliver(delivery)
            else:  # its lease ends, and it says all the same what came of it, when somebody else has it
                self._redeliver(delivery)
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
        result = None
        if outcome.result is not None:
            result = ResultRecord(message.headers["id"], outcome.result, outcome.state)
        effects = outcome.effects
        identity = envelope.identity_of(delivery.payload)
        self._told = list(JOURNAL)
        once = bool(outcome.follow_ups) or (effects is not None and needs_record(effects))
        settlement = Settlement(delivery.claim, result=result, follow_ups=outcome.follow_ups, effects=effects)
        settlement.identity = identity if once else ""
        return settlement

    def _settle(self, settlement: Settlement, delivery: Delivery) -> None:
        identity = envelope.identity_of(delivery.payload)
        if not self.apart:
            refused = self.broker.settle(self.holder, [settlement], (), 0).refused
            assert not refused, "a claim that nobody had taken away was refused"
            assert identity not in self.committed, "a message was settled twice"
            self.committed[identity] = self._told
            return
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

    # -- looking -----------------------------------------------------------------------------------------------------

    def saw(self, message: Outgoing) -> None:
        """A message is published: remember the ids that it tells."""
        decoded = envelope.decode(message.payload)
        name = str(decoded.headers["task"])
        self.observed.published[name] += 1
        self.observed.sizes[name] += len(message.payload)
        self._learn(body_of(decoded, ALL_CONTENT, 1 << 30))
        if "label" in decoded.headers:
            self.labels[decoded.headers["id"]] = decoded.headers["label"]

    def _learn(self, value: Any) -> None:
        """The ids of calls, in anything that a message carries."""
        if isinstance(value, dict):
            options = value.get("options")
            if isinstance(options, dict) and isinstance(options.get("headers"), dict) and options.get("task_id"):
                self.labels[options["task_id"]] = options["headers"]["label"]
            for each in value.values():
                self._learn(each)
        elif isinstance(value, (list, tuple)):
            for each in value:
                self._learn(each)

    def _look(self, plan: Plan, handle: Any) -> None:
        observed = self.observed
        known = dict(self.labels)
        for (kind, _), (_, payload) in self.backend._workflows.documents._stored.items():
            if kind == "flow":
                observed.sizes["documents"] += len(payload)
                content = payload.split(b"\n", 2)[2]
                self._learn(msgspec.json.decode(content) if content[:1] == b"{" else _unpickled(content))
        self.labels.update(known)  # what was published last is what has the id
        quiet = {call.label for call in calls_of(plan) if isinstance(call, Call) and call.quiet}
        for task_id, label in self.labels.items():
            found = self._result(task_id)
            if found is not None and found[0] not in UNREADY and label not in quiet:
                observed.settled[label, found[0], json.dumps(found[1])] += 1
        for told in self.committed.values():
            for errback, task_id, text in told:
                label = self.labels.get(task_id, 0)
                observed.errbacks[errback, label, None if text is None else without_ids(text)] += 1
        if handle is not None:
            ends = [self._result(each.id) for each in _leaves(handle)]
            observed.ended = [end if end and end[0] not in UNREADY else ("PENDING", None) for end in ends]

    def _result(self, task_id: str) -> tuple[str, Any] | None:
        (payload,) = self.backend.results([task_id])
        if payload is None:
            return None
        document = documents.decode(payload, self.app.settings.result_serializer, self.app.accepted_results())
        state, value = document["status"], document["result"]
        return (state, value) if state == SUCCESS else (state, without_ids(repr(decode_exception(value))))


def run_plan(seed: int, plan: Plan, **how: Any) -> Observed:
    """Run the canvas of a plan in a world of that seed."""
    return World(seed, **how).run(plan)


def without_ids(text: str) -> str:
    """A failure's text without the ids in it, which are others in every run."""
    return _DEPENDENCY.sub("Dependency raised", text)


def _leaves(handle: Any) -> list[Any]:
    results = getattr(handle, "results", None)
    return [handle] if results is None else [leaf for each in results for leaf in _leaves(each)]


def _unpickled(content: bytes) -> Any:
    import pickle

    return pickle.loads(content)
