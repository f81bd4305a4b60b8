"""A Redis or Valkey server: settings of it that lose messages, and its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import redis
from redis.exceptions import RedisError

from celeriac.cli.checkup.finding import Finding
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.address import address_of

__all__ = ["judge", "look_at_server"]

CLOCK_TOLERANCE: Final = 1.0
"""Seconds; etas and expiry are judged by the worker's clock, leases and holds by the server's."""


def look_at_server(options: StoreOptions) -> tuple[dict[str, Any], list[Finding]]:
    """Ask a server about itself.

    Returns:
        Facts by name, and what is wrong.
    """
    address = address_of(options)
    place: dict[str, Any] = {"unix_socket_path": address.path} if address.path else {"host": address.host}
    if address.tls is not None:
        place |= {"ssl": True, **address.tls}
    client = redis.Redis(
        **place,
        port=address.port,
        username=address.username or None,
        password=address.password or None,
        db=address.database,
        socket_connect_timeout=options.connect_timeout,
        socket_timeout=options.connect_timeout,
        decode_responses=True,
    )
    try:
        with client:
            information: dict[str, Any] = client.info()
            before = time.time()
            seconds, microseconds = client.time()
            difference = seconds + microseconds / 1e6 - (before + time.time()) / 2
    except RedisError as error:
        return {}, [Finding("note", address.public, f"the server tells nothing about itself: {error}", "")]
    facts = {
        "server": f"{information.get('server_name', 'redis')} {information.get('redis_version', '?')}",
        "maxmemory": int(information.get("maxmemory", 0)),
        "maxmemory-policy": str(information.get("maxmemory_policy", "?")),
        "append-only file": bool(information.get("aof_enabled", 0)),
        "role": str(information.get("role", "?")),
        "clock difference": round(difference, 3),
    }
    return facts, list(judge(address.public, facts))


def judge(place: str, facts: dict[str, Any]) -> Iterator[Finding]:
    """What is wrong with a server of which these facts are known."""
    policy = facts["maxmemory-policy"]
    if policy not in ("noeviction", "?"):
        limited = facts["maxmemory"] > 0
        yield Finding(
            "error" if limited else "warning",
            place,
            f"maxmemory-policy is {policy}: "
            + (
                "messages and results are thrown away when memory is full"
                if limited
                else "once maxmemory is set, messages are lost"
            ),
            "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
        )
    if facts["role"] not in ("master", "?"):
        yield Finding(
            "error", place, f"the server is a {facts['role']}: it cannot be written to", "name the master in the URL"
        )
    if not facts["append-only file"]:
        yield Finding(
            "warning",
            place,
            "the append-only file is off: a crash of the server loses what came after its last snapshot",
            "CONFIG SET appendonly yes, and the same in redis.conf",
        )
    if abs(facts["clock difference"]) > CLOCK_TOLERANCE:
        yield Finding(
            "warning",
            place,
            f"the server's clock differs from this machine's by {facts['clock difference']:+g} s: etas are off",
            "run NTP on both",
        )
