"""Publications that replicas confirm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from celeriac.exceptions import ImproperlyConfigured, NotReplicated, OperationalError
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.confirming import confirmation_of
from tests.deployments import client_of, eventually
from tests.servers import RedisServer, redis_server

from ..conformance.messages import QUEUE, message
from .conftest import Open

SOON = {"transport_options": {"wait_replicas": 1, "wait_replicas_timeout": 0.3}}
PATIENT = {"transport_options": {"wait_replicas": 1, "wait_replicas_timeout": 5}}


@pytest.fixture
def replica(server: RedisServer) -> Iterator[RedisServer]:
    """A replica of the server, in step with it."""
    with client_of(server) as client:
        client.config_set("repl-diskless-sync-delay", 0)
    with redis_server(replicaof=f"127.0.0.1 {server.port}") as made, client_of(server) as client:
        eventually(lambda: client.set("probe", 1) and client.wait(1, 100), "the replica is in step")
        yield made


async def test_what_replicas_have_is_confirmed(
    server: RedisServer, replica: RedisServer, open_store: Open, open_sync: Open
) -> None:
    store, client = await open_store(**PATIENT), open_sync(**PATIENT)
    for number, publish in enumerate((store.publish, _later(client.publish)), 1):
        await publish([message("one"), message("two"), message("held", due=5e9)])
        await publish([message("three")])
        with client_of(replica) as direct:
            assert direct.llen(QUEUE) == 3 * number


async def test_what_no_replica_has_is_an_error(server: RedisServer, open_store: Open, open_sync: Open) -> None:
    store, client = await open_store(**SOON), open_sync(**SOON)
    for publish in (store.publish, _later(client.publish)):
        with pytest.raises(NotReplicated, match=r"0 of 1 replicas confirmed within 0\.3 seconds") as raised:
            await publish([message("x")])
        assert isinstance(raised.value, OperationalError)
    with client_of(server) as direct:
        assert direct.llen(QUEUE) == 2


async def test_a_replica_that_falls_silent_confirms_nothing(
    server: RedisServer, replica: RedisServer, open_store: Open
) -> None:
    soon, patient = await open_store(**SOON), await open_store(**PATIENT)
    await patient.publish([message("x")])
    replica.freeze()
    with pytest.raises(NotReplicated):
        await soon.publish([message("y")])
    replica.thaw()
    await patient.publish([message("z")])


def _later(function: Any) -> Any:
    async def call(*arguments: Any) -> Any:
        return function(*arguments)

    return call


def test_nothing_is_asked_of_replicas_by_default() -> None:
    assert confirmation_of(StoreOptions(url="redis://host")) is None


def test_the_url_may_say_it_too() -> None:
    found = confirmation_of(StoreOptions(url="redis://host?wait_replicas=2&wait_replicas_timeout=0.5"))
    assert found is not None
    assert (found.replicas, found.timeout) == (2, 0.5)


@pytest.mark.parametrize(
    "options", [{"wait_replicas": "two"}, {"wait_replicas": 1, "wait_replicas_timeout": 9}, {"wait_replicas": [1]}]
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured, match="wait_replicas"):
        confirmation_of(StoreOptions(url="redis://host", transport_options=options))
