"""The stream of revocations, on nodes that cannot read it and on a server that can."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, cast

import pytest

from celeriac.exceptions import OperationalError
from celeriac.stores.amqp import stream as module
from celeriac.stores.amqp.channel import Channel
from celeriac.stores.amqp.declaring import Declarer
from celeriac.stores.amqp.errors import ChannelClosed, Disconnected
from celeriac.stores.amqp.link import Link
from celeriac.stores.amqp.publishing import Publisher
from celeriac.stores.amqp.store import AmqpStore
from celeriac.stores.amqp.stream import Stream
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.options import StoreOptions
from celeriac.stores.store import REVOCATIONS, Revocation

NO_REPLICA = ChannelClosed(
    406, "queue 'celeriac.revocations' in vhost '/' does not have a running replica on the local node", blamed=True
)
SHORT = 0.02
"""Seconds, instead of those that a server is given."""


class Opened:
    """A channel to one of the nodes."""

    def __init__(self, answer: Callable[[], asyncio.Future[str]]) -> None:
        self._answer = answer
        self.closed: Disconnected | None = None
        self.on_closed: Callable[[Disconnected], None] | None = None

    def consume(self, queue: str, on_deliveries: object, **options: object) -> asyncio.Future[str]:
        return self._answer()

    def close(self) -> None:
        if self.closed is None:
            self.closed = Disconnected("closed by us")
            if self.on_closed is not None:
                self.on_closed(self.closed)


class Nodes:
    """A link to nodes of which only the last one has a replica, and all else that a stream needs.

    Attributes:
        on_it: the number of the node that is used.
        last: the one that has a replica.
        attempts: how often reading was begun.
    """

    place = "amqp://nodes"
    blocked = None

    def __init__(self, answer: Callable[[], asyncio.Future[str]], count: int = 3) -> None:
        self._answer, self.last = answer, count - 1
        self._opened: list[Opened] = []
        self.on_it = 0
        self.attempts = 0

    async def channel(self) -> Opened:
        self.attempts += 1
        self._opened.append(Opened(self._answer if self.on_it < self.last else accepted))
        return self._opened[-1]

    def leave(self) -> None:
        self.on_it = min(self.on_it + 1, self.last)
        for each in self._opened:
            each.close()

    async def run(self, declarations: object) -> None:
        """Declare."""

    async def deliver(self, entries: list[Publication]) -> list[object]:
        if self.on_it < self.last:
            await asyncio.Event().wait()
        return []


def stream_of(nodes: Nodes) -> Stream:
    return Stream(cast(Link, nodes), cast(Publisher, nodes), cast(Declarer, nodes))


def accepted() -> asyncio.Future[str]:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.set_result("tag")
    return future


def refused() -> asyncio.Future[str]:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.set_exception(NO_REPLICA)
    return future


def silent() -> asyncio.Future[str]:
    return asyncio.get_running_loop().create_future()


async def until_read(nodes: Nodes, stream: Stream) -> None:
    """Attach again and again, as those do who watch."""
    async with asyncio.timeout(5):
        while nodes.on_it < nodes.last or stream._pause:
            with suppress(Disconnected):
                await stream._attach()


@pytest.mark.parametrize("answer", [refused, silent])
async def test_a_node_that_cannot_read_the_stream_is_left_with_one_warning(
    answer: Callable[[], asyncio.Future[str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_ATTACH_TIMEOUT", SHORT)
    monkeypatch.setattr(module, "_ATTACH_AGAIN", SHORT)
    caplog.set_level(logging.INFO, "celeriac")
    nodes = Nodes(answer, count=4)
    await until_read(nodes, stream_of(nodes))
    assert (nodes.on_it, nodes.attempts) == (3, 4)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert not any(record.exc_info for record in caplog.records)


async def test_attempts_to_read_have_longer_and_longer_pauses_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("celeriac.stores.amqp.stream.asyncio.sleep", sleep)
    nodes = Nodes(refused, count=100)
    stream = stream_of(nodes)
    for _ in range(8):
        with pytest.raises(ChannelClosed):
            await stream._attach()
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


async def test_revocations_are_written_on_another_node_when_this_one_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_TIMEOUT", SHORT)
    nodes = Nodes(silent, count=2)
    await stream_of(nodes).revoke([Revocation("a")], 60)
    assert nodes.on_it == 1


async def test_who_asks_hears_why_the_stream_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_TIMEOUT", 0.2)
    with pytest.raises(OperationalError, match=r"could not be read within 0.2 seconds: .* running replica"):
        await stream_of(Nodes(refused, count=100)).revocations(0)


async def test_a_beginning_that_fails_when_nobody_waits_for_it_any_more_is_no_complaint() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    late: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stream = stream_of(Nodes(lambda: late))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SHORT):
            await stream._attach()
    attaching = stream._attaching
    late.set_exception(NO_REPLICA)
    assert attaching is not None
    await asyncio.wait({attaching})
    del attaching
    stream._attaching = None
    gc.collect()
    assert complaints == []


async def test_who_watches_before_there_is_a_stream_hears_of_the_first_revocation(
    vhost_url: str, async_cleanup: AsyncExitStack
) -> None:
    store, other = AmqpStore(StoreOptions(url=vhost_url)), AmqpStore(StoreOptions(url=vhost_url))
    for each in (store, other):
        await each.open()
        async_cleanup.push_async_callback(each.close)
    inbox = store.inbox(REVOCATIONS)
    told = asyncio.ensure_future(anext(inbox))
    await other.revoke([Revocation("a")], 60)
    async with asyncio.timeout(10):
        assert await told == b""
        assert (await store.revocations())[1] == [Revocation("a")]
    await inbox.aclose()  # type: ignore[attr-defined]  # an asynchronous generator


async def test_reading_has_a_connection_of_its_own(vhost_url: str, async_cleanup: AsyncExitStack) -> None:
    """RabbitMQ 3.10 may close the whole connection of a reader, and with that take away what others had received."""
    store = AmqpStore(StoreOptions(url=vhost_url))
    await store.open()
    async_cleanup.push_async_callback(store.close)
    await store.revocations()
    channel: Channel | None = store._stream._channel
    assert channel is not None
    assert channel._connection is not store._receiving.connection
