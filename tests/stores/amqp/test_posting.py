"""Transient replies behind a fence: sent again when the connection breaks, bounded by deadlines, before their
acknowledgement."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from celeriac.exceptions import OperationalError
from celeriac.ids import reply_queue
from celeriac.stores.amqp.errors import Blocked
from celeriac.stores.amqp.mailbox import mailbox
from celeriac.stores.amqp.rpc import RpcStore
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import Outgoing, ResultRecord, Settlement
from tests.proxy import Proxy
from tests.rabbitmq import RabbitServer
from tests.stores.conformance.messages import QUEUE, message, payload_of, take_one
from tests.worker.running import until

pytestmark = pytest.mark.slow

Open = Callable[..., Awaitable[RpcStore]]
TIMEOUT = 0.5


@pytest.fixture
def opened(vhost_url: str, async_cleanup: AsyncExitStack) -> Open:
    """Open stores at one empty virtual host."""

    async def make(port: int = 0, persistent: bool = False, **options: Any) -> RpcStore:
        url = f"amqp://guest:guest@127.0.0.1:{port}/{vhost_url.rpartition('/')[2]}" if port else vhost_url
        store = RpcStore(StoreOptions(url=url, **options), StoreOptions(url="rpc://", result_persistent=persistent))
        await store.open()
        async_cleanup.push_async_callback(store.close)
        async_cleanup.callback(mailbox().forget, ["a", "b"])
        await store.publish([message("warm")])  # the reply queue is there now
        await store.settle([Settlement((await take_one(store)).claim)])
        return store

    return make


def record(name: str, queue: str = "") -> ResultRecord:
    return ResultRecord(name, b"{}", reply_to=queue or reply_queue())


async def came(store: RpcStore, name: str) -> None:
    async def is_there() -> bool:
        return (await store.results([name]))[0] is not None

    await until(is_there)


@pytest.mark.parametrize("persistent", [False, True])
async def test_a_reply_that_was_under_way_when_the_connection_broke_is_sent_again(
    opened: Open, proxy: Proxy, persistent: bool
) -> None:
    store = await opened(proxy.port, persistent)
    await store.store_results([record("b")])
    await came(store, "b")
    proxy.break_before(b"the result")
    await store.store_results([ResultRecord("a", b"the result", reply_to=reply_queue())])
    await came(store, "a")


async def test_replies_to_a_queue_that_is_gone_are_dropped_and_the_others_arrive(opened: Open) -> None:
    store = await opened()
    await store.store_results([record("a", "nobody's"), record("b")])
    await came(store, "b")


async def test_a_message_is_kept_until_its_reply_was_taken(opened: Open, rabbitmq: RabbitServer) -> None:
    store = await opened(publish_timeout=TIMEOUT)
    await store.publish([Outgoing(QUEUE, payload_of("a", reply_to=reply_queue(), correlation_id="a"))])
    ended = Settlement((await take_one(store)).claim, result=ResultRecord("a", b"{}"))
    rabbitmq.block_publishers()
    try:
        for _ in range(2):
            start = time.monotonic()
            with pytest.raises(Blocked, match="publish_timeout"):
                await store.settle([ended])
            assert time.monotonic() - start < TIMEOUT * 3
        assert await store.renew([ended.claim]) == [], "it is still ours"
    finally:
        rabbitmq.unblock_publishers()

    async def is_settled() -> bool:
        try:
            return (await store.settle([ended])).refused == []
        except OperationalError:
            return False

    await until(is_settled)
    assert (await store.settle([ended])).refused == [ended.claim]
    await came(store, "a")
