"""A Redis server's own settings."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from celeriac.cli.checkup.redis import judge, look_at_server
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.slots import DEFAULT_PREFIX, slot_of

from ...deployments import MASTER_NAME, redis_cluster, sentinel_of
from ...servers import redis_server

GOOD: dict[str, Any] = {
    "maxmemory": 0,
    "maxmemory-policy": "noeviction",
    "append-only file": True,
    "role": "master",
    "clock difference": 0.0,
}


def test_a_server_as_it_should_be_is_no_finding() -> None:
    assert list(judge("redis://here", GOOD)) == []


@pytest.mark.parametrize(
    ("facts", "severity", "text"),
    [
        ({"maxmemory-policy": "allkeys-lru", "maxmemory": 1}, "error", "thrown away"),
        ({"maxmemory-policy": "allkeys-lru"}, "warning", "once maxmemory is set"),
        ({"role": "slave"}, "error", "cannot be written to"),
        ({"append-only file": False}, "warning", "append-only file is off"),
        ({"clock difference": -90.5}, "warning", "-90.5 s"),
    ],
)
def test_what_loses_messages_is_found(facts: dict[str, Any], severity: str, text: str) -> None:
    (finding,) = judge("redis://here", GOOD | facts)
    assert finding.severity == severity
    assert text in finding.text


def test_a_server_is_asked_about_itself() -> None:
    with redis_server(appendonly=True, password="secret", maxmemory="100mb", maxmemory_policy="allkeys-lru") as server:
        facts, findings = look_at_server(StoreOptions(url=server))
    assert facts["maxmemory"] == 100 * 1024 * 1024
    assert abs(facts["clock difference"]) < 1
    assert [finding.severity for finding in findings] == ["error"]
    assert "secret" not in str(findings)


def test_a_server_on_a_socket_is_asked_too() -> None:
    with redis_server(unix_socket=True) as server:
        facts, _ = look_at_server(StoreOptions(url=server))
    assert facts["role"] == "master"


def test_a_server_with_tls_is_asked_too() -> None:
    with redis_server(tls=True) as server:
        facts, _ = look_at_server(StoreOptions(url=server))
    assert facts["role"] == "master"


def test_a_server_that_tells_nothing_is_a_note() -> None:
    with redis_server() as server:
        with redis.Redis.from_url(server) as client:
            client.acl_setuser("default", enabled=True, nopass=True, commands=["-info"])
        facts, findings = look_at_server(StoreOptions(url=server))
    assert facts == {}
    assert [finding.severity for finding in findings] == ["note"]


def test_the_master_behind_a_sentinel_is_asked() -> None:
    with redis_server(appendonly=True, maxmemory_policy="volatile-lru") as master, sentinel_of(master) as sentinel:
        url = f"sentinel://127.0.0.1:{sentinel.port}/0?master_name={MASTER_NAME}&wait_replicas=1"
        facts, findings = look_at_server(StoreOptions(url=url))
    assert facts["master"] == f"127.0.0.1:{master.port}"
    found = {(finding.severity, finding.text.partition(":")[0]) for finding in findings}
    assert found == {
        ("warning", "maxmemory-policy is volatile-lru"),
        ("warning", "the master has no replica now"),
        ("error", "wait_replicas is 1 and the master has 0 replicas"),
    }


def test_the_node_of_a_cluster_that_has_our_slot_is_asked() -> None:
    with redis_cluster(appendonly=True) as cluster:
        facts, findings = look_at_server(StoreOptions(url=cluster.url))
        assert facts["master"] == f"127.0.0.1:{cluster.owner(slot_of(DEFAULT_PREFIX)).port}"
    assert findings == []


def test_nobody_who_answers_is_a_note() -> None:
    with redis_server() as gone:
        url = f"sentinel://127.0.0.1:{gone.port}/0?master_name=m"
    facts, (finding,) = look_at_server(StoreOptions(url=url))
    assert facts == {}
    assert finding.severity == "note"
    assert str(gone.port) in finding.text
