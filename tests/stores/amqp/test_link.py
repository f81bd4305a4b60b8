"""Links: connections that break, servers that are silent, and clusters of several nodes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celeriac.exceptions import BrokerRefused, BrokerUnreachable, OperationalError
from celeriac.stores.amqp.errors import Disconnected
from celeriac.stores.amqp.link import Link, State
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.wire import Publication
from celeriac.stores.options import StoreOptions
from tests.proxy import Proxy
from tests.rabbitmq import RabbitServer
from tests.servers import free_port

OpenLink = Callable[..., Any]
PLAIN = Properties(delivery_mode=1).encode()


class Calls:
    """What a link calls back."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self._news = asyncio.Event()

    @property
    def options(self) -> dict[str, Any]:
        return {
            "on_broken": lambda error: self._add("broken"),
            "on_ready": lambda: self._add("ready"),
            "on_blocked": lambda reason: self._add(("blocked", reason is not None)),
        }

    def _add(self, event: Any) -> None:
        self.seen.append(event)
        self._news.set()

    async def until(self, *events: Any) -> None:
        async with asyncio.timeout(20):
            while self.seen[-len(events) :] != list(events):
                self._news.clear()
                await self._news.wait()


def link_to(url: str, **options: Any) -> Link:
    return Link(StoreOptions(url=url, **options), "test")


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("method", ["PLAIN", "AMQPLAIN"])
async def test_a_link_logs_in_with_every_method(open_link: OpenLink, method: str) -> None:
    link = await open_link(transport_options={"login_method": method, "client_properties": {"team": "ours"}})
    assert (link.state, link.generation, link.blocked) == (State.READY, 1, None)
    assert link.server["product"] == "RabbitMQ"


async def test_the_server_sees_who_we_are(open_link: OpenLink, rabbitmq: RabbitServer) -> None:
    await open_link(transport_options={"client_properties": {"team": "greens"}})
    shown = rabbitmq.ctl("list_connections", "client_properties")
    assert "Celeriac" in shown
    assert "greens" in shown


@pytest.mark.parametrize(
    ("change", "words"),
    [(("guest:guest", "guest:wrong"), "user, password"), (("//", "/nowhere"), "virtual host")],
)
async def test_a_refusal_says_what_to_correct_and_is_not_tried_again(
    rabbitmq: RabbitServer, change: tuple[str, str], words: str
) -> None:
    place = rabbitmq.rpartition("//")[0] + "//" if change[0] != "//" else str(rabbitmq)
    url = place.replace(*change) if change[0] != "//" else rabbitmq.rpartition("//")[0] + change[1]
    link = link_to(url)
    with pytest.raises(BrokerRefused, match=words) as caught:
        await link.channel()
    assert "wrong" not in str(caught.value)
    await link.close()


async def test_a_login_method_that_the_server_does_not_offer_is_refused(rabbitmq: RabbitServer) -> None:
    link = link_to(rabbitmq, transport_options={"login_method": "EXTERNAL"})
    with pytest.raises(BrokerRefused, match="EXTERNAL"):
        await link.open()


async def test_nobody_listening_is_an_error_at_once() -> None:
    link = link_to(f"amqp://127.0.0.1:{free_port()}")
    with pytest.raises(BrokerUnreachable, match="Is the server running"):
        await link.open()


@pytest.mark.slow
async def test_a_silent_server_is_an_error_in_time() -> None:
    with silent_server() as port:
        link = link_to(f"amqp://127.0.0.1:{port}", connect_timeout=0.3)
        start = time.monotonic()
        with pytest.raises(BrokerUnreachable, match=r"no answer within 0\.3 seconds"):
            await link.open()
        assert 0.29 < time.monotonic() - start < 0.6


@pytest.mark.slow
async def test_a_name_that_takes_long_is_an_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: end.wait(20) and [])
    try:
        link = link_to("amqp://broker.example", connect_timeout=0.2)
        start = time.monotonic()
        for _ in range(3):
            with pytest.raises(BrokerUnreachable):
                await link.open()
        assert time.monotonic() - start < 1.5  # and the pauses between attempts
        assert sum(thread.name == "celeriac-look-up" for thread in threading.enumerate()) == 1
    finally:
        end.set()
        for thread in threading.enumerate():
            if thread.name == "celeriac-look-up":
                thread.join(5)


async def test_another_protocol_is_an_error_at_once(rabbitmq: RabbitServer) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        link = link_to(f"amqp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(BrokerUnreachable, match="AMQP"):
            await link.open()


async def test_the_next_node_serves_when_one_is_down(rabbitmq: RabbitServer, open_link: OpenLink) -> None:
    with silent_server() as silent:
        url = f"amqp://127.0.0.1:{free_port()};amqp://127.0.0.1:{silent};{rabbitmq}"
        link = await open_link(url=url, connect_timeout=0.5)
        assert link.state is State.READY


async def test_a_broken_connection_ends_its_channels_and_is_made_again(
    open_link: OpenLink, proxy: Proxy, queue: str
) -> None:
    calls = Calls()
    link = await open_link(through=proxy, callbacks=calls.options)
    channel = await link.channel()
    await asyncio.gather(channel.confirm(), channel.declare_queue(queue, auto_delete=True))
    ended: list[Disconnected] = []
    channel.on_closed = ended.append
    proxy.frozen = True
    waiting = channel.publish([Publication("", queue, PLAIN, b"")])
    asking = channel.declare_queue(queue, passive=True)
    await asyncio.sleep(0)
    await asyncio.to_thread(proxy.cut)
    proxy.frozen = False
    for future in (waiting, asking):
        with pytest.raises(Disconnected):
            await future
    await calls.until("ready", "broken")
    assert (ended, link.state) == ([channel.closed], State.BROKEN)
    channel.acknowledge([1])
    again = await link.channel()
    assert (again.generation, link.generation, calls.seen) == (2, 2, ["ready", "broken", "ready"])
    await again.declare_queue(queue, passive=True)


async def test_many_callers_make_one_connection(open_link: OpenLink, proxy: Proxy) -> None:
    link = await open_link(through=proxy)
    await asyncio.to_thread(proxy.cut)
    channels = await asyncio.gather(*[link.channel() for _ in range(20)])
    assert len({each.number for each in channels}) == 20
    assert proxy.accepted == 2


@pytest.mark.slow
async def test_a_connection_that_breaks_at_once_again_and_again_is_made_less_and_less_often(
    open_link: OpenLink, proxy: Proxy
) -> None:
    link = await open_link(through=proxy, max_retries=None)
    proxy.refusing = True
    await asyncio.to_thread(proxy.cut)
    waiting = asyncio.ensure_future(link.channel())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            await asyncio.shield(waiting)
    assert 3 <= proxy.accepted <= 12
    proxy.refusing = False
    async with asyncio.timeout(1.5):
        await waiting


async def test_attempts_end_with_an_error_when_they_are_limited(open_link: OpenLink, proxy: Proxy) -> None:
    calls = Calls()
    link = await open_link(through=proxy, callbacks=calls.options, max_retries=2)
    proxy.refusing = True
    await asyncio.to_thread(proxy.cut)
    await calls.until("ready", "broken")
    accepted = proxy.accepted
    with pytest.raises(BrokerUnreachable):
        await link.channel()
    assert proxy.accepted - accepted == 3


@pytest.mark.slow
async def test_a_frozen_network_is_noticed_by_the_missing_heartbeats(open_link: OpenLink, proxy: Proxy) -> None:
    calls = Calls()
    await open_link(through=proxy, callbacks=calls.options, transport_options={"heartbeat": 1})
    start = time.monotonic()
    proxy.frozen = True
    await calls.until("ready", "broken")
    assert 1.0 < time.monotonic() - start < 3.5
    proxy.frozen = False


@pytest.mark.slow
async def test_heartbeats_keep_an_idle_connection(open_link: OpenLink) -> None:
    # The server gives up a client that is silent for two heartbeats, and we give up the server after one and a half.
    calls = Calls()
    link = await open_link(callbacks=calls.options, transport_options={"heartbeat": 1})
    await asyncio.sleep(3.2)
    assert (link.state, calls.seen) == (State.READY, ["ready"])


@pytest.mark.slow
async def test_a_loop_that_was_stopped_for_long_does_not_blame_the_server(open_link: OpenLink) -> None:
    # Less than the server's own patience, more than ours.
    calls = Calls()
    link = await open_link(callbacks=calls.options, transport_options={"heartbeat": 1})
    await asyncio.sleep(0.1)
    time.sleep(1.7)  # noqa: ASYNC251 - the whole process sleeps, that is the point
    await asyncio.sleep(0.3)
    assert (link.state, calls.seen) == (State.READY, ["ready"])


async def test_replies_may_come_byte_by_byte(open_link: OpenLink, proxy: Proxy, queue: str) -> None:
    proxy.slicing = True
    link = await open_link(through=proxy)
    channel = await link.channel()
    channel.confirm()
    await channel.declare_queue(queue)
    found: list[Any] = []
    assert await channel.publish([Publication("", queue, PLAIN, b"%d" % each) for each in range(20)]) == []
    await channel.consume(queue, found.extend, prefetch=0)
    async with asyncio.timeout(10):
        while len(found) < 20:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [each.body for each in found] == [b"%d" % each for each in range(20)]
    await channel.delete_queue(queue)


async def test_closing_executes_what_was_sent_before(open_link: OpenLink, queue: str) -> None:
    link = await open_link()
    channel = await link.channel()
    channel.confirm()
    channel.declare_queue(queue)
    channel.publish([Publication("", queue, PLAIN, b"")] * 100)
    await link.close()
    await link.close()
    assert link.state is State.CLOSED
    with pytest.raises(OperationalError, match="closed"):
        await link.channel()
    other = await (await open_link()).channel()
    assert (await other.delete_queue(queue)) == 100


async def test_closing_ends_an_attempt_to_connect() -> None:
    with silent_server() as port:
        link = link_to(f"amqp://127.0.0.1:{port}", connect_timeout=0.3)
        opening = asyncio.ensure_future(link.open())
        await asyncio.sleep(0)
        await link.close()
        with pytest.raises(OperationalError):
            await opening


async def test_a_cancelled_attempt_leaves_no_connection(open_link: OpenLink, rabbitmq: RabbitServer) -> None:
    link = link_to(rabbitmq)
    for _ in range(20):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.001):
                await link.open()
    await link.open()
    await link.close()


@pytest.mark.slow
async def test_an_alarm_blocks_publishers_and_is_told(rabbitmq: RabbitServer, open_link: OpenLink, queue: str) -> None:
    calls, heartbeat = Calls(), {"heartbeat": 1}
    publishing = await open_link(callbacks=calls.options, transport_options=heartbeat)
    consuming = await open_link()
    channel = await publishing.channel()
    channel.confirm()
    await channel.declare_queue(queue)
    await channel.publish([Publication("", queue, PLAIN, b"1")])
    await asyncio.to_thread(rabbitmq.block_publishers)
    try:
        waiting = channel.publish([Publication("", queue, PLAIN, b"2")])
        await calls.until("ready", ("blocked", True))
        assert "memory" in publishing.blocked
        other = await consuming.channel()
        found = await other.get(queue)
        other.acknowledge([found.tag])
        await asyncio.sleep(2.5)  # longer than the heartbeats of both sides bear
        assert not waiting.done()
    finally:
        await asyncio.to_thread(rabbitmq.unblock_publishers)
    assert await asyncio.wait_for(waiting, 10) == []
    assert calls.seen == ["ready", ("blocked", True), ("blocked", False)]
    assert publishing.blocked is None
    await channel.delete_queue(queue)


async def test_a_slow_server_makes_the_writer_wait(open_link: OpenLink, proxy: Proxy, queue: str) -> None:
    link = await open_link(through=proxy)
    channel = await link.channel()
    channel.confirm()
    await channel.declare_queue(queue)
    await channel.drained()
    proxy.frozen = True
    sent = channel.publish([Publication("", queue, PLAIN, bytes(100_000))] * 200)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    draining = asyncio.ensure_future(channel.drained())
    await asyncio.sleep(0.05)
    assert not draining.done()
    proxy.frozen = False
    await asyncio.wait_for(draining, 10)
    assert await asyncio.wait_for(sent, 10) == []
    await channel.delete_queue(queue)


@pytest.mark.slow
async def test_a_restart_of_the_server_is_survived_in_a_second(own_rabbitmq: RabbitServer, open_link: OpenLink) -> None:
    calls = Calls()
    link = await open_link(url=str(own_rabbitmq), callbacks=calls.options)
    channel = await link.channel()
    channel.confirm()
    await channel.declare_queue("kept")
    persistent = Properties(delivery_mode=2).encode()
    assert await channel.publish([Publication("", "kept", persistent, b"kept")]) == []
    await asyncio.to_thread(own_rabbitmq.stop)
    await calls.until("ready", "broken")
    waiting = asyncio.ensure_future(link.channel())
    await asyncio.to_thread(own_rabbitmq.start)
    start = time.monotonic()
    again = await asyncio.wait_for(waiting, 10)
    assert time.monotonic() - start < 1.5
    found = await again.get("kept")
    assert found is not None
    assert found.body == b"kept"


@pytest.mark.slow
async def test_tls_is_checked_against_the_certificate(open_link: OpenLink, tls_rabbitmq: RabbitServer) -> None:
    link = await open_link(url=str(tls_rabbitmq))
    channel = await link.channel()
    assert (await channel.declare_queue(exclusive=True)).queue
    bare = tls_rabbitmq.partition("?")[0]
    for url in (f"{tls_rabbitmq}&server_hostname=other", bare):
        with pytest.raises(BrokerRefused, match="certificate"):
            await open_link(url=url)
    await open_link(url=bare, tls={"cert_reqs": "none"})
    with pytest.raises(BrokerUnreachable):
        await open_link(url=f"amqp://127.0.0.1:{tls_rabbitmq.port}", connect_timeout=1.0)
