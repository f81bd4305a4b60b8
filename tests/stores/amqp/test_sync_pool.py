"""The synchronous driver: thread-safe, fork-safe, and never longer than its deadline."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from celeriac.exceptions import BrokerRefused, BrokerUnreachable, OperationalError
from celeriac.stores.amqp import requests, sync_connection
from celeriac.stores.amqp.confirms import Refused
from celeriac.stores.amqp.errors import Blocked, ChannelClosed, Disconnected
from celeriac.stores.amqp.properties import Properties
from celeriac.stores.amqp.sync_channel import SyncChannel
from celeriac.stores.amqp.sync_pool import SyncPool
from celeriac.stores.amqp.wire import Incoming, Publication
from celeriac.stores.options import StoreOptions
from tests.proxy import Proxy
from tests.rabbitmq import RabbitServer
from tests.servers import free_port

OpenPool = Callable[..., SyncPool]
PLAIN = Properties(delivery_mode=1).encode()
TIMEOUT = 0.3
"""Seconds that the calls in this file may take."""
ALLOWED = TIMEOUT * 1.1 + 0.15
"""With the ten percent that are promised, and what a busy machine takes."""
LARGE = 300_000


def message(queue: str, body: bytes = b"body") -> Publication:
    return Publication("", queue, PLAIN, body)


def made(pool: SyncPool, queue: str) -> str:
    pool.call(lambda channel: channel.declare_queue(queue))
    return queue


def ready(pool: SyncPool, queue: str) -> int:
    return pool.call(lambda channel: channel.declare_queue(queue, passive=True)).messages


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """The URL of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"amqp://127.0.0.1:{listening.getsockname()[1]}"


def fails_in_time(pool: SyncPool, error: type[Exception], queue: str, times: int = 3) -> list[float]:
    """Publishing fails with the error, within the deadline and ten percent, each time."""
    took = []
    for _ in range(times):
        start = time.monotonic()
        with pytest.raises(error):
            pool.publish([message(queue)], TIMEOUT)
        took.append(time.monotonic() - start)
        assert took[-1] < ALLOWED
    return took


# --------------------------------------------------------------------------------------------------------- publishing


def test_published_messages_are_there_when_the_call_returns(open_pool: OpenPool, queue: str) -> None:
    pool = open_pool()
    made(pool, queue)
    assert pool.publish([message(queue, b"1"), message(queue, bytes(LARGE))]) == []
    assert pool.publish([]) == []

    def take(channel: SyncChannel) -> list[int]:
        sizes = []
        while (found := channel.get(queue)) is not None:
            sizes.append(len(found.body))
            channel.acknowledge([found.tag])
        return sizes

    assert pool.call(take) == [1, LARGE]
    assert ready(pool, queue) == 0


def test_a_large_batch_is_confirmed_and_what_was_refused_is_named(open_pool: OpenPool, queue: str) -> None:
    pool = open_pool()
    made(pool, queue)
    batch = [message(queue) for _ in range(3000)]
    for place in (0, 1500, 2999):
        batch[place] = message(f"{queue}.none", b"%d" % place)
    assert pool.publish(batch) == [Refused(place, 312, "NO_ROUTE") for place in (0, 1500, 2999)]
    assert ready(pool, queue) == 2997


def test_a_missing_exchange_is_an_error_and_the_connection_is_kept(
    open_pool: OpenPool, proxy: Proxy, queue: str
) -> None:
    pool = open_pool(through=proxy)
    for _ in range(3):
        with pytest.raises(ChannelClosed) as caught:
            pool.publish([Publication(queue, "", PLAIN, b"")])
        assert (caught.value.is_missing, caught.value.blamed) == (True, True)
        made(pool, queue)
        assert pool.publish([message(queue)]) == []
    assert proxy.accepted == 1


def test_many_calls_go_out_in_one_write_and_an_error_names_its_place(open_pool: OpenPool, queue: str) -> None:
    pool = open_pool()
    listed: list[requests.Request[Any]] = [
        requests.declare_queue(queue),
        requests.declare_exchange(queue, "fanout"),
        requests.bind_queue(queue, queue),
        requests.declare_queue(queue, arguments={"x-max-priority": 3}),
        requests.declare_queue(f"{queue}.behind"),
    ]
    with pytest.raises(ChannelClosed, match="x-max-priority") as caught:
        pool.call(lambda channel: channel.call_all(listed))
    assert caught.value.place == 3
    results = pool.call(lambda channel: channel.call_all(listed[:3]))
    assert results[0].queue == queue
    assert pool.publish([Publication(queue, "", PLAIN, b"")]) == []
    assert ready(pool, queue) == 1
    with pytest.raises(ChannelClosed) as caught:
        ready(pool, f"{queue}.behind")
    assert caught.value.is_missing


def test_an_error_of_the_user_of_a_channel_drops_its_connection(open_pool: OpenPool, proxy: Proxy, queue: str) -> None:
    pool = open_pool(through=proxy)

    def fail(channel: SyncChannel) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        pool.call(fail)
    made(pool, queue)
    assert proxy.accepted == 2


# ----------------------------------------------------------------------------------------------- threads, and children


def test_threads_publish_at_the_same_time(open_pool: OpenPool, queue: str) -> None:
    pool = open_pool()
    made(pool, queue)

    def publish(number: int) -> None:
        for _ in range(20):
            assert pool.publish([message(queue, b"%d" % number)] * 3) == []

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(publish, range(20)))
    assert ready(pool, queue) == 1200
    assert len(pool._free) <= 10


def test_a_child_of_a_fork_has_a_connection_of_its_own(open_pool: OpenPool, queue: str) -> None:
    pool = open_pool()
    made(pool, queue)
    assert pool.publish([message(queue, b"parent")]) == []

    def child() -> None:
        assert pool.publish([message(queue, b"child")]) == []
        pool.close()
        os._exit(0)

    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child) for _ in range(3)]
    for each in children:
        each.start()
    assert pool.publish([message(queue, b"parent")]) == []
    for each in children:
        each.join(10)
        assert each.exitcode == 0
        each.close()
    assert pool.publish([message(queue, b"parent")]) == []
    assert ready(pool, queue) == 6


def test_no_thread_is_left_to_itself(open_pool: OpenPool, queue: str) -> None:
    before = threading.active_count()
    pool = open_pool()
    made(pool, queue)
    pool.publish([message(queue)])
    assert threading.active_count() == before


# ---------------------------------------------------------------------------------------------------------- deadlines


def test_without_a_server_each_call_fails_in_time(open_pool: OpenPool, queue: str) -> None:
    pool = open_pool(url=f"amqp://127.0.0.1:{free_port()}")
    took = fails_in_time(pool, BrokerUnreachable, queue)
    assert min(took) > TIMEOUT / 3, "it may come back"


def test_without_retries_the_error_comes_at_once_a_hundred_times(open_pool: OpenPool, queue: str) -> None:
    pool = open_pool(url=f"amqp://127.0.0.1:{free_port()}", retry=False)
    start = time.monotonic()
    for _ in range(100):
        with pytest.raises(BrokerUnreachable, match="Is the server running"):
            pool.publish([message(queue)], TIMEOUT)
    assert time.monotonic() - start < 2


def test_a_silent_server_makes_each_call_fail_in_time(open_pool: OpenPool, queue: str) -> None:
    with silent_server() as url:
        fails_in_time(open_pool(url=url), BrokerUnreachable, queue)


def test_a_black_hole_makes_each_call_fail_in_time(open_pool: OpenPool, queue: str) -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # then the kernel drops what else would connect
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        pool = open_pool(url=f"amqp://127.0.0.1:{full.getsockname()[1]}")
        fails_in_time(pool, BrokerUnreachable, queue)


def test_a_server_that_is_silent_after_the_handshake_makes_each_call_fail_in_time(
    open_pool: OpenPool, proxy: Proxy, queue: str
) -> None:
    pool = open_pool(through=proxy)
    made(pool, queue)
    proxy.frozen = True
    fails_in_time(pool, OperationalError, queue)
    proxy.frozen = False
    assert pool.publish([message(queue)]) == []


def test_a_name_that_takes_long_makes_each_call_fail_in_time_with_one_thread_for_all(
    open_pool: OpenPool, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, calls = threading.Event(), count()

    def look_up(*arguments: object, **options: object) -> list[object]:
        next(calls)
        end.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    pool = open_pool(url="amqp://broker.example")
    try:
        fails_in_time(pool, BrokerUnreachable, queue)
        with ThreadPoolExecutor(20) as threads:
            list(threads.map(lambda _: fails_in_time(pool, BrokerUnreachable, queue, 1), range(20)))
        assert next(calls) == 1
    finally:
        end.set()
        for thread in threading.enumerate():
            if thread.name == "celeriac-look-up":
                thread.join(5)


def test_a_name_that_nobody_knows_is_an_error_that_says_so(
    open_pool: OpenPool, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*arguments: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    pool = open_pool(url="amqp://broker.example")
    with pytest.raises(BrokerUnreachable, match="not known"):
        pool.publish([message(queue)], TIMEOUT)
    fails_in_time(pool, BrokerUnreachable, queue, 1)


@pytest.mark.slow
def test_an_alarm_makes_each_call_fail_in_time_and_only_the_first_message_may_come_late(
    rabbitmq: RabbitServer, open_pool: OpenPool, queue: str
) -> None:
    pool = open_pool()
    made(pool, queue)
    rabbitmq.block_publishers()
    try:
        fails_in_time(pool, Blocked, queue, 10)
        with pytest.raises(Blocked, match="low on memory"):
            pool.publish([message(queue)], TIMEOUT)
    finally:
        rabbitmq.unblock_publishers()
    assert pool.publish([message(queue)], 10) == []
    assert ready(pool, queue) == 2


@pytest.mark.slow
def test_a_call_goes_on_when_the_alarm_ends_before_its_deadline(
    rabbitmq: RabbitServer, open_pool: OpenPool, queue: str
) -> None:
    pool = open_pool()
    made(pool, queue)
    rabbitmq.block_publishers()
    end = threading.Timer(0.2, rabbitmq.unblock_publishers)
    end.start()
    try:
        assert pool.publish([message(queue)], 10) == []
    finally:
        end.join()
    assert ready(pool, queue) == 1


def test_a_wrong_password_is_refused_at_once(rabbitmq: RabbitServer, open_pool: OpenPool, queue: str) -> None:
    pool = open_pool(url=rabbitmq.replace("guest:guest", "guest:wrong"))
    start = time.monotonic()
    with pytest.raises(BrokerRefused):
        pool.publish([message(queue)], 5)
    assert time.monotonic() - start < 3


# ---------------------------------------------------------------------------------------------- connections that break


def test_the_first_call_after_a_rest_notices_that_the_connection_is_gone(
    open_pool: OpenPool, proxy: Proxy, queue: str
) -> None:
    pool = open_pool(through=proxy, retry=False)
    made(pool, queue)
    for rest in (0.0, sync_pool_idle()):
        proxy.cut()
        time.sleep(rest)
        assert pool.publish([message(queue)]) == []
    assert (proxy.accepted, ready(pool, queue)) == (3, 2)


def sync_pool_idle() -> float:
    from celeriac.stores.amqp import sync_pool

    return sync_pool._IDLE_CHECK + 0.05


def test_what_was_not_confirmed_is_sent_again(open_pool: OpenPool, proxy: Proxy, queue: str) -> None:
    pool = open_pool(through=proxy)
    made(pool, queue)
    proxy.lose_reply_to(b"lost confirm")
    assert pool.publish([message(queue, b"lost confirm")]) == []
    assert proxy.was_lost
    proxy.break_before(b"lost message")
    assert pool.publish([message(queue, b"lost message"), message(f"{queue}.none", b"lost too")]) == [
        Refused(1, 312, "NO_ROUTE")
    ]
    assert proxy.was_lost
    assert ready(pool, queue) == 3  # the one whose confirm was lost is there twice


def test_an_unknown_outcome_is_an_error_when_it_may_not_be_tried_again(
    open_pool: OpenPool, proxy: Proxy, queue: str
) -> None:
    pool = open_pool(through=proxy, retry=False)
    pool.call(lambda channel: None)
    with contextlib.closing(SyncPool(StoreOptions(url=f"amqp://127.0.0.1:{proxy.port}", retry=False))) as fresh:
        made(pool, queue)
        proxy.lose_reply_to(b"lost confirm")
        with pytest.raises(OperationalError, match="may be in their queues or not"):
            fresh.publish([message(queue, b"lost confirm")])


def test_the_next_node_serves_when_the_first_is_down_or_silent(
    rabbitmq: RabbitServer, open_pool: OpenPool, queue: str
) -> None:
    with silent_server() as silent:
        pool = open_pool(url=f"amqp://127.0.0.1:{free_port()};{silent};{rabbitmq}", connect_timeout=0.2)
        start = time.monotonic()
        made(pool, queue)
        assert time.monotonic() - start < 1.0
        assert pool.publish([message(queue)], TIMEOUT) == []


def test_replies_may_come_byte_by_byte(open_pool: OpenPool, proxy: Proxy, queue: str) -> None:
    proxy.slicing = True
    pool = open_pool(through=proxy)
    made(pool, queue)
    assert pool.publish([message(queue), message(f"{queue}.none")]) == [Refused(1, 312, "NO_ROUTE")]
    proxy.slicing = False


@pytest.mark.slow
def test_a_restart_of_the_server_is_survived(own_rabbitmq: RabbitServer, open_pool: OpenPool) -> None:
    pool = open_pool(url=str(own_rabbitmq))
    made(pool, "durable")
    pool.publish([Publication("", "durable", Properties(delivery_mode=2).encode(), b"")])
    own_rabbitmq.restart()
    assert pool.publish([message("durable")]) == []
    assert ready(pool, "durable") == 2


@pytest.mark.slow
def test_tls_is_spoken(open_pool: OpenPool, tls_rabbitmq: RabbitServer, queue: str) -> None:
    pool = open_pool(url=str(tls_rabbitmq))
    made(pool, queue)
    assert pool.publish([message(queue, bytes(LARGE))] * 5) == []
    assert pool.publish([message(queue)]) == []
    time.sleep(sync_pool_idle())
    assert ready(pool, queue) == 6
    with pytest.raises(BrokerRefused, match="certificate"):
        open_pool(url=tls_rabbitmq.partition("?")[0]).publish([message(queue)], 5)


# ---------------------------------------------------------------------------------------------------------- consuming


def test_messages_are_received_until_a_deadline(open_pool: OpenPool, queue: str) -> None:
    pool = open_pool()
    made(pool, queue)
    channel = pool.make(time.monotonic() + 5)
    tag = channel.consume(queue, prefetch=2)
    pool.publish([message(queue, b"%d" % each) for each in range(3)])
    found: list[Incoming] = []
    while len(found) < 2:
        found += channel.receive()
    channel.deadline = time.monotonic() + 0.05
    assert channel.receive() == []
    channel.deadline = time.monotonic() + 5
    channel.acknowledge([found[0].tag])
    found += channel.receive()
    assert [each.body for each in found] == [b"0", b"1", b"2"]
    channel.cancel(tag)
    channel.reject([each.tag for each in found[1:]], requeue=True)
    while channel.declare_queue(queue, passive=True).messages != 2:  # until the deadline of the channel
        pass
    channel.connection.close()


def test_a_listener_is_told_that_its_queue_is_gone(open_pool: OpenPool, queue: str) -> None:
    pool = open_pool()
    made(pool, queue)
    channel = pool.make(time.monotonic() + 5)
    channel.consume(queue, no_ack=True)
    pool.call(lambda other: other.delete_queue(queue))
    with pytest.raises(Disconnected, match="deleted"):
        channel.receive()
    channel.connection.close()


@pytest.mark.slow
def test_a_listener_notices_a_silent_server_and_keeps_an_idle_one(
    open_pool: OpenPool, proxy: Proxy, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = open_pool(through=proxy)
    made(pool, queue)
    channel = pool.make(time.monotonic() + 30, heartbeat=1)
    channel.consume(queue, no_ack=True)
    channel.deadline = time.monotonic() + 3.2
    assert channel.receive() == []
    proxy.frozen = True
    channel.deadline = time.monotonic() + 30
    start = time.monotonic()
    with pytest.raises(Disconnected, match="silent"):
        channel.receive()
    assert time.monotonic() - start < 4
    proxy.frozen = False
    channel.connection.drop()


def test_a_closed_pool_leaves_no_socket(open_pool: OpenPool, queue: str) -> None:
    pool = open_pool()
    made(pool, queue)
    pool.close()
    pool.close()
    made(pool, queue)
    pool.close()
    gc.collect()  # a socket that was forgotten warns, and warnings are errors


def test_the_heartbeat_of_a_client_that_rests_is_long() -> None:
    assert sync_connection.IDLE_HEARTBEAT >= 300
