"""The synchronous store: threads, forks, deadlines."""

from __future__ import annotations

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from celeriac.exceptions import BrokerUnreachable, OperationalError, StoreFull, StoreReadOnly
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis import open_sync_store, sync_pool
from celeriac.stores.store import Outgoing, ResultRecord, Revocation
from tests.servers import RedisServer, free_port, redis_server

from ..conformance.messages import QUEUE, message
from .conftest import Open
from .proxy import Proxy


def test_one_thread_keeps_one_connection(open_sync: Open, client: Any) -> None:
    store = open_sync()
    before = client.info("stats")["total_connections_received"]
    for number in range(50):
        store.publish([message(str(number))])
    assert client.info("stats")["total_connections_received"] - before == 1
    assert client.llen(QUEUE) == 50


def test_threads_share_a_store(open_sync: Open, client: Any) -> None:
    store = open_sync()

    def publish(number: int) -> None:
        for place in range(50):
            store.publish([message(f"{number}-{place}")])
            store.store_results([ResultRecord(f"{number}-{place}", b"{}")])
            assert store.results([f"{number}-{place}"]) == [b"{}"]

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(publish, range(8)))
    assert client.llen(QUEUE) == 400


def test_a_child_of_a_fork_uses_no_connection_of_its_parent(open_sync: Open, client: Any) -> None:
    store = open_sync()
    store.publish([message("parent")])
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for place in range(20):
                    store.publish([message(f"{number}-{place}")])
                assert store.results(["missing"]) == [None]
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    for place in range(20):
        store.publish([message(f"parent-{place}")])
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0, 0]
    store.publish([message("parent at the end")])
    assert client.llen(QUEUE) == 102


def test_many_messages_travel_together(open_sync: Open, client: Any) -> None:
    store = open_sync()
    store.publish([message(str(number), "many") for number in range(5000)])
    assert client.llen("many") == 5000
    assert client.info("commandstats")["cmdstat_lpush"]["calls"] < 10


def test_one_publication_may_go_everywhere(open_sync: Open, client: Any) -> None:
    store = open_sync()
    with client.pubsub() as hearing:
        hearing.psubscribe("/0.news/*")
        hearing.get_message(timeout=1)
        later = time.time() + 60
        first = message("held", due=later, priority=5)
        store.publish(
            [message("a"), first, message("b", priority=9), Outgoing("", b"x", exchange="news", routing_key="k")]
        )
        heard = hearing.get_message(timeout=1)
    assert heard is not None
    assert (heard["channel"], heard["data"]) == (b"/0.news/k", b"x")
    assert (client.llen(QUEUE), client.llen("work\x06\x169")) == (1, 1)
    ((member, due),) = client.zrange("celeriac.held.work", 0, -1, withscores=True)
    assert (member, due) == (b"5" + first.payload, pytest.approx(later, abs=1e-3))
    assert float(client.get("celeriac.due.work")) == pytest.approx(later, abs=1e-3)


def test_an_idle_connection_that_the_server_closed_is_noticed_before_it_is_used(
    open_sync: Open, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_pool, "_IDLE_CHECK", 0.0)
    store = open_sync(retry=False)
    store.publish([message("a")])
    client.client_kill_filter(skipme=True, _type="normal")
    store.publish([message("b")])
    assert client.llen(QUEUE) == 2


def test_a_restart_of_the_server_is_survived(own_server: RedisServer, open_sync: Open) -> None:
    store = open_sync(url=own_server)
    store.publish([message("a")])
    own_server.restart()
    store.publish([message("b")])
    own_server.stop()
    threading.Timer(0.3, own_server.start).start()
    store.publish([message("c")])


def test_publishing_ends_in_time_when_nobody_listens(open_sync: Open) -> None:
    store = open_sync(url=f"redis://:secret@127.0.0.1:{free_port()}/0", publish_timeout=0.5)
    started = time.monotonic()
    with pytest.raises(BrokerUnreachable) as raised:
        store.publish([message("a")])
    assert time.monotonic() - started < 0.7
    assert "secret" not in str(raised.value)


def test_without_retry_it_ends_at_once(open_sync: Open) -> None:
    store = open_sync(url=f"redis://127.0.0.1:{free_port()}/0", retry=False)
    started = time.monotonic()
    with pytest.raises(BrokerUnreachable):
        store.publish([message("a")])
    assert time.monotonic() - started < 0.5


def test_publishing_ends_in_time_when_the_server_is_frozen(open_sync: Open, own_server: RedisServer) -> None:
    store = open_sync(url=own_server, publish_timeout=0.4)
    store.publish([message("a")])
    own_server.freeze()
    started = time.monotonic()
    with pytest.raises(OperationalError, match="may be executed or not"):
        store.publish([message("b")])
    assert 0.3 <= time.monotonic() - started < 0.8
    own_server.thaw()
    store.publish([message("c")])


def test_publishing_ends_in_time_when_a_name_is_not_found(open_sync: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver has no deadline of its own."""
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(10) and [])
    store = open_sync(url="redis://broker.example:6379/0", publish_timeout=0.3)
    started = time.monotonic()
    try:
        with pytest.raises(BrokerUnreachable, match=r"broker\.example"):
            store.publish([message("a")])
        assert time.monotonic() - started < 0.6
    finally:
        release.set()


def test_a_publication_whose_confirmation_was_lost_is_sent_again(open_sync: Open, proxy: Proxy, client: Any) -> None:
    store = open_sync(through=proxy)
    proxy.lose_reply_to(b"LPUSH")
    store.publish([message("a")])
    assert proxy.was_lost
    assert client.llen(QUEUE) == 2  # the only place where a message may be doubled


def test_a_full_server_says_so(open_sync: Open, client: Any) -> None:
    store = open_sync()
    client.config_set("maxmemory", 1)
    with pytest.raises(StoreFull, match="maxmemory"):
        store.publish([message("a")])
    client.config_set("maxmemory", 0)
    store.publish([message("a")])


def test_a_replica_says_so(open_sync: Open, own_server: RedisServer) -> None:
    import redis

    store = open_sync(url=own_server, publish_timeout=0.3)
    store.publish([message("a")])
    with redis.Redis.from_url(own_server) as client:
        client.replicaof("127.0.0.1", free_port())
        with pytest.raises(StoreReadOnly, match="replica"):
            store.publish([message("b")])
        client.replicaof("NO", "ONE")
    store.publish([message("b")])


def test_a_server_that_is_loading_is_waited_for(open_sync: Open, own_server: RedisServer) -> None:
    import redis

    store = open_sync(url=own_server)
    with redis.Redis.from_url(own_server) as client:
        store.publish([message(str(number)) for number in range(3000)])
        client.config_set("key-load-delay", 200)
        own_server.stop()
        own_server.start()
        store.publish([message("after")])
        assert client.llen(QUEUE) == 3001


def test_a_wrong_type_names_what_to_do(open_sync: Open, client: Any) -> None:
    client.set(QUEUE, "text")
    with pytest.raises(OperationalError, match="global_keyprefix"):
        open_sync().publish([message("a")])


def test_scripts_come_back_after_the_server_forgot_them(open_sync: Open, client: Any) -> None:
    store = open_sync()
    for _ in range(2):
        store.store_results([ResultRecord("a", b"{}")])
        store.revoke([Revocation("a")], 60)
        client.script_flush()
    assert store.results(["a"]) == [b"{}"]


def test_closing_lets_the_next_call_connect_again(open_sync: Open, client: Any) -> None:
    store = open_sync()
    store.publish([message("a")])
    store.close()
    store.publish([message("b")])
    assert client.llen(QUEUE) == 2


@pytest.mark.parametrize("options", [{"unix_socket": True}, {"tls": True}], ids=["unix socket", "tls"])
def test_other_ways_to_a_server(options: dict[str, bool]) -> None:
    with redis_server(password="word", **options) as server:
        store = open_sync_store(StoreOptions(url=str(server)))
        store.publish([message("a")])
        store.store_results([ResultRecord("a", b"{}")])
        assert list(store.wait(["a"], lambda _: True, 5)) == [("a", b"{}")]
        with ThreadPoolExecutor(4) as executor:
            waits = [
                executor.submit(lambda name: list(store.wait([name], lambda _: True, 10)), str(n)) for n in range(4)
            ]
            for number in range(4):
                store.store_results([ResultRecord(str(number), b"x" * 100_000)])
            assert [len(wait.result()) for wait in waits] == [1, 1, 1, 1]
        store.close()
