"""Waiting for results in threads."""

from __future__ import annotations

import gc
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from celeriac import exceptions
from celeriac.stores.redis import sync_results
from celeriac.stores.store import ResultRecord
from tests.servers import RedisServer

from .conftest import Open
from .proxy import Proxy


def always(_: bytes) -> bool:
    return True


def until(condition: Any, seconds: float = 5.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def channels(client: Any) -> int:
    return len(client.pubsub_channels("celery-task-meta-*"))


def test_many_threads_wait_over_one_connection(open_sync: Open, client: Any) -> None:
    store, writer = open_sync(), open_sync()
    ids = [str(number) for number in range(40)]
    writer.results(["connect"])
    before = client.info("stats")["total_connections_received"]
    with ThreadPoolExecutor(40) as executor:
        waits = {
            task_id: executor.submit(lambda each: list(store.wait([each], always, 20)), task_id) for task_id in ids
        }
        until(lambda: channels(client) == 40)
        for task_id in random.Random(1).sample(ids, len(ids)):
            writer.store_results([ResultRecord(task_id, task_id.encode())])
        assert [wait.result(10) for wait in waits.values()] == [[(each, each.encode())] for each in ids]
    assert client.info("stats")["total_connections_received"] - before == 1
    until(lambda: channels(client) == 0)


def test_the_reader_passes_its_role_on(open_sync: Open, client: Any) -> None:
    """Threads that leave for every reason, so that each in turn must become the reader."""
    store, writer = open_sync(), open_sync()
    with ThreadPoolExecutor(12) as executor:
        waits = []
        for number in range(12):
            limit = 0.05 if number % 3 == 0 else 20
            waits.append(executor.submit(lambda n, s: list(store.wait([str(n)], always, s)), number, limit))
            until(lambda wanted=number: channels(client) >= 1 if wanted == 0 else True)
        time.sleep(0.1)
        for number in range(12):
            if number % 3:
                writer.store_results([ResultRecord(str(number), b"{}")])
                assert waits[number].result(5) == [(str(number), b"{}")]
            else:
                with pytest.raises(exceptions.TimeoutError):
                    waits[number].result(5)


def test_a_consumer_that_does_other_things_holds_up_nobody(open_sync: Open) -> None:
    """It has got its first result, so it was the reader; it does not come back for the second."""
    store, writer = open_sync(), open_sync()
    writer.store_results([ResultRecord("first", b"{}")])
    slow = store.wait(["first", "second"], always, 20)
    assert next(slow)[0] == "first"
    with ThreadPoolExecutor(1) as executor:
        other = executor.submit(lambda: list(store.wait(["third"], always, 20)))
        writer.store_results([ResultRecord("third", b"{}")])
        assert other.result(5) == [("third", b"{}")]
    writer.store_results([ResultRecord("second", b"{}")])
    assert next(slow)[0] == "second"


def test_a_wait_that_was_thrown_away_sends_nothing_and_is_unsubscribed_later(open_sync: Open, client: Any) -> None:
    store, writer = open_sync(), open_sync()
    writer.store_results([ResultRecord("a", b"{}")])
    wait = store.wait(["a", "never"], always, 20)
    next(wait)
    assert channels(client) == 1
    del wait
    gc.collect()
    assert list(store.wait(["a"], always, 5)) == [("a", b"{}")]
    until(lambda: channels(client) == 0)


def test_a_result_that_comes_while_the_server_restarts_is_found(open_sync: Open, own_server: RedisServer) -> None:
    store, writer = open_sync(url=own_server), open_sync(url=own_server)
    with ThreadPoolExecutor(4) as executor:
        waits = [executor.submit(lambda n: list(store.wait([str(n)], always, 20)), number) for number in range(4)]
        for number in range(4):
            time.sleep(0.02)
            own_server.restart()
            writer.store_results([ResultRecord(str(number), b"{}")])
            assert waits[number].result(5) == [(str(number), b"{}")]


def test_a_half_open_connection_is_noticed(
    open_sync: Open, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, client: Any
) -> None:
    monkeypatch.setattr(sync_results, "_HEALTH_EACH", 0.2)
    store, writer = open_sync(through=proxy), open_sync()
    with ThreadPoolExecutor(1) as executor:
        wait = executor.submit(lambda: list(store.wait(["a"], always, 20)))
        until(lambda: channels(client) == 1)
        proxy.frozen = True
        writer.store_results([ResultRecord("a", b"{}")])
        time.sleep(0.5)
        client.publish("celery-task-meta-a", "lost with the connection")
        accepted = proxy.accepted
        proxy.frozen = False
        assert wait.result(5)[0][0] == "a"
        assert accepted >= 2


def test_waiting_ends_in_time_when_nobody_listens(open_sync: Open, own_server: RedisServer) -> None:
    store = open_sync(url=own_server)
    own_server.stop()
    started = time.monotonic()
    with pytest.raises(exceptions.TimeoutError):
        list(store.wait(["a"], always, 0.5))
    assert 0.4 < time.monotonic() - started < 0.7


def test_without_retry_a_server_that_is_gone_is_an_error(open_sync: Open, own_server: RedisServer) -> None:
    store = open_sync(url=own_server, retry=False)
    own_server.stop()
    with pytest.raises(exceptions.BrokerUnreachable):
        list(store.wait(["a"], always, None))


def test_a_child_of_a_fork_waits_by_itself(open_sync: Open) -> None:
    store, writer = open_sync(), open_sync()
    writer.store_results([ResultRecord("first", b"{}")])
    kept = store.wait(["first", "parent"], always, 20)
    next(kept)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if list(store.wait(["child"], always, 10)) == [("child", b"{}")] else 2
        finally:
            os._exit(code)
    writer.store_results([ResultRecord("child", b"{}")])
    assert os.waitpid(pid, 0)[1] == 0
    writer.store_results([ResultRecord("parent", b"{}")])
    assert next(kept) == ("parent", b"{}")


def test_threads_that_wait_for_one_result_all_get_it(open_sync: Open, client: Any) -> None:
    store, writer = open_sync(), open_sync()
    barrier = threading.Barrier(9)

    def wait() -> list[tuple[str, bytes]]:
        barrier.wait(5)
        return list(store.wait(["a"], always, 20))

    with ThreadPoolExecutor(8) as executor:
        waits = [executor.submit(wait) for _ in range(8)]
        barrier.wait(5)
        until(lambda: channels(client) == 1)
        writer.store_results([ResultRecord("a", b"{}")])
        assert [each.result(5) for each in waits] == [[("a", b"{}")]] * 8


def test_an_idle_wait_costs_next_to_nothing(open_sync: Open, client: Any) -> None:
    store = open_sync()
    used = time.process_time()
    with pytest.raises(exceptions.TimeoutError):
        list(store.wait(["a"], always, 0.5))
    assert time.process_time() - used < 0.1
