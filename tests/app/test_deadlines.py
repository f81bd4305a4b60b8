"""Everything that asks the broker ends in time, whatever the broker does: an error of ours that says why."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from celeriac import Celeriac
from celeriac.exceptions import (
    BrokerRefused,
    BrokerUnreachable,
    CeleriacError,
    OperationalError,
    StoreFull,
    TimeoutError,  # noqa: A004 - the name is Celery's
)
from tests.app.harness import store_result
from tests.app.metronome import Metronome
from tests.app.troubles import TROUBLES
from tests.servers import RedisServer, redis_server

DEADLINE: Final = 0.2
"""Seconds of ``publish_timeout`` in calls that are measured."""
SHORT: Final = 0.005
"""Seconds of it in the calls between, so that the hundredth comes soon."""
TOLERANCE: Final = 1.1
"""What the promise allows: the deadline and a tenth of it."""
IDLE: Final = 0.02
"""Seconds that a call may be late on a machine that is idle: it sleeps and wakes some times, and works between."""
TURNS: Final = 2.0
"""How much later than the metronome a call may be that has to wait for its turn as often."""
MEASURED: Final = (1, 2, 100)

EXPECTED: Final[dict[str, tuple[type[CeleriacError], str]]] = {
    "absent": (BrokerUnreachable, "Connection refused: 127.0.0.1 port"),
    "black hole": (BrokerUnreachable, "no answer from 127.0.0.1 port"),
    "half-open": (BrokerUnreachable, "connected, but the server says nothing|no answer from 127.0.0.1 port"),
    "frozen": (BrokerUnreachable, "connected, but the server says nothing|no answer from 127.0.0.1 port"),
    "failing dns": (BrokerUnreachable, "the name broker.invalid cannot be looked up"),
    "hanging dns": (BrokerUnreachable, "no name server answered in time when asked for broker.invalid"),
    "refusing": (BrokerRefused, "password"),
    "crowded": (BrokerUnreachable, "max number of clients"),
    "full": (StoreFull, "maxmemory"),
}
"""The error of each trouble, and the cause that it names; what is meant by a trouble is in ``troubles.py``."""
UNREACHABLE: Final = ("absent", "black hole", "half-open", "frozen", "failing dns", "hanging dns")


@contextmanager
def app_at(url: str, **settings: Any) -> Iterator[Celeriac]:
    app = Celeriac("late", broker=url, set_as_current=False, **{"publish_timeout": DEADLINE, **settings})

    @app.task(name="add", shared=False)
    def add(x: int, y: int) -> int:
        return x + y

    try:
        yield app
    finally:
        app.close()


@pytest.fixture(params=TROUBLES)
def trouble(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The name of a trouble, and the URL of a broker that has it."""
    with TROUBLES[request.param]() as url:
        yield request.param, url


@pytest.fixture(params=UNREACHABLE)
def unreachable(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a broker that cannot be reached."""
    with TROUBLES[request.param]() as url:
        yield url


@pytest.fixture
def metronome() -> Iterator[Metronome]:
    with Metronome() as running:
        yield running


class Measured:
    """A call that was in time; ``stalled`` when the machine was so late that steps overtook one another."""

    stalled = False


@contextmanager
def in_time(metronome: Metronome) -> Iterator[Measured]:
    """The body ends within the time, a tenth of it, and what this machine is late just now."""
    measured = Measured()
    since, began = metronome.now(), time.monotonic()
    yield measured
    took, late = time.monotonic() - began, metronome.late(since)
    allowed = DEADLINE * TOLERANCE + IDLE + TURNS * late
    assert took <= allowed, f"it took {took:.3f} s, {allowed:.3f} s are allowed"
    measured.stalled = late > IDLE / 2


def check(error: CeleriacError, name: str, call: int, measured: Measured) -> None:
    kind, cause = EXPECTED[name]
    assert type(error) is kind, f"call {call}: {error!r}"
    assert measured.stalled or re.search(cause, str(error)), f"call {call}: {error}"
    assert "secret" not in str(error)


# ----------------------------------------------------------------------------------------------------------- publishing


def test_publishing_ends_in_time(trouble: tuple[str, str], metronome: Metronome) -> None:
    name, url = trouble
    with app_at(url) as app:
        add = app.tasks["add"]
        for call in range(1, max(MEASURED) + 1):
            if call not in MEASURED:
                app.conf.publish_timeout = SHORT
                with pytest.raises(CeleriacError):
                    add.apply_async((1, 2), retry=False)
                continue
            app.conf.publish_timeout = DEADLINE
            with in_time(metronome) as measured, pytest.raises(CeleriacError) as caught:
                add.delay(1, 2)
            check(caught.value, name, call, measured)


def test_awaited_publishing_ends_in_time(trouble: tuple[str, str], metronome: Metronome) -> None:
    name, url = trouble
    with app_at(url) as app:
        add = app.tasks["add"]

        async def publish() -> None:
            for call in range(1, max(MEASURED) + 1):
                if call not in MEASURED:
                    app.conf.publish_timeout = SHORT
                    with pytest.raises(CeleriacError):
                        await add.aapply_async((1, 2), retry=False)
                    continue
                app.conf.publish_timeout = DEADLINE
                with in_time(metronome) as measured, pytest.raises(CeleriacError) as caught:
                    await add.adelay(1, 2)
                check(caught.value, name, call, measured)

        with asyncio.Runner() as runner:
            runner.run(publish())
            with in_time(metronome):  # nothing hangs that the loop waits for at its end
                runner.close()


def test_a_server_that_stops_answering_while_it_is_in_use_is_given_up_in_time(metronome: Metronome) -> None:
    with redis_server() as server, app_at(server) as app:
        add = app.tasks["add"]
        add.delay(1, 2)
        server.freeze()
        with in_time(metronome), pytest.raises(OperationalError, match="may be executed or not"):
            add.delay(1, 2)
        with in_time(metronome), pytest.raises(BrokerUnreachable, match="says nothing"):
            add.delay(1, 2)
        server.thaw()
        app.conf.publish_timeout = 5.0
        add.delay(1, 2)


def test_awaited_publishing_gives_up_a_server_that_stops_answering(metronome: Metronome) -> None:
    async def publish(app: Celeriac, server: Any) -> None:
        add = app.tasks["add"]
        await add.adelay(1, 2)
        server.freeze()
        for _ in range(2):
            with in_time(metronome), pytest.raises(OperationalError, match="stored or not"):
                await add.adelay(1, 2)
        server.thaw()
        app.conf.publish_timeout = 5.0
        await add.adelay(1, 2)

    with redis_server() as server, app_at(server) as app:
        asyncio.run(publish(app, server))


def test_a_broker_that_comes_back_is_used_at_the_next_call() -> None:
    with redis_server() as server, app_at(server) as app:
        server.stop()
        with pytest.raises(BrokerUnreachable):
            app.tasks["add"].delay(1, 2)
        server.start()
        app.conf.publish_timeout = 5.0
        app.tasks["add"].delay(1, 2)


def test_a_batch_ends_in_time(unreachable: str, metronome: Metronome) -> None:
    def send() -> None:
        with app.batch():
            for number in range(10):
                app.tasks["add"].delay(number, 2)

    with app_at(unreachable) as app, in_time(metronome), pytest.raises(BrokerUnreachable):
        send()


# ----------------------------------------------------------------------------------------------- results and revocation


def test_waiting_for_a_result_ends_in_time_and_says_why(unreachable: str, metronome: Metronome) -> None:
    with app_at(unreachable) as app:
        result = app.AsyncResult("some-id")
        for _ in range(2):
            with (
                in_time(metronome),
                pytest.raises(TimeoutError, match=r"some-id has no result after 0.2 s: cannot reach"),
            ):
                result.get(timeout=DEADLINE)


def test_awaiting_a_result_ends_in_time_and_says_why(unreachable: str, metronome: Metronome) -> None:
    async def wait(app: Celeriac) -> None:
        result = app.AsyncResult("some-id")
        for _ in range(2):
            with (
                in_time(metronome),
                pytest.raises(TimeoutError, match=r"some-id has no result after 0.2 s: cannot reach"),
            ):
                await result.aget(timeout=DEADLINE)

    with app_at(unreachable) as app:
        asyncio.run(wait(app))


def test_a_wait_that_only_looks_ends_in_time(unreachable: str, metronome: Metronome) -> None:
    async def look(app: Celeriac) -> None:
        with in_time(metronome), pytest.raises(TimeoutError):
            await app.AsyncResult("some-id").aget(timeout=0)

    with app_at(unreachable) as app:
        with in_time(metronome), pytest.raises(TimeoutError):
            app.AsyncResult("some-id").get(timeout=0)
        asyncio.run(look(app))


def test_a_wait_goes_on_when_its_server_freezes_and_ends_in_time(metronome: Metronome) -> None:
    async def wait(app: Celeriac) -> None:
        result = app.AsyncResult("some-id")
        server.thaw()
        assert await result.astate() == "PENDING"
        server.freeze()
        with in_time(metronome), pytest.raises(TimeoutError):
            await result.aget(timeout=DEADLINE)

    with redis_server() as server, app_at(server) as app:
        result = app.AsyncResult("some-id")
        assert result.state == "PENDING"
        with pytest.raises(TimeoutError):
            result.get(timeout=0.01)
        server.freeze()
        with in_time(metronome), pytest.raises(TimeoutError):
            result.get(timeout=DEADLINE)
        asyncio.run(wait(app))


def test_reading_a_state_revoking_and_forgetting_end_in_time(unreachable: str, metronome: Metronome) -> None:
    with app_at(unreachable) as app:
        result = app.AsyncResult("some-id")
        for call in (lambda: result.state, result.ready, result.revoke, result.forget, lambda: app.revoke("some-id")):
            with in_time(metronome), pytest.raises(BrokerUnreachable):
                call()


def test_awaited_reading_revoking_and_forgetting_end_in_time(unreachable: str, metronome: Metronome) -> None:
    async def call_all(app: Celeriac) -> None:
        result = app.AsyncResult("some-id")
        for call in (result.astate, result.aready, result.arevoke, result.aforget, lambda: app.arevoke("some-id")):
            with in_time(metronome), pytest.raises(BrokerUnreachable):
                await call()

    with app_at(unreachable) as app:
        asyncio.run(call_all(app))


def test_a_chain_is_waited_for_within_one_deadline(unreachable: str, metronome: Metronome) -> None:
    async def wait(result: Any) -> None:
        with in_time(metronome), pytest.raises((TimeoutError, BrokerUnreachable)):
            await result.aget(timeout=DEADLINE)

    with app_at(unreachable, publish_timeout=5.0) as app:
        result = app.AsyncResult("second", parent=app.AsyncResult("first"))
        with in_time(metronome), pytest.raises((TimeoutError, BrokerUnreachable)):
            result.get(timeout=DEADLINE)
        asyncio.run(wait(result))


# ---------------------------------------------------------------------------------------------------- the embedded file


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[str]:
    """The URL of a file on which another program holds the write lock."""
    path = tmp_path / "store.sqlite3"
    url = f"sqlite:///{path}"
    with app_at(url) as app:
        app.tasks["add"].delay(1, 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield url


def test_publishing_into_a_locked_file_ends_in_time(locked: str, metronome: Metronome) -> None:
    async def publish(app: Celeriac) -> None:
        for _ in range(2):
            with in_time(metronome), pytest.raises(OperationalError):
                await app.tasks["add"].adelay(1, 2)

    with app_at(locked) as app:
        for _ in range(2):
            with in_time(metronome), pytest.raises(BrokerUnreachable, match="could not write to"):
                app.tasks["add"].delay(1, 2)
        asyncio.run(publish(app))


def test_threads_do_not_queue_up_before_a_locked_file(locked: str, metronome: Metronome) -> None:
    def publish(_: int) -> None:
        with in_time(metronome), pytest.raises(BrokerUnreachable):
            app.tasks["add"].delay(1, 2)

    with app_at(locked) as app, ThreadPoolExecutor(4) as executor:
        list(executor.map(publish, range(4)))


def test_waiting_for_a_result_in_a_locked_file_ends_in_time(locked: str, metronome: Metronome) -> None:
    async def wait(app: Celeriac) -> None:
        with in_time(metronome), pytest.raises(TimeoutError, match="some-id has no result"):
            await app.AsyncResult("some-id").aget(timeout=DEADLINE)

    with app_at(locked) as app:
        for timeout in (DEADLINE, 0):
            with in_time(metronome), pytest.raises(TimeoutError, match="some-id has no result"):
                app.AsyncResult("some-id").get(timeout=timeout)
        asyncio.run(wait(app))


# ------------------------------------------------------------------------------------------------------- a short outage


def finish_later(app: Celeriac, server: RedisServer) -> None:
    """Start the server, and store the result as a worker would."""
    server.start()
    app.conf.publish_timeout = 5.0
    store_result(app, "some-id", 42)


def test_a_wait_that_began_before_the_broker_was_there_gets_its_result() -> None:
    async def wait(app: Celeriac) -> Any:
        later = threading.Timer(0.2, finish_later, (app, server))
        later.start()
        try:
            return await app.AsyncResult("some-id").aget(timeout=10)
        finally:
            later.join()

    with redis_server() as server:
        server.stop()
        with app_at(server) as app:
            assert asyncio.run(wait(app)) == 42
        server.stop()
        with app_at(server) as app:
            later = threading.Timer(0.2, finish_later, (app, server))
            later.start()
            assert app.AsyncResult("some-id").get(timeout=10) == 42
            later.join()
