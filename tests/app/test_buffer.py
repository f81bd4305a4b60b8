"""The buffer: nothing is lost or reordered while the broker is away, and everybody is told."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from celeriac import Celeriac, envelope
from celeriac.app import buffer
from celeriac.exceptions import (
    BrokerRefused,
    BrokerUnreachable,
    BufferFull,
    CeleriacError,
    MessageRefused,
    OperationalError,
    StoreFull,
    StoreReadOnly,
)
from celeriac.stores.store import Outgoing
from celeriac.telemetry import BufferingBegan, BufferingEnded
from tests.app.harness import make_app, run
from tests.app.outages import Broker, outage
from tests.servers import RedisServer, redis_server

LIMIT = 5.0
"""Seconds to wait for what must happen."""


@contextmanager
def buffering(**settings: Any) -> Iterator[tuple[Celeriac, Broker]]:
    with outage(**{"publish_buffer_size": 100, "publish_timeout": 0.3, **settings}) as found:
        yield found


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def first_argument(message: Outgoing) -> int:
    found: int = json.loads(envelope.decode(message.payload).body)[0][0]
    return found


def numbers(broker: Broker) -> list[int]:
    """The first argument of each message that the broker got."""
    return [first_argument(each) for each in broker.got]


def senders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "celeriac-buffer"]


# -------------------------------------------------------------------------------------------------------------- keeping


def test_without_the_setting_nothing_is_kept() -> None:
    with outage(publish_timeout=0.1) as (app, broker):
        broker.fail()
        with pytest.raises(BrokerUnreachable):
            app.tasks["add"].delay(1, 2)
        assert (app.buffered, app.flush(), app.buffer) == (0, 0, None)


def test_what_is_sent_during_an_outage_arrives_in_its_order_when_the_broker_is_back() -> None:
    with buffering() as (app, broker):
        app.tasks["add"].delay(0, 0)
        broker.fail()
        results = [app.tasks["add"].delay(number, 0) for number in range(1, 20)]
        assert app.buffered == 19
        assert len({result.id for result in results}) == 19
        broker.recover()
        assert app.flush(LIMIT) == 0
        app.tasks["add"].delay(20, 0)
        assert numbers(broker) == list(range(21))
        assert app.buffered == 0


def test_an_outage_ends_without_anybodys_help() -> None:
    with buffering() as (app, broker):
        broker.fail()
        app.tasks["add"].delay(1, 2)
        broker.recover()
        eventually(lambda: numbers(broker) == [1])


def test_only_the_first_caller_of_an_outage_waits_for_the_broker() -> None:
    with buffering() as (app, broker):
        broker.fail()
        app.tasks["add"].delay(1, 2)
        here, there = threading.get_ident(), set()
        real = broker.publish

        def publish(messages: Any) -> None:
            there.add(threading.get_ident())
            real(messages)

        broker.publish = publish  # type: ignore[method-assign]
        for number in range(50):
            app.tasks["add"].delay(number, 2)
        assert app.buffered == 51
        app.flush(0.1)
        assert there
        assert here not in there


def test_a_batch_is_kept_whole() -> None:
    with buffering() as (app, broker):
        broker.fail()
        with app.batch():
            for number in range(10):
                app.tasks["add"].delay(number, 2)
        assert app.buffered == 10
        broker.recover()
        assert app.flush(LIMIT) == 0
        assert numbers(broker) == list(range(10))


async def test_awaited_calls_use_the_same_buffer() -> None:
    with buffering() as (app, broker):
        broker.fail()
        for number in range(10):
            await app.tasks["add"].adelay(number, 2)
        async with app.abatch():
            await app.tasks["add"].adelay(10, 2)
        assert app.buffered == 11
        broker.recover()
        assert await app.aflush(LIMIT) == 0
        await app.tasks["add"].adelay(11, 2)
        assert numbers(broker) == list(range(12))
        assert await app.aflush() == 0


def test_threads_may_publish_all_at_once() -> None:
    with buffering(publish_buffer_size=1000) as (app, broker):
        broker.fail()

        def publish(first: int) -> None:
            for number in range(first, first + 50):
                app.tasks["add"].delay(number, 2)

        threads = [threading.Thread(target=publish, args=(first,)) for first in (0, 1000, 2000, 3000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert app.buffered == 200
        broker.recover()
        assert app.flush(LIMIT) == 0
        got = numbers(broker)
        for first in (0, 1000, 2000, 3000):
            assert [number for number in got if first <= number < first + 1000] == list(range(first, first + 50))


@pytest.mark.parametrize("error", [StoreFull("no"), StoreReadOnly("no"), OperationalError("no")], ids=repr)
def test_a_broker_that_takes_nothing_for_now_is_away_too(error: CeleriacError) -> None:
    with buffering() as (app, broker):
        broker.fail(error)
        app.tasks["add"].delay(1, 2)
        assert app.buffered == 1


@pytest.mark.parametrize("error", [BrokerRefused("no"), MessageRefused("no"), CeleriacError("no")], ids=repr)
def test_what_does_not_pass_by_waiting_is_an_error_at_once(error: CeleriacError) -> None:
    with buffering() as (app, broker):
        broker.fail(error)
        with pytest.raises(type(error)):
            app.tasks["add"].delay(1, 2)
        assert app.buffered == 0


def test_a_call_without_retry_is_not_kept() -> None:
    with buffering() as (app, broker):
        broker.fail()
        for _ in range(2):
            with pytest.raises(BrokerUnreachable):
                app.tasks["add"].apply_async((1, 2), retry=False)
            app.tasks["add"].delay(1, 2)
        assert app.buffered == 2


def test_inside_a_task_nothing_is_kept() -> None:
    with buffering() as (app, broker):

        @app.task(name="outer", shared=False)
        def outer() -> None:
            app.tasks["add"].delay(1, 2)

        outer.delay()
        broker.fail()
        outcome = run(app, broker.got[0])
        assert outcome.state == "FAILURE"
        assert app.buffered == 0


# ----------------------------------------------------------------------------------------------------------------- full


def test_a_full_buffer_is_an_error_that_says_so() -> None:
    with buffering(publish_buffer_size=3) as (app, broker):
        broker.fail(BrokerUnreachable("the cable is out"))
        for number in range(3):
            app.tasks["add"].delay(number, 2)
        with pytest.raises(BufferFull, match=r"the cable is out.*3 messages of at most publish_buffer_size = 3"):
            app.tasks["add"].delay(3, 2)
        with pytest.raises(OperationalError):
            app.tasks["add"].delay(4, 2)
        broker.recover()
        assert app.flush(LIMIT) == 0
        assert numbers(broker) == [0, 1, 2]


def test_the_buffer_is_bounded_in_bytes_too() -> None:
    with buffering(publish_buffer_bytes=3000) as (app, broker):
        broker.fail()
        app.tasks["add"].delay(1, 2)
        with pytest.raises(BufferFull, match="publish_buffer_bytes = 3,000"):
            app.tasks["add"].delay("x" * 5000, 2)
        assert app.buffered == 1


def test_a_batch_that_does_not_fit_is_refused_whole() -> None:
    def send() -> None:
        with app.batch():
            for number in range(3):
                app.tasks["add"].delay(number, 2)

    with buffering(publish_buffer_size=4) as (app, broker):
        broker.fail()
        app.tasks["add"].delay(1, 2)
        app.tasks["add"].delay(1, 2)
        with pytest.raises(BufferFull):
            send()
        assert app.buffered == 2


# -------------------------------------------------------------------------------------------------------------- sending


def test_a_message_that_is_refused_for_what_it_is_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    with buffering() as (app, broker):
        broker.fail()
        for number in (1, 2, 666, 3, 4):
            app.tasks["add"].delay(number, 2)
        broker.refused = lambda message: first_argument(message) == 666
        broker.recover()
        assert app.flush(LIMIT) == 0
        assert numbers(broker) == [1, 2, 3, 4]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "is lost: no queue takes it" in record.getMessage()


def test_no_thread_runs_unless_something_is_kept() -> None:
    with buffering() as (app, broker):
        app.tasks["add"].delay(1, 2)
        assert not senders()
        broker.fail()
        app.tasks["add"].delay(1, 2)
        assert len(senders()) == 1
        broker.recover()
        assert app.flush(LIMIT) == 0
        eventually(lambda: not senders())


def test_attempts_become_rarer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def pause_before(attempt: int) -> float:
        asked.append(attempt)
        return 0.0

    monkeypatch.setattr(buffer, "pause_before", pause_before)
    with buffering() as (app, broker):
        broker.fail()
        app.tasks["add"].delay(1, 2)
        eventually(lambda: len(asked) >= 4)
        assert asked[:4] == [1, 2, 3, 4]


@given(st.lists(st.sampled_from(["send", "fail", "recover", "flush"]), max_size=25))
def test_whatever_happens_each_message_arrives_once_and_in_order(steps: list[str]) -> None:
    with buffering() as (app, broker):
        sent = 0
        for step in steps:
            if step == "send":
                app.tasks["add"].delay(sent, 0)
                sent += 1
            elif step == "flush":
                app.flush(0.001)
            else:
                getattr(broker, step)()
        broker.recover()
        assert app.flush(LIMIT) == 0
        assert numbers(broker) == list(range(sent))


# ------------------------------------------------------------------------------------------------------------- flushing


def test_a_flush_ends_in_time_and_says_how_many_are_left() -> None:
    with buffering() as (app, broker):
        broker.fail()
        app.tasks["add"].delay(1, 2)
        app.tasks["add"].delay(1, 2)
        began = time.monotonic()
        assert app.flush(0.05) == 2
        assert asyncio.run(app.aflush(0.05)) == 2
        assert time.monotonic() - began < 1.0


def test_a_flush_does_not_wait_for_the_next_attempt() -> None:
    with buffering() as (app, broker):
        broker.fail()
        app.tasks["add"].delay(1, 2)
        eventually(lambda: broker.attempts >= 5)  # the next one is half a second away
        broker.recover()
        began = time.monotonic()
        assert app.flush(LIMIT) == 0
        assert time.monotonic() - began < 0.3


def test_closing_an_app_sends_what_is_kept() -> None:
    app = make_app(publish_buffer_size=10)
    broker = Broker(app.store)
    app.connections._sync = broker  # type: ignore[assignment]
    app.task(name="add", shared=False)(lambda x, y: x + y)
    broker.fail()
    app.tasks["add"].delay(1, 2)
    threading.Timer(0.1, broker.recover).start()
    app.close()
    assert numbers(broker) == [1]
    assert app.buffered == 0


def test_closing_an_app_says_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[BufferingEnded] = []
    with buffering(publish_timeout=0.1) as (app, broker):
        app.telemetry.subscribe(BufferingEnded, ended.append)
        broker.fail(BrokerUnreachable("the cable is out"))
        app.tasks["add"].delay(1, 2)
        app.tasks["add"].delay(1, 2)
        app.close()
        assert app.buffered == 0
        assert not senders()
    assert "2 messages that were kept while memory://" in caplog.text
    assert "are lost with this process: the cable is out" in caplog.text
    ((sent, lost),) = [(event.sent, event.lost) for event in ended]
    assert (sent, lost) == (0, 2)


# --------------------------------------------------------------------------------------------------------------- saying


def test_an_outage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "celeriac.app.buffer")
    told: list[Any] = []
    with buffering() as (app, broker):
        app.telemetry.subscribe(BufferingBegan, told.append)
        app.telemetry.subscribe(BufferingEnded, told.append)
        broker.fail(BrokerUnreachable("the cable is out"))
        for number in range(30):
            app.tasks["add"].delay(number, 2)
        broker.recover()
        assert app.flush(LIMIT) == 0
        eventually(lambda: len(told) == 2)
    warning, info = [record for record in caplog.records if record.name == "celeriac.app.buffer"]
    assert warning.levelno == logging.WARNING
    assert "at most 100 (publish_buffer_size): the cable is out" in warning.getMessage()
    assert info.levelno == logging.INFO
    assert "30 kept messages are sent" in info.getMessage()
    began, ended = told
    assert (began.error, began.place) == ("the cable is out", ended.place)
    assert (ended.sent, ended.lost) == (30, 0)
    assert ended.outage > 0


def test_a_broker_that_comes_and_goes_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with buffering() as (app, broker):
        for number in range(20):
            broker.fail()
            app.tasks["add"].delay(number, 2)
            broker.recover()
            assert app.flush(LIMIT) == 0
        assert numbers(broker) == list(range(20))
    assert 1 <= len([record for record in caplog.records if record.levelno >= logging.WARNING]) <= 5


# ------------------------------------------------------------------------------------------------------------ processes


def test_a_child_of_a_fork_does_not_send_what_its_parent_keeps() -> None:
    with buffering() as (app, broker):
        broker.fail()
        app.tasks["add"].delay(1, 2)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                assert app.buffered == 0
                assert app.flush(0.1) == 0
                broker.keeping = False  # the memory of the parent's store is the parent's
                app.tasks["add"].delay(2, 2)
                assert app.buffered == 1
                broker.recover()
                assert app.flush(LIMIT) == 0
                assert numbers(broker) == [2]
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert app.buffered == 1
        broker.recover()
        assert app.flush(LIMIT) == 0
        assert numbers(broker) == [1]


PROGRAM = """
    import logging, sys
    from celeriac import Celeriac

    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
    app = Celeriac("web", broker=sys.argv[1], publish_buffer_size=10, publish_timeout=float(sys.argv[2]))

    @app.task(name="add")
    def add(x, y):
        return x + y

    for number in range(5):
        add.delay(number, 0)
    print("kept", app.buffered, flush=True)
    sys.stdin.readline()
"""


def program(url: str, timeout: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), url, str(timeout)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


def test_a_program_that_ends_sends_what_it_keeps(server: RedisServer) -> None:
    server.stop()
    with program(server, 5.0) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "kept 5\n"
        server.start()
        _, log = running.communicate("\n", timeout=20)
    assert running.returncode == 0
    assert "WARNING redis://127.0.0.1" in log
    assert "5 kept messages are sent" in log
    with redis.Redis.from_url(server) as client:
        assert client.llen("celery") == 5


def test_a_program_that_ends_during_an_outage_says_what_is_lost_and_ends_in_time(server: RedisServer) -> None:
    server.stop()
    with program(server, 0.5) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "kept 5\n"
        began = time.monotonic()
        _, log = running.communicate("\n", timeout=20)
        assert time.monotonic() - began < 3.0
    assert running.returncode == 0
    assert "ERROR 5 messages that were kept while redis://127.0.0.1" in log
    assert "Traceback" not in log


def test_an_outage_of_a_server_is_ridden_out(server: RedisServer) -> None:
    app = Celeriac("web", broker=server, set_as_current=False, publish_buffer_size=1000, publish_timeout=1.0)
    app.task(name="add", shared=False)(lambda x, y: x + y)
    app.tasks["add"].delay(0, 0)
    server.freeze()
    began = time.monotonic()
    for number in range(1, 300):
        app.tasks["add"].delay(number, 0)
    assert time.monotonic() - began < 2.0  # one caller has waited, the others have not
    server.thaw()
    assert app.flush(LIMIT) == 0
    app.close()
    with redis.Redis.from_url(server) as client:
        got = [first_argument(Outgoing("celery", each)) for each in reversed(client.lrange("celery", 0, -1))]
    # The publications that were under way when the server froze may be stored twice; none is lost or out of order.
    assert sorted(set(got)) == list(range(300))
    assert list(dict.fromkeys(got)) == list(range(300))
