"""Lists of servers, read and write URLs, TLS and connection limits on their way from the settings to the stores."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

from celeriac import Celeriac
from celeriac.app.connections import backend_options, broker_options
from celeriac.exceptions import InvalidSetting, UnsupportedOption
from celeriac.stores.redis.limits import Limits
from tests.servers import redis_server


def made(**settings: Any) -> Celeriac:
    app = Celeriac("shop", set_as_current=False)
    app.conf.update(settings)
    return app


def results_of(app: Celeriac) -> Any:
    options = backend_options(app)
    assert options is not None
    return options


@pytest.mark.parametrize("urls", ["redis://a/0;redis://b/0", ["redis://a/0", "redis://b/0"]])
def test_a_list_of_brokers_is_one_store_with_alternates(urls: Any) -> None:
    app = made(broker_url=urls)
    for options in (broker_options(app), results_of(app)):
        assert (options.url, options.alternates) == ("redis://a/0", ("redis://b/0",))
        assert options.failover_strategy == "round-robin"


def test_the_failover_strategy_is_a_name_or_a_function() -> None:
    def own(urls: list[str]) -> Iterator[str]:
        return cycle(urls)

    assert broker_options(made(broker_failover_strategy="shuffle")).failover_strategy == "shuffle"
    assert broker_options(made(broker_failover_strategy=own)).failover_strategy is own
    with pytest.raises(InvalidSetting, match="round-robin"):
        assert made(broker_failover_strategy="nearest").settings


def test_a_list_of_a_store_without_failover_is_refused() -> None:
    with pytest.raises(UnsupportedOption, match="broker_url names several"):
        made(broker_url="memory://a;memory://b").connections.make()


def test_workers_read_from_one_url_and_clients_write_to_another() -> None:
    with redis_server() as read, redis_server() as write:
        app = made(broker_read_url=str(read), broker_write_url=str(write), result_backend="disabled")
        client: Any = app.connections.sync()
        worker: Any = app.connections.make()
        assert client.broker._places.topology.public == str(write)
        assert worker.broker._places.topology.public == str(read)
        app.connections.close()


@pytest.mark.parametrize("given", [True, {"ssl_cert_reqs": "none"}])
def test_results_beside_the_messages_are_entered_with_the_same_tls(given: Any) -> None:
    expected = {} if given is True else given
    assert results_of(made(broker_url="redis://a", broker_use_ssl=given)).tls == expected
    app = made(broker_url="redis://a/0", result_backend="redis://a/1", broker_use_ssl=given)
    assert results_of(app).tls == broker_options(app).tls == expected


def test_results_elsewhere_have_their_own_tls() -> None:
    elsewhere = {"broker_url": "redis://a", "result_backend": "redis://b", "broker_use_ssl": True}
    assert results_of(made(**elsewhere)).tls is None
    assert results_of(made(redis_backend_use_ssl={"ssl_cert_reqs": "none"}, **elsewhere)).tls == {
        "ssl_cert_reqs": "none"
    }
    assert results_of(made(broker_url="redis://a", broker_use_ssl=True, redis_backend_use_ssl=False)).tls is None


def test_results_on_sentinel_know_the_master_of_the_messages() -> None:
    of_master = {"master_name": "m", "sentinel_kwargs": {"password": "p"}}
    app = made(broker_url="sentinel://a;sentinel://b", broker_transport_options=of_master)
    assert results_of(app).transport_options.items() >= of_master.items()
    app.conf.result_backend_transport_options = {"master_name": "other"}
    assert results_of(app).transport_options["master_name"] == "other"


def test_settings_of_the_result_client_become_its_options() -> None:
    app = made(
        broker_url="redis://a/0",
        result_backend="redis://a/1",
        broker_pool_limit=7,
        redis_max_connections=3,
        redis_socket_timeout=2.0,
        redis_socket_connect_timeout=1.5,
        redis_retry_on_timeout=True,
        redis_backend_health_check_interval=25,
        redis_client_name="results",
    )
    assert results_of(app).connect_timeout == 1.5
    client: Any = app.connections.sync()
    assert client._messages.pool.limits == Limits(7, 7)
    assert client._results.pool.limits == Limits(3, 3, 2.0, True, 25.0)
    assert client._places.result_client_name == "results"


@pytest.mark.parametrize("none", [None, 0])
def test_without_a_pool_limit_there_is_no_pool(none: Any) -> None:
    client: Any = made(broker_url="redis://a", broker_pool_limit=none).connections.sync()
    assert (client._messages.pool.limits.connections, client._messages.pool.limits.kept) == (None, 0)


def test_the_connect_timeout_of_the_transport_wins() -> None:
    app = made(broker_connection_timeout=3.0, broker_transport_options={"socket_connect_timeout": 0.5})
    assert broker_options(app).connect_timeout == 0.5
    assert broker_options(made(broker_connection_timeout=3.0)).connect_timeout == 3.0
