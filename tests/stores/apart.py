"""A broker and a backend in two places, workers whose every step can be the last, and the chains that they run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any

import msgspec

from celeriac import envelope
from celeriac.exceptions import OperationalError
from celeriac.message import Message
from celeriac.stores import memory
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Delivery, Disposition, Outgoing, Received, ResultRecord, Settlement, Store
from celeriac.stores.two_stores import TwoStores

QUEUE = "chains"
LEASE = 15.0
BROKER, BACKEND = "memory://apart-broker", "memory://apart-backend"
STEPS = ("publish", "settle", "record", "store_results")
"""The methods that change a store's content at the end of a task."""

Gate = Callable[[str], Awaitable[None]]


class Crash(BaseException):
    """The worker is dead."""


class Apart:
    """A broker that is not atomic: messages are confirmed one by one, then it acknowledges."""

    def __init__(self, broker: Store) -> None:
        self._broker = broker
        self.capabilities = msgspec.structs.replace(broker.capabilities, atomic=False)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        await self._broker.publish(messages)

    async def settle(self, settlements: Sequence[Settlement], queues: Sequence[str] = (), limit: int = 0) -> Received:
        follow_ups = [message for each in settlements for message in each.follow_ups]
        if follow_ups:
            await self.publish(follow_ups)
        rest = [msgspec.structs.replace(each, follow_ups=()) for each in settlements if each.claim]
        if not rest and limit <= 0:
            return Received([])
        return await self._broker.settle(rest, queues, limit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


class Gated:
    """Awaits a gate before and after each step of a store, and between two messages of a publication."""

    def __init__(self, store: Store, name: str, gate: Gate) -> None:
        self._store = store
        self._name = name
        self._gate = gate
        self.capabilities = store.capabilities

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            await self._passed("publish", self._store.publish, [message])

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in STEPS:
            return found

        async def called(*args: Any, **kwargs: Any) -> Any:
            return await self._passed(name, found, *args, **kwargs)

        return called

    async def _passed(self, name: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        await self._gate(f"before {self._name}.{name}")
        answer = await call(*args, **kwargs)
        await self._gate(f"after {self._name}.{name}")
        return answer


class Place(msgspec.Struct):
    """Where in which chain a message is."""

    chain: str
    step: int
    length: int


class Worker:
    """One process: takes messages of chains and ends their tasks."""

    def __init__(self, world: World, broker: Store, store: TwoStores) -> None:
        self._world = world
        self.broker = broker
        self.store = store
        self.hands: list[Delivery] = []

    async def take(self, limit: int = 100) -> int:
        received = await self.store.receive([QUEUE], limit, 0)
        self.hands += received.deliveries
        return len(received.deliveries)

    async def end(self, deliveries: Sequence[Delivery]) -> None:
        """Settle these as done, in one batch; again when a store fails, as the worker's settler does."""
        settlements = [self._world.run(each) for each in deliveries]
        while True:
            try:
                await self.store.settle(settlements)
            except OperationalError:
                continue
            break
        self.hands = [each for each in self.hands if each not in deliveries]

    async def die(self) -> None:
        """Its connections break: what it holds is ready again at once, as RabbitMQ does."""
        hands = [each.claim for each in self.hands]
        held = dict.fromkeys([*hands, *self.store.duplicates.claims, *self.store.outbox.claims])
        await self.store.duplicates.close()
        await self.store.outbox.close(0)
        await self.store.steps.close(0)
        lost = [Settlement(claim, Disposition.REDELIVER) for claim in held]
        await self.broker.settle(lost)
        await self.broker.close()


class World:
    """Both places, what was ever published, and what ran.

    Attributes:
        published: how often each message was published, by chain, step and task id.
        runs: how often each task ran.
    """

    def __init__(self) -> None:
        memory.discard("apart-broker")
        memory.discard("apart-backend")
        self.clock = memory.VirtualClock()
        self.published: Counter[tuple[str, int, str]] = Counter()
        self.runs: Counter[str] = Counter()
        self._ids = count(1)
        self.watch: Any = Watch(self, memory.open_store(self._options(BROKER)))
        self.backend = memory.open_store(self._options(BACKEND))

    def _options(self, url: str) -> StoreOptions:
        return StoreOptions(url=url, lease=LEASE, transport_options={"clock": self.clock})

    async def open(self) -> None:
        await self.watch.open()
        await self.backend.open()

    async def close(self) -> None:
        await self.watch.close()
        await self.backend.close()

    async def worker(self, gate: Gate, patience: float = 0.0) -> Worker:
        """A worker whose steps pass the gate."""
        broker: Any = Watch(self, memory.open_store(self._options(BROKER)))
        await broker.open()
        backend = memory.open_store(self._options(BACKEND))
        await backend.open()
        gated: Any = Gated(broker, "broker", gate)
        apart: Any = Apart(gated)
        results: Any = Gated(backend, "backend", gate)
        store = TwoStores(apart, results, LEASE, grace=60.0, now=self.clock.now, patience=patience)
        return Worker(self, broker, store)

    async def begin(self, chain: str, length: int) -> None:
        """Publish the first step of a chain."""
        await self.watch.publish([self._message(Place(chain, 1, length))])

    def _message(self, place: Place) -> Outgoing:
        task_id = f"{place.chain}.{place.step}.{next(self._ids)}"
        headers = {"task": "step", "id": task_id, "place": msgspec.to_builtins(place)}
        return Outgoing(QUEUE, envelope.encode(Message(headers, {}, b"[]"), "", QUEUE))

    def run(self, delivery: Delivery) -> Settlement:
        """Run a step: each run makes another message for the next step, as the child does, and stores who that is."""
        place, task_id = placed(delivery.payload)
        self.runs[task_id] += 1
        follow_ups = []
        if place.step < place.length:
            follow_ups = [self._message(Place(place.chain, place.step + 1, place.length))]
        children = [placed(each.payload)[1] for each in follow_ups]
        result = ResultRecord(task_id, msgspec.json.encode({"status": "SUCCESS", "children": children}))
        identity = envelope.identity_of(delivery.payload)
        return Settlement(delivery.claim, result=result, follow_ups=follow_ups, identity=identity)

    def successors(self, chain: str, step: int) -> dict[str, int]:
        """How often each message of that step was published, by its task id."""
        return {task_id: times for (name, at, task_id), times in self.published.items() if (name, at) == (chain, step)}

    async def assert_whole(self, chain: str, length: int) -> None:
        """Every step has exactly one message (or copies of it), ran, and its result names the one that followed."""
        following: list[str] = []
        for step in range(length, 0, -1):
            (task_id,) = self.successors(chain, step)
            (document,) = await self.backend.results([task_id])
            assert document is not None
            assert msgspec.json.decode(document)["children"] == following
            following = [task_id]


class Watch:
    """A broker that tells the world what was published."""

    def __init__(self, world: World, store: Store) -> None:
        self._world = world
        self._store = store

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        await self._store.publish(messages)
        for message in messages:
            place, task_id = placed(message.payload)
            self._world.published[place.chain, place.step, task_id] += 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def placed(payload: bytes) -> tuple[Place, str]:
    """The place and the task id of a message."""
    headers = envelope.decode(payload).headers
    return msgspec.convert(headers["place"], Place), headers["id"]


async def free(point: str) -> None:
    """The gate of a worker that nothing happens to."""
    await asyncio.sleep(0)


async def drain(world: World) -> None:
    """A worker that lives runs everything to its end, also what was in flight with others."""
    world.clock.advance(2 * LEASE)
    worker = await world.worker(free)
    await worker.store.renew([])
    while await worker.take() or len(worker.store.duplicates):
        await worker.end(list(worker.hands))
        while len(worker.store.duplicates):  # noqa: ASYNC110 - the second look is a task of its own
            await asyncio.sleep(0)
    await worker.store.close()
