"""What a store does when its connections break: nothing is counted, refused, held up or said too often."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from celeriac.exceptions import OperationalError
from celeriac.routing import Exchange, Queue
from celeriac.stores.amqp import open_sync_store
from celeriac.stores.amqp.names import REVOCATION_STREAM
from celeriac.stores.amqp.store import AmqpStore
from celeriac.stores.amqp.stream import entry
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import REVOCATIONS, Revocation, Settlement
from tests.proxy import Proxy
from tests.stores.conformance.messages import QUEUE, message, names_of, take_one
from tests.worker.running import until

pytestmark = pytest.mark.slow

Open = Callable[..., Awaitable[AmqpStore]]
PATIENCE = 10.0
CUTS = 5
"""More than the losses that a task may have (3)."""


@pytest.fixture
def place(vhost_url: str, proxy: Proxy) -> str:
    """An empty virtual host behind the proxy."""
    return f"amqp://guest:guest@127.0.0.1:{proxy.port}/{vhost_url.rpartition('/')[2]}"


@pytest.fixture
def opened(place: str, async_cleanup: AsyncExitStack) -> Open:
    """Open stores at one empty virtual host."""

    async def make(url: str = "", **options: Any) -> AmqpStore:
        store = AmqpStore(StoreOptions(url=url or place, **options))
        await store.open()
        async_cleanup.push_async_callback(store.close)
        return store

    return make


@pytest.mark.parametrize("kind", [None, "quorum"])
async def test_a_message_whose_connection_is_cut_again_and_again_counts_no_loss(
    opened: Open, proxy: Proxy, kind: Any
) -> None:
    store = await opened(queues=(Queue(QUEUE, Exchange(QUEUE), QUEUE, type=kind),))
    await store.publish([message("a"), message("b")])
    for _ in range(CUTS):
        delivery = await take_one(store)
        assert (names_of([delivery]), delivery.losses) == (["a"], 0)
        proxy.reset()

        async def is_lost(claim: bytes = delivery.claim) -> bool:
            return bool(await store.renew([claim]))

        await until(is_lost)


async def test_a_cut_while_waiting_is_no_error_and_the_next_call_receives(opened: Open, proxy: Proxy) -> None:
    store = await opened()
    await store.declare([QUEUE])
    for number in range(3):
        waiting = asyncio.ensure_future(store.receive([QUEUE], 1, 0.3))
        await asyncio.sleep(0.02 * number)
        proxy.reset()
        assert (await waiting).deliveries == []
    await store.publish([message("a")])
    async with asyncio.timeout(PATIENCE):
        assert names_of([await take_one(store)]) == ["a"]


async def test_what_was_settled_is_not_refused_because_the_connection_broke_while_more_was_fetched(
    opened: Open, proxy: Proxy, vhost_url: str
) -> None:
    store, other = await opened(), await opened(vhost_url)
    await store.publish([message("a")])
    delivery = await take_one(store)
    proxy.one_way = True  # the acknowledgement arrives, the answer to the fetch does not
    settling = asyncio.ensure_future(store.settle([Settlement(delivery.claim)], [QUEUE], 1))
    await asyncio.sleep(0.2)
    proxy.reset()
    proxy.one_way = False
    assert (await settling).refused == []
    assert (await other.counts([QUEUE]))[QUEUE].ready == 0


async def test_an_outage_is_one_warning(opened: Open, proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    store = await opened()
    await store.publish([message("a"), message("b")])
    caplog.set_level(logging.INFO, "celeriac")
    for _ in range(3):
        await take_one(store)
        proxy.reset()
        await store.publish([message("again")])
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(loud) == 1
    assert "lost the connection" in loud[0].getMessage()
    assert len(caplog.records) > len(loud)


async def test_revocations_that_came_are_told_though_the_stream_cannot_be_read(opened: Open, proxy: Proxy) -> None:
    store = await opened(publish_timeout=0.5)
    count, _ = await store.revocations()
    assert count > 0
    await store.revoke([Revocation("a")], 60)

    async def came() -> bool:
        return store._stream.count > count

    await until(came)
    proxy.frozen = True
    async with asyncio.timeout(0.3):
        assert (await store.revocations(count))[1] == [Revocation("a")]
    with pytest.raises(OperationalError):
        await store.revocations(store._stream.count)
    proxy.frozen = False


async def test_after_a_cut_the_stream_goes_on_where_it_was(opened: Open, proxy: Proxy, vhost_url: str) -> None:
    store, other = await opened(), await opened(vhost_url)
    await store.revoke([Revocation("a")], 60)
    count, _ = await store.revocations()
    proxy.reset()
    await other.revoke([Revocation("b")], 60)
    newer, revocations = await store.revocations(count)
    assert (newer > count, revocations) == (True, [Revocation("b")])


async def test_who_watches_hears_of_what_was_revoked_during_a_cut(opened: Open, proxy: Proxy, vhost_url: str) -> None:
    store, other = await opened(), await opened(vhost_url)
    count, _ = await store.revocations()
    inbox = store.inbox(REVOCATIONS)
    told = asyncio.ensure_future(anext(inbox))
    await asyncio.sleep(0.05)
    proxy.reset()
    await other.revoke([Revocation("a")], 60)
    async with asyncio.timeout(PATIENCE):
        await told
        assert (await store.revocations(count))[1] == [Revocation("a")]
    await inbox.aclose()  # type: ignore[attr-defined]  # an asynchronous generator


async def test_a_reader_whose_connection_breaks_leaves_no_unretrieved_exception(opened: Open, proxy: Proxy) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    store = await opened(publish_timeout=0.2)
    await store.revocations()
    proxy.one_way = True
    reading = asyncio.ensure_future(store.revocations())
    await asyncio.sleep(0.05)
    proxy.reset()
    with pytest.raises(OperationalError):
        await reading
    del reading
    proxy.one_way = False
    await store.close()
    import gc

    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


async def test_a_stream_that_was_deleted_begins_anew_and_the_count_goes_on(opened: Open) -> None:
    store = await opened()
    await store.revoke([Revocation("a"), Revocation("b")], 60)
    count, _ = await store.revocations()
    channel = await store._receiving.channel()
    await channel.delete_queue(REVOCATION_STREAM)

    async def made_again() -> bool:
        await store.revoke([Revocation("c")], 60)
        newer, revocations = await store.revocations(count)
        return newer > count and revocations == [Revocation("c")]

    await until(made_again)


@pytest.mark.parametrize("silent_from", ["the declaration", "the entry"])
def test_a_client_whose_node_is_silent_about_the_stream_revokes_at_another_one(
    place: str, proxy: Proxy, vhost_url: str, silent_from: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celeriac.stores.amqp.sync.WRITE_TIMEOUT", 0.5)
    client: Any = open_sync_store(StoreOptions(url=f"{place};{vhost_url}", publish_timeout=60.0))
    try:
        client.revoke([Revocation("a")], 60)
        if silent_from == "the entry":
            declare = client._declare

            def silent_afterwards(*arguments: Any) -> None:
                declare(*arguments)
                proxy.silence()

            monkeypatch.setattr(client, "_declare", silent_afterwards)
        else:
            proxy.silence()
        begun = time.monotonic()
        client.revoke([Revocation("b")], 60)
        assert time.monotonic() - begun < PATIENCE
    finally:
        client.close()


def test_the_entries_of_the_stream_are_kept_on_the_disk() -> None:
    assert b"\x02" in entry({"mark": "x"}).properties


def test_a_client_makes_the_ladder_in_few_round_trips(place: str, proxy: Proxy) -> None:
    client = open_sync_store(StoreOptions(url=place))
    try:
        client.publish([message("now")])
        proxy.delay, proxy.jitter = 0.03, 0.0
        begun = time.monotonic()
        client.publish([message("later", due=time.time() + 3600)])
        assert time.monotonic() - begun < 3.0, "each of its 154 parts would take 0.06 s"
    finally:
        client.close()
