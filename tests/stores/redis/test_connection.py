"""Connections: peers that say nothing, peers that say nonsense."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from celeriac.exceptions import BrokerUnreachable, OperationalError
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis import connection as module
from celeriac.stores.redis.address import Address, address_of
from celeriac.stores.redis.connection import Connection, State
from celeriac.stores.redis.errors import Disconnected
from celeriac.stores.redis.store import RedisStore
from celeriac.stores.redis.wire import pack_command
from tests.servers import RedisServer, free_port, redis_server

from ..conformance.messages import message, names_of, take
from .conftest import Open
from .proxy import Proxy

HELLO = b"%1\r\n$7\r\nversion\r\n$3\r\n7.0\r\n"


@asynccontextmanager
async def server_that_says(*answers: bytes) -> AsyncIterator[Address]:
    """Answers the handshake, then each further read with the next of these; then nothing."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (HELLO, *answers):
            if not await reader.read(65536):
                break
            writer.write(answer)
        await done.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    finally:
        done.set()
        server.close()


async def test_replies_come_in_the_order_of_requests_and_pushes_to_their_listener() -> None:
    heard: list[object] = []
    answer = b"+one\r\n>2\r\n$1\r\na\r\n$1\r\nb\r\n-ERR two\r\n"
    async with server_that_says(answer) as address:
        connection = await Connection.make(address, 2, on_push=heard.append)
        first, second = await connection.request_all([pack_command((b"A",)), pack_command((b"B",))])
        assert first == b"one"
        assert str(second) == "ERR two"
        assert heard == [[b"a", b"b"]]
        connection.abort()
        assert heard[-1] is None


async def test_a_silent_peer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPLY_TIMEOUT", 0.1)
    async with server_that_says() as address:
        connection = await Connection.make(address, 2)
        started = time.monotonic()
        with pytest.raises(Disconnected, match="no answer"):
            await connection.request(pack_command((b"PING",)))
        assert 0.1 <= time.monotonic() - started < 2
        assert connection.state is State.BROKEN


async def test_a_request_soon_after_a_rest_has_its_full_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPLY_TIMEOUT", 0.2)
    async with server_that_says(b"+one\r\n") as address:
        connection = await Connection.make(address, 2)
        await asyncio.sleep(0.15)  # the watch that the handshake began is about to look
        started = time.monotonic()
        assert await connection.request(pack_command((b"PING",))) == b"one"
        await asyncio.sleep(0.15)
        started = time.monotonic()
        with pytest.raises(Disconnected):
            await connection.request(pack_command((b"PING",)))
        assert time.monotonic() - started >= 0.19
        connection.abort()


@pytest.mark.parametrize("answer", [b"nonsense\r\n", b"*2\r\n%1\x00\r\n", b"+a\r\n*-7\r\n"])
async def test_a_peer_that_does_not_speak_the_protocol_is_left(answer: bytes) -> None:
    async with server_that_says(answer) as address:
        connection = await Connection.make(address, 2)
        with pytest.raises(Disconnected):
            await asyncio.gather(*[connection.request(pack_command((b"PING",))) for _ in range(3)])
        assert connection.state is State.BROKEN


async def test_the_reply_of_a_cancelled_request_goes_to_its_orphan() -> None:
    orphans: list[object] = []
    async with server_that_says(b"+late\r\n+next\r\n") as address:
        connection = await Connection.make(address, 2)
        connection.request(pack_command((b"A",)), orphans.append).cancel()
        assert await connection.request(pack_command((b"B",))) == b"next"
        assert orphans == [b"late"]
        connection.abort()


async def test_opening_fails_in_time_when_nobody_listens() -> None:
    store = RedisStore(StoreOptions(url=f"redis://:secret@127.0.0.1:{free_port()}/0"))
    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1") as raised:
        await store.open()
    assert "secret" not in str(raised.value)
    await store.close()


async def test_opening_fails_in_time_when_nobody_answers() -> None:
    async with server_that_says() as address:
        url = f"redis://:secret@127.0.0.1:{address.port}/3"
        store = RedisStore(StoreOptions(url=url, connect_timeout=0.2))
        with pytest.raises(BrokerUnreachable, match="Is the server running"):
            await store.open()
        await store.close()


async def test_a_wrong_password_is_said_and_not_shown() -> None:
    with redis_server(password="right") as server:
        for url in (server.replace("right", "wr0ng"), server.replace(":right@", "")):
            store = RedisStore(StoreOptions(url=url))
            with pytest.raises(BrokerUnreachable, match="password") as raised:
                await store.open()
            assert "wr0ng" not in str(raised.value)
            await store.close()
        store = RedisStore(StoreOptions(url=str(server)))
        await store.open()
        await store.close()


@pytest.mark.parametrize("options", [{"unix_socket": True}, {"tls": True}], ids=["unix socket", "tls"])
async def test_other_ways_to_a_server(options: dict[str, bool]) -> None:
    with redis_server(password="word", **options) as server:
        store = RedisStore(StoreOptions(url=str(server)))
        await store.open()
        await store.publish([message("a")])
        assert names_of(await take(store)) == ["a"]
        await store.close()


async def test_tls_refuses_a_server_that_nobody_vouches_for() -> None:
    with redis_server(tls=True) as server:
        store = RedisStore(StoreOptions(url=server.partition("?")[0]))
        with pytest.raises(BrokerUnreachable, match="certificate"):
            await store.open()
        await store.close()
        store = RedisStore(StoreOptions(url=server.partition("?")[0] + "?ssl_cert_reqs=none"))
        await store.open()
        await store.close()


async def test_without_retry_a_lost_server_is_an_error_at_once(open_store: Open, own_server: RedisServer) -> None:
    store = await open_store(url=own_server, retry=False)
    own_server.kill()
    with pytest.raises(OperationalError):
        await asyncio.wait_for(store.receive(["work"], 1, 5), 3)


async def test_a_storm_of_resets_is_met_with_patience(open_store: Open, proxy: Proxy) -> None:
    store = await open_store(through=proxy)
    receiving = asyncio.ensure_future(store.receive(["work"], 1, 20))
    before = proxy.accepted
    for _ in range(20):
        await asyncio.sleep(0.1)
        proxy.cut()
    assert proxy.accepted - before <= 20
    await store.publish([message("a")])
    assert names_of((await asyncio.wait_for(receiving, 5)).deliveries) == ["a"]


async def test_a_server_that_may_evict_is_warned_of_once(
    open_store: Open, server: RedisServer, client: object, caplog: pytest.LogCaptureFixture
) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")  # type: ignore[attr-defined]
    for _ in range(2):
        await open_store()
    assert caplog.text.count("maxmemory-policy allkeys-lru") == 1


async def test_a_frozen_network_is_left_for_a_new_connection(
    open_store: Open, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPLY_TIMEOUT", 0.3)
    store = await open_store(through=proxy, connect_timeout=0.3)
    proxy.frozen = True
    publishing = asyncio.ensure_future(store.publish([message("a")]))
    await asyncio.sleep(0.5)
    assert not publishing.done()
    proxy.frozen = False
    await asyncio.wait_for(publishing, 4)
    assert names_of(await take(store, 5))[0] == "a"


def test_an_address_without_a_port_has_the_usual_one() -> None:
    assert address_of(StoreOptions(url="redis://")).port == 6379
