"""Tasks that take longer than the server waits for an acknowledgement."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from celeriac.stores.amqp.store import AmqpStore
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Disposition, Settlement
from tests.rabbitmq import RabbitServer, rabbitmq_server
from tests.stores.conformance.messages import QUEUE, message, names_of, take, take_one
from tests.worker.running import until

TIMEOUT = 2.0
"""Seconds of the server's consumer_timeout."""
TICK = 200
"""Milliseconds between two looks of the server."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def impatient() -> Iterator[RabbitServer]:
    """A server that waits for two seconds only."""
    with rabbitmq_server(consumer_timeout=int(TIMEOUT * 1000)) as server:
        server.evaluate(f"application:set_env(rabbit, channel_tick_interval, {TICK})")
        yield server


async def opened(url: str, cleanup: AsyncExitStack, **transport: object) -> AmqpStore:
    store = AmqpStore(StoreOptions(url=url, transport_options=transport))
    await store.open()
    cleanup.push_async_callback(store.close)
    await store.declare([QUEUE])
    await store.purge(QUEUE)
    return store


async def test_a_message_that_is_not_acknowledged_in_time_is_lost(
    impatient: RabbitServer, async_cleanup: AsyncExitStack
) -> None:
    """What parking is for: without it the server takes the message away."""
    store = await opened(impatient, async_cleanup)
    await store.publish([message("a")])
    delivery = await take_one(store)

    async def is_lost() -> bool:
        return bool(await store.renew([delivery.claim]))

    await until(is_lost, 4 * TIMEOUT)


async def test_a_task_may_run_for_much_longer_than_the_server_waits(
    impatient: RabbitServer, async_cleanup: AsyncExitStack
) -> None:
    store = await opened(impatient, async_cleanup, consumer_timeout=TIMEOUT)
    other = await opened(impatient, async_cleanup, consumer_timeout=TIMEOUT)
    await store.publish([message("a"), message("b")])
    first, second = await take(store, 2)
    loop = asyncio.get_running_loop()
    end = loop.time() + 3 * TIMEOUT
    while loop.time() < end:
        assert await store.renew([first.claim, second.claim]) == []
        assert await take(other) == []
        await asyncio.sleep(0.1)
    assert (await store.settle([Settlement(first.claim), Settlement(second.claim)])).refused == []
    assert await take(other) == []
    assert (await store.counts([QUEUE]))[QUEUE].ready == 0


async def test_a_parked_message_that_is_given_back_spends_no_loss(
    impatient: RabbitServer, async_cleanup: AsyncExitStack
) -> None:
    store = await opened(impatient, async_cleanup, consumer_timeout=TIMEOUT)
    await store.publish([message("a")])
    delivery = await take_one(store)
    await asyncio.sleep(TIMEOUT)
    await store.settle([Settlement(delivery.claim, Disposition.GIVE_BACK)])
    again = await take_one(store)
    assert (names_of([again]), again.losses) == (["a"], 0)


async def test_the_parked_message_of_a_lost_worker_goes_back_to_its_queue(
    impatient: RabbitServer, async_cleanup: AsyncExitStack
) -> None:
    lost = await opened(impatient, async_cleanup, consumer_timeout=TIMEOUT)
    heir = await opened(impatient, async_cleanup)
    await lost.publish([message("a")])
    await take_one(lost)
    await asyncio.sleep(TIMEOUT)
    lost._receiving._connection._transport.abort()  # type: ignore[union-attr]  # as if the process had been killed
    received = await heir.receive([QUEUE], 1, 30)
    assert names_of(received.deliveries) == ["a"]
    assert received.deliveries[0].losses == 0
