"""Attempts to publish: how many, with which pauses, and which failures are worth another one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import Celeriac
from celeriac.app import publishing
from celeriac.exceptions import (
    BrokerRefused,
    BrokerUnreachable,
    CeleriacError,
    MessageRefused,
    OperationalError,
    StoreFull,
    StoreReadOnly,
)
from celeriac.stores.bounds import Bounds, bounds, deadline_within, may_retry, seconds_within
from tests.app.harness import make_app
from tests.app.outages import outage
from tests.proxy import proxy_to
from tests.servers import RedisServer, redis_server

AT_ONCE = {"interval_start": 0, "interval_step": 0, "interval_max": 0}

Send = Callable[..., Any]


def send(app: Celeriac, **options: Any) -> Any:
    return app.tasks["add"].apply_async((1, 2), **options)


def send_awaited(app: Celeriac, **options: Any) -> Any:
    return asyncio.run(app.tasks["add"].aapply_async((1, 2), **options))


both = pytest.mark.parametrize("send", [send, send_awaited])


@both
def test_the_policy_says_how_often_a_publication_is_repeated(send: Send) -> None:
    with outage(task_publish_retry_policy={"max_retries": 4, **AT_ONCE}) as (app, broker):
        broker.fail()
        with pytest.raises(BrokerUnreachable):
            send(app)
        assert broker.attempts == 5


@both
def test_without_retry_there_is_one_attempt(send: Send) -> None:
    with outage() as (app, broker):
        broker.fail()
        with pytest.raises(BrokerUnreachable):
            send(app, retry=False)
        assert broker.attempts == 1
        app.conf.task_publish_retry = False
        with pytest.raises(BrokerUnreachable):
            send(app)
        assert broker.attempts == 2


@both
def test_a_call_may_have_a_policy_of_its_own(send: Send) -> None:
    with outage(task_publish_retry=False) as (app, broker):
        broker.fail()
        with pytest.raises(BrokerUnreachable):
            send(app, retry=True, retry_policy={"max_retries": 1, **AT_ONCE})
        assert broker.attempts == 2


@both
def test_no_policy_outlasts_the_deadline(send: Send) -> None:
    policy = {"max_retries": None, "interval_start": 0.01, "interval_step": 0, "interval_max": 0.01}
    with outage(publish_timeout=0.1, task_publish_retry_policy=policy) as (app, broker):
        broker.fail()
        began = time.monotonic()
        with pytest.raises(BrokerUnreachable):
            send(app)
        assert 0.05 < time.monotonic() - began < 1.0
        assert 1 < broker.attempts <= 11


@both
@pytest.mark.parametrize("error", [BrokerRefused("no"), MessageRefused("no"), StoreFull("no")], ids=repr)
def test_what_no_attempt_repairs_is_tried_once(send: Send, error: CeleriacError) -> None:
    with outage() as (app, broker):
        broker.fail(error)
        with pytest.raises(type(error)):
            send(app)
        assert broker.attempts == 1


@both
@pytest.mark.parametrize("error", [OperationalError("no"), StoreReadOnly("no")], ids=repr)
def test_what_passes_is_tried_again(send: Send, error: CeleriacError) -> None:
    with outage(task_publish_retry_policy={"max_retries": 1, **AT_ONCE}) as (app, broker):
        broker.fail(error)
        with pytest.raises(type(error)):
            send(app)
        assert broker.attempts == 2


def test_a_message_goes_out_when_a_later_attempt_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    with outage() as (app, broker):
        broker.fail()
        monkeypatch.setattr(publishing.time, "sleep", lambda _: broker.recover())
        send(app)
        assert len(broker.got) == 1
        assert broker.attempts == 2


@pytest.fixture(scope="module")
def server() -> Any:
    with redis_server() as running:
        yield running


@both
@pytest.mark.parametrize(("options", "attempts"), [({"retry": False}, 1), ({"retry_policy": AT_ONCE}, 4)])
def test_a_server_that_resets_connections_sees_each_attempt_and_no_more(
    send: Send, options: dict[str, Any], attempts: int, server: RedisServer
) -> None:
    with proxy_to(server.address) as proxy:
        proxy.refusing = True
        app = make_app()
        app.conf.broker_url = f"redis://127.0.0.1:{proxy.port}"
        app.task(name="add", shared=False)(lambda x, y: x + y)
        with pytest.raises(OperationalError):
            send(app, **options)
        assert proxy.accepted == attempts
        app.close()


def test_a_large_publication_has_more_time() -> None:
    from celeriac.stores.store import Outgoing

    app = make_app(publish_timeout=2.0)
    assert publishing._bounds(app.settings, [Outgoing("celery", b"x")]).seconds == 2.0
    large = [Outgoing("celery", bytes(1 << 20))] * 24
    assert publishing._bounds(app.settings, large).seconds == pytest.approx(2.0 + 16)
    app.close()


# --------------------------------------------------------------------------------------------------------------- bounds


def test_without_bounds_a_store_goes_by_its_own_limits() -> None:
    assert bounds() is None
    assert may_retry()
    assert seconds_within(3.0) == 3.0


def test_bounds_hold_in_their_body_only() -> None:
    with Bounds(10.0, retry=False) as limits:
        assert bounds() is limits
        assert not may_retry()
        assert seconds_within(60.0) <= 10.0
        assert seconds_within(1.0) == 1.0
        assert deadline_within(60.0) == limits.deadline
    assert bounds() is None


@given(st.lists(st.tuples(st.floats(0.0, 1e6), st.booleans()), min_size=1, max_size=5))
def test_inner_bounds_never_widen_outer_ones(limits: list[tuple[float, bool]]) -> None:
    with ExitStack() as stack:
        entered = [stack.enter_context(Bounds(*each)) for each in limits]
        for outer, inner in pairwise(entered):
            assert inner.deadline <= outer.deadline
            assert outer.retry or not inner.retry
    assert bounds() is None


async def test_what_outlives_a_call_is_not_bound_by_it() -> None:
    async def later() -> object:
        await over.wait()
        return bounds()

    over = asyncio.Event()
    with Bounds(1.0):
        task = asyncio.create_task(later())
        assert bounds() is not None
    over.set()
    assert await task is None
