"""Any sequence of calls, against a model: every message is in exactly one place at every instant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from celeriac.stores.store import Disposition, ResultRecord, Settlement, Store

from .family import Family, MemoryFamily
from .messages import message, name_of, names_of

T = TypeVar("T")
QUEUES = ["one", "two"]
FAR = 3600.0
"""Seconds: no real store reaches that during a test."""

MakeFamily = Callable[[AsyncExitStack], Family]


class StoreMachine(RuleBasedStateMachine):
    """Messages move between ready, held, in flight and dead, in the store as in the model.

    The model is one set of names for each place, the losses and holds of each message, and the stale claims.
    """

    def __init__(self, make_family: MakeFamily) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._cleanup = AsyncExitStack()
        self._family = make_family(self._cleanup)
        self._store: Store = self._run(self._family.open())
        self._names = 0
        self.ready: dict[str, str] = {}
        self.held: dict[str, str] = {}
        self.flying: dict[bytes, str] = {}
        self.dead: dict[str, str] = {}
        self.stale: list[bytes] = []
        self.losses: dict[str, int] = {}
        self.holds: dict[str, int] = {}
        self.queue: dict[str, str] = {}
        self.results: dict[str, bytes] = {}

    def teardown(self) -> None:
        if self._family.lags:
            self._run(self._family.eventually(self._counts_are_right))
        self._run(self._cleanup.aclose())
        self._runner.close()

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(call)

    def _new_name(self, queue: str) -> str:
        self._names += 1
        name = f"m{self._names}"
        self.queue[name] = queue
        self.losses[name] = self.holds[name] = 0
        return name

    def _settle(self, *settlements: Settlement) -> list[bytes]:
        return self._run(self._store.settle(settlements)).refused

    @rule(queue=st.sampled_from(QUEUES), count=st.integers(1, 4), priority=st.sampled_from([0, 3, 9]))
    def publish(self, queue: str, count: int, priority: int) -> None:
        names = [self._new_name(queue) for _ in range(count)]
        self._run(self._store.publish([message(name, queue, priority=priority) for name in names]))
        self.ready.update(dict.fromkeys(names, queue))

    @rule(queue=st.sampled_from(QUEUES))
    def publish_held(self, queue: str) -> None:
        name = self._new_name(queue)
        self._run(self._store.publish([message(name, queue, due=self._family.now() + FAR)]))
        self.held[name] = queue

    @rule(queues=st.sampled_from([QUEUES, QUEUES[:1], QUEUES[1:]]), limit=st.integers(0, 5))
    def receive(self, queues: list[str], limit: int) -> None:
        deliveries = self._run(self._store.receive(queues, limit, 0)).deliveries
        ready = [name for name, queue in self.ready.items() if queue in queues]
        assert len(deliveries) == min(limit, len(ready))
        assert len({delivery.claim for delivery in deliveries} | set(self.stale) | set(self.flying)) == len(
            deliveries
        ) + len(self.stale) + len(self.flying)
        for delivery in deliveries:
            name = name_of(delivery.payload)
            assert delivery.queue == self.queue[name]
            assert (delivery.losses, delivery.holds) == (self.losses[name], self.holds[name])
            del self.ready[name]
            self.flying[delivery.claim] = name

    def _pick(self, data: st.DataObject) -> tuple[bytes, str]:
        claim = data.draw(st.sampled_from(sorted(self.flying)))
        name = self.flying.pop(claim)
        self.stale.append(claim)
        return claim, name

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), follow_up=st.booleans(), state=st.sampled_from(["SUCCESS", "FAILURE"]))
    def acknowledge(self, data: st.DataObject, follow_up: bool, state: str) -> None:
        claim, name = self._pick(data)
        queue = self.queue[name]
        follow_ups = [self._new_name(queue)] if follow_up else []
        result = ResultRecord(name, state.encode(), state)
        assert self._settle(Settlement(claim, result=result, follow_ups=[message(n, queue) for n in follow_ups])) == []
        self.ready.update(dict.fromkeys(follow_ups, queue))
        self.results[name] = state.encode()

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), counted=st.booleans())
    def hold(self, data: st.DataObject, counted: bool) -> None:
        claim, name = self._pick(data)
        assert self._settle(Settlement(claim, Disposition.HOLD, delay=FAR, counted=counted)) == []
        self.holds[name] += counted
        self.held[name] = self.queue[name]

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), lost=st.booleans())
    def give_back(self, data: st.DataObject, lost: bool) -> None:
        claim, name = self._pick(data)
        assert self._settle(Settlement(claim, Disposition.REDELIVER if lost else Disposition.GIVE_BACK)) == []
        self.losses[name] += lost
        self.ready[name] = self.queue[name]

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def dead_letter(self, data: st.DataObject) -> None:
        claim, name = self._pick(data)
        assert self._settle(Settlement(claim, Disposition.DEAD_LETTER, reason=name)) == []
        self.dead[name] = self.queue[name]

    @precondition(lambda self: self.dead)
    @rule(data=st.data(), replay=st.booleans())
    def end_dead_letter(self, data: st.DataObject, replay: bool) -> None:
        letters = {letter.reason: letter for letter in self._run(self._store.dead_letters())}
        assert sorted(letters) == sorted(self.dead)
        name = data.draw(st.sampled_from(sorted(letters)))
        change = self._store.replay if replay else self._store.drop
        assert self._run(change([letters[name].id])) == 1
        queue = self.dead.pop(name)
        if replay:
            self.losses[name] = self.holds[name] = 0
            self.ready[name] = queue

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), disposition=st.sampled_from([d for d in Disposition if d is not Disposition.NONE]))
    def settle_a_stale_claim(self, data: st.DataObject, disposition: Disposition) -> None:
        claim = data.draw(st.sampled_from(self.stale))
        follow_ups = [message("never", QUEUES[0])]
        self._settle(Settlement(claim, disposition, result=ResultRecord("never", b""), follow_ups=follow_ups))

    @rule()
    def renew(self) -> None:
        assert self._run(self._store.renew(list(self.flying))) == []

    @rule(queue=st.sampled_from(QUEUES))
    def purge(self, queue: str) -> None:
        places = (self.ready, self.held) if self._family.counts_all else (self.ready,)
        doomed = [name for place in places for name, where in place.items() if where == queue]
        assert self._run(self._store.purge(queue)) == len(doomed)
        for name in doomed:
            self.ready.pop(name, None)
            self.held.pop(name, None)

    @precondition(lambda self: isinstance(self._family, MemoryFamily))
    @rule()
    def let_everything_become_due(self) -> None:
        assert isinstance(self._family, MemoryFamily)
        self._family.clock.advance(2 * FAR)
        lost = self._run(self._store.renew([]))
        assert lost == []
        for claim, name in self.flying.items():
            self.losses[name] += 1
            self.ready[name] = self.queue[name]
            self.stale.append(claim)
        self.flying.clear()
        self.ready.update(self.held)
        self.held.clear()
        # Looking at a queue is enough for what is due to become ready.
        for queue in QUEUES:
            self._run(self._store.peek(queue, 1))

    @precondition(lambda self: not self._family.lags)
    @invariant()
    def the_counts_are_those_of_the_model(self) -> None:
        self._run(self._family.eventually(self._counts_are_right))

    async def _counts_are_right(self) -> bool:
        counts = await self._store.counts(QUEUES)
        for queue in QUEUES:
            places = (self.ready, self.held, self.dead)
            ready, held, dead = [sum(where == queue for where in place.values()) for place in places]
            flying = sum(self.queue[name] == queue for name in self.flying.values())
            if not self._family.tells(counts[queue], ready=ready, held=held, dead=dead, in_flight=flying):
                return False
        return True

    @precondition(lambda self: not self._family.lags)
    @invariant()
    def peeking_shows_exactly_the_ready_messages(self) -> None:
        for queue in QUEUES:
            names = names_of(self._run(self._store.peek(queue, 1000)))
            assert sorted(names) == sorted(name for name, where in self.ready.items() if where == queue)

    @invariant()
    def results_are_those_of_settled_claims(self) -> None:
        stored = self._run(self._store.results([*self.results, "never"]))
        assert stored == [*self.results.values(), None]


@pytest.mark.slow
def test_every_message_is_in_exactly_one_place_whatever_happens(make_family: MakeFamily) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(make_family),  # type: ignore[arg-type]  # it takes any factory
        settings=settings(max_examples=25, stateful_step_count=30, suppress_health_check=list(HealthCheck)),
    )
