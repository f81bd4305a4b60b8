"""Limits of a client's connections."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from celeriac.exceptions import BrokerUnreachable, ImproperlyConfigured, OperationalError
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.limits import Limits, limits_of, shared
from tests.servers import RedisServer

from ..conformance.messages import QUEUE, message
from .conftest import Open
from .proxy import Proxy


@pytest.mark.parametrize(
    ("pool_limit", "options", "expected"),
    [
        (None, {}, Limits()),
        (10, {}, Limits(10, 10)),
        (0, {}, Limits(None, 0)),
        (10, {"max_connections": 4}, Limits(4, 4)),
        (None, {"max_connections": 40}, Limits(40, 40)),
        (None, {"socket_timeout": 2, "retry_on_timeout": False}, Limits(command_timeout=2.0, repeats_timeouts=False)),
        (None, {"health_check_interval": 25, "retry_on_timeout": True}, Limits(check_each=25.0)),
    ],
)
def test_settings_become_limits(pool_limit: int | None, options: dict[str, Any], expected: Limits) -> None:
    assert limits_of(options, pool_limit) == expected


def test_shared_connections_have_the_stricter_limits() -> None:
    assert shared(Limits(10, 10, check_each=25), Limits(4, 4)) == Limits(4, 4, check_each=25)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="health_check_interval"):
        limits_of({"health_check_interval": "often"}, None)


def test_threads_share_as_many_connections_as_allowed(open_sync: Open, client: Any) -> None:
    store = open_sync(pool_limit=2)
    most = 0
    with ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(store.publish, [message(str(number))]) for number in range(200)]
        while not all(each.done() for each in sent):
            most = max(most, len(client.client_list()) - 1)
    assert 0 < most <= 2
    assert client.llen(QUEUE) == 200


def test_who_gets_no_connection_in_time_is_told_the_limit(open_sync: Open) -> None:
    store = open_sync(pool_limit=1, publish_timeout=0.1)
    pool = store._messages.pool
    taken = pool.take(time.monotonic() + 5)
    with pytest.raises(BrokerUnreachable, match="broker_pool_limit"):
        store.publish([message("x")])
    pool.give_back(taken)
    store.publish([message("x")])


def test_without_a_pool_no_connection_is_kept(open_sync: Open, client: Any) -> None:
    store = open_sync(pool_limit=0)
    store.publish([message("x")])
    assert len(client.client_list()) == 1


def test_a_connection_that_rested_is_checked(open_sync: Open, server: RedisServer, proxy: Proxy) -> None:
    store = open_sync(through=proxy, transport_options={"health_check_interval": 0.15}, publish_timeout=5)
    store.publish([message("before")])
    made = proxy.accepted
    time.sleep(0.2)  # rest
    proxy.lose_reply_to(b"PING")
    store.publish([message("after")])
    assert proxy.was_lost
    assert proxy.accepted == made + 1


@pytest.mark.parametrize("repeats", [True, False])
def test_a_command_that_timed_out_is_repeated_if_so_configured(open_sync: Open, proxy: Proxy, repeats: bool) -> None:
    options = {"socket_timeout": 0.2, "retry_on_timeout": repeats}
    store = open_sync(through=proxy, transport_options=options, publish_timeout=3)
    store.publish([message("before")])
    proxy.frozen = True
    timer = threading.Timer(0.4, setattr, (proxy, "frozen", False))
    timer.start()
    if repeats:
        store.publish([message("after")])
    else:
        with pytest.raises(OperationalError, match="may be executed or not"):
            store.publish([message("after")])
    timer.join()


def test_connections_have_their_configured_names(open_sync: Open, client: Any) -> None:
    results = StoreOptions(url=str(open_sync()._places.topology.public), transport_options={"client_name": "results"})
    store = open_sync(transport_options={"client_name": "messages"}, results=results)
    store.publish([message("x")])
    with pytest.raises(Exception, match="not ready"):
        next(store.wait(["none"], lambda _: True, 0.05))
    assert {each["name"] for each in client.client_list()} - {""} == {"messages", "results"}
