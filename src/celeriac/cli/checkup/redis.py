"""A Redis or Valkey server: settings of it that lose messages, and its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

from hiredis import ReplyError

from celeriac.cli.checkup.finding import Finding
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.errors import Disconnected
from celeriac.stores.redis.places import places_of
from celeriac.stores.redis.sync_server import SyncServer
from celeriac.stores.redis.topology import Kind
from celeriac.stores.redis.wire import pack_command

__all__ = ["judge", "look_at_server"]

_QUESTIONS: Final = (pack_command((b"INFO",)), pack_command((b"TIME",)))
CLOCK_TOLERANCE: Final = 1.0
"""Seconds; etas and expiry are judged by the worker's clock, leases and holds by the server's."""


def look_at_server(options: StoreOptions) -> tuple[dict[str, Any], list[Finding]]:
    """Ask a server about itself.

    Returns:
        Facts by name, and what is wrong.
    """
    places = places_of(options)
    place = places.topology.public
    deadline = time.monotonic() + options.connect_timeout
    try:
        connection = SyncServer(places.topology, options, places.slot).connect(0, places.client_name, deadline)
        with closing(connection):
            before = time.time()
            told, answer = connection.request(_QUESTIONS, deadline)
            middle = (before + time.time()) / 2
    except (OSError, Disconnected, ReplyError) as error:
        return {}, [Finding("note", place, f"the server tells nothing about itself: {error}", "")]
    for reply in (told, answer):
        if isinstance(reply, ReplyError):
            return {}, [Finding("note", place, f"the server tells nothing about itself: {reply}", "")]
    lines = told.decode("utf-8", "replace").splitlines()
    information = dict(line.split(":", 1) for line in lines if ":" in line)
    difference = int(answer[0]) + int(answer[1]) / 1e6 - middle
    facts = {
        "server": f"{information.get('server_name', 'redis')} {information.get('redis_version', '?')}",
        "maxmemory": int(information.get("maxmemory", 0)),
        "maxmemory-policy": str(information.get("maxmemory_policy", "?")),
        "append-only file": information.get("aof_enabled", "0") == "1",
        "role": str(information.get("role", "?")),
        "replicas": int(information.get("connected_slaves", 0)),
        "clock difference": round(difference, 3),
    }
    if places.topology.moves:
        facts["master"] = connection.address.place
    wanted = places.confirmation.replicas if places.confirmation is not None else 0
    return facts, [*judge(place, facts), *_judge_replicas(place, places.topology.kind, facts["replicas"], wanted)]


def _judge_replicas(place: str, kind: Kind, replicas: int, wanted: int) -> Iterator[Finding]:
    """Whether somebody could take over, and whether publications can be confirmed."""
    if kind is not Kind.SERVERS and not replicas:
        yield Finding(
            "warning", place, "the master has no replica now: nobody takes over when it is lost", "repair the replicas"
        )
    if replicas < wanted:
        yield Finding(
            "error",
            place,
            f"wait_replicas is {wanted} and the master has {replicas} replicas: every publication raises NotReplicated",
            "repair the replicas, or lower wait_replicas",
        )


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
