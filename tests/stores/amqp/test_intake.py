"""Receiving from queues that are made again behind our back, and from servers that do not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from celeriac.routing import Exchange, Queue
from celeriac.stores.amqp.store import AmqpStore
from celeriac.stores.amqp.topology import MadeQueue
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Delivery, Settlement
from tests.proxy import Proxy
from tests.rabbitmq import RabbitServer
from tests.stores.conformance.messages import QUEUE, message, names_of
from tests.worker.running import until

pytestmark = pytest.mark.slow

Open = Callable[..., Awaitable[AmqpStore]]
OTHER = "other"
ROOM = 4
"""Messages that are asked for, and so what the server may send to a consumer that it forgot."""
ANSWER_TIMEOUT = 0.5
"""Seconds, instead of those that a server is given."""


def queue_of(kind: str, name: str = QUEUE) -> Queue:
    return Queue(name, Exchange(name), name, type=kind)


@pytest.fixture
def opened(vhost_url: str, async_cleanup: AsyncExitStack) -> Open:
    """Open stores at one empty virtual host."""

    async def make(url: str = "", **options: Any) -> AmqpStore:
        store = AmqpStore(StoreOptions(url=url or vhost_url, **options))
        await store.open()
        async_cleanup.push_async_callback(store.close)
        return store

    return make


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celeriac.stores.amqp.channel.ANSWER_TIMEOUT", ANSWER_TIMEOUT)


class Worker:
    """Receives for ever, and settles what it gets unless told not to.

    Attributes:
        names: what it got.
        keeps: names that it does not settle.
        kept: their deliveries.
    """

    def __init__(self, store: AmqpStore, queues: list[str], keeps: set[str]) -> None:
        self._store = store
        self._queues = queues
        self.names: list[str] = []
        self.keeps = keeps
        self.kept: dict[str, Delivery] = {}

    async def run(self) -> None:
        while True:
            received = await self._store.receive(self._queues, ROOM, 60)
            for delivery, name in zip(received.deliveries, names_of(received.deliveries), strict=True):
                self.names.append(name)
                if name in self.keeps:
                    self.kept[name] = delivery
                else:
                    await self._store.settle([Settlement(delivery.claim)])

    def has(self, *names: str) -> Callable[[], bool]:
        return lambda: set(names) <= set(self.names)


@asynccontextmanager
async def working(store: AmqpStore, queues: list[str], keeps: set[str]) -> AsyncIterator[Worker]:
    """A worker that consumes."""
    worker = Worker(store, queues, keeps)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.wait({task})


async def make_again(store: AmqpStore, queue: str) -> None:
    """Delete a queue and make it at once, as a client does that finds it missing."""
    channel = await store._receiving.channel()
    (made,) = [each for each in store._topology.of_queue(queue) if isinstance(each, MadeQueue)]
    deleted = channel.delete_queue(queue)
    await channel.declare_queue(queue, arguments=made.arguments)
    await deleted
    await channel.close()


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize("count", [1, 5 * ROOM], ids=["few", "many"])
async def test_a_queue_that_is_deleted_and_made_again_at_once_is_consumed_again(
    opened: Open, kind: str, count: int
) -> None:
    queues = (queue_of(kind), queue_of(kind, OTHER))
    store, other = await opened(queues=queues), await opened(queues=queues)
    await store.declare([QUEUE, OTHER])
    async with working(store, [QUEUE, OTHER], {"long"}) as worker:
        await other.publish([message("before"), message("long", OTHER)])
        await until(worker.has("before", "long"))
        await make_again(other, QUEUE)
        names = [f"after-{number}" for number in range(count)]
        await other.publish([message(name) for name in names])
        # What the forgotten consumer was sent is free when the channel of the long task is not needed any more.
        withheld = min(count, ROOM) if kind == "quorum" else 0
        await until(lambda: len(worker.names) >= 2 + count - withheld)
        assert (await store.settle([Settlement(worker.kept["long"].claim)])).refused == []
        await until(worker.has(*names))
        await other.publish([message("last"), message("least", OTHER)])
        await until(worker.has("last", "least"))
        assert len(worker.names) == len(set(worker.names)), "nothing came twice"


async def test_messages_that_are_withheld_are_one_warning_that_names_the_queue(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store, other = await opened(queues=(queue_of("quorum"),)), await opened(queues=(queue_of("quorum"),))
    await store.declare([QUEUE])
    async with working(store, [QUEUE], set()) as worker:
        await other.publish([message("before")])
        await until(worker.has("before"))
        await make_again(other, QUEUE)
        names = [f"after-{number}" for number in range(5 * ROOM)]
        await other.publish([message(name) for name in names])
        await until(worker.has(*names))
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(loud) == 1
    assert f"{QUEUE!r} has " in loud[0]


async def test_an_idle_queue_is_consumed_anew_in_silence_and_nothing_is_lost_or_repeated(
    opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("celeriac.stores.amqp.quiet._RENEW_AFTER", 0)
    monkeypatch.setattr("celeriac.stores.amqp.quiet._is_due", lambda looks: True)
    monkeypatch.setattr("celeriac.stores.amqp.intake.LOOK_EACH", 0.0)
    store, other = await opened(queues=(queue_of("quorum"),)), await opened(queues=(queue_of("quorum"),))
    await store.declare([QUEUE])
    channels = set()
    async with working(store, [QUEUE], set()) as worker:
        names = [f"{number}" for number in range(50)]
        for name in names:
            await other.publish([message(name)])
            await until(worker.has(name))
            channels.add(store._intake._channel)
        assert worker.names == names
    assert len(channels) > 2
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@asynccontextmanager
async def without_leader(server: RabbitServer, vhost_url: str, queue: str) -> AsyncIterator[None]:
    """A quorum queue that answers nobody, as in an election."""
    process = f"whereis('{vhost_url.rpartition('/')[2]}_{queue}')"
    await asyncio.to_thread(server.ctl, "eval", f"sys:suspend({process}).")
    try:
        yield
    finally:
        await asyncio.to_thread(server.ctl, "eval", f"sys:resume({process}).")


@pytest.mark.usefixtures("impatient")
async def test_a_queue_without_a_leader_holds_up_neither_the_caller_nor_another_queue(
    opened: Open,
    rabbitmq: RabbitServer,
    vhost_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("celeriac.stores.amqp.intake._STUCK_AT_MOST", 100)
    queues = (queue_of("quorum"), queue_of("classic", OTHER))
    store, other = await opened(queues=queues), await opened(queues=queues)
    await store.declare([QUEUE, OTHER])
    await other.publish([message("first", OTHER), message("a")])
    (first,) = (await store.receive([OTHER], 1, 0)).deliveries
    async with without_leader(rabbitmq, vhost_url, QUEUE):
        await other.publish([message("b", OTHER)])
        names: list[str] = []

        async def got_b() -> bool:
            names.extend(names_of((await store.receive([QUEUE, OTHER], 2, 0)).deliveries))
            return "b" in names

        async with asyncio.timeout(20 * ANSWER_TIMEOUT):
            await until(got_b)
            assert (await store.receive([QUEUE], 1, 0)).deliveries == []
        assert (await store.settle([Settlement(first.claim)])).refused == []
    assert names == ["b"]
    async with asyncio.timeout(20):
        assert names_of((await store.receive([QUEUE], 1, 15)).deliveries) == ["a"]
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(loud) == 1
    assert "has not answered basic.get" in loud[0]


@pytest.mark.usefixtures("impatient")
async def test_a_consumer_that_no_queue_confirms_is_begun_on_another_channel(
    opened: Open, rabbitmq: RabbitServer, vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celeriac.stores.amqp.intake._STUCK_AT_MOST", 100)
    store, other = await opened(queues=(queue_of("quorum"),)), await opened(queues=(queue_of("quorum"),))
    await store.declare([QUEUE])
    async with without_leader(rabbitmq, vhost_url, QUEUE), working(store, [QUEUE], set()) as worker:
        await until(lambda: store._intake.consuming or store._intake._unanswered > 0)
        await until(lambda: store._intake._unanswered > 1)
    async with working(store, [QUEUE], set()) as worker:
        await other.publish([message("a")])
        await until(worker.has("a"))


@pytest.mark.usefixtures("impatient")
async def test_a_connection_on_which_nothing_is_answered_is_left_though_there_are_no_heartbeats(
    opened: Open, rabbitmq: RabbitServer, vhost_url: str, proxy: Proxy
) -> None:
    place = f"amqp://guest:guest@127.0.0.1:{proxy.port}/{vhost_url.rpartition('/')[2]}?heartbeat=0"
    store, other = await opened(place), await opened()
    await store.declare([QUEUE])
    await other.publish([message("a")])
    proxy.silence()
    names: list[str] = []

    async def received() -> bool:
        names.extend(names_of((await store.receive([QUEUE], 1, 0)).deliveries))
        return bool(names)

    async with asyncio.timeout(20 * ANSWER_TIMEOUT):
        await until(received)
    assert names == ["a"]
