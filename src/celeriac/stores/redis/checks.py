"""What a server must be able to do, looked at when a store opens."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from hiredis import ReplyError

from celeriac.exceptions import BrokerUnreachable

__all__ = ["check_version", "warn_of_eviction"]

logger = logging.getLogger("celeriac.stores.redis")

_OLDEST: Final = (6, 2)
"""BLMOVE, ZMSCORE and RPOP with a count came with Redis 6.2; Valkey began with 7.2."""
_warned: set[str] = set()


def check_version(hello: Mapping[bytes, Any], place: str) -> None:
    """Refuse a server that is too old.

    Raises:
        BrokerUnreachable: it is.
    """
    version = bytes(hello.get(b"version", b"")).decode("ascii", "replace")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers and numbers < _OLDEST:
        raise BrokerUnreachable(f"{place} is Redis {version}; Celeriac needs Redis 6.2 or Valkey 7.2 at least")


def warn_of_eviction(info: Any, place: str) -> None:
    """Warn, once for each server, when it may evict keys: it would lose messages without a word.

    Args:
        info: what ``INFO memory`` answered; an error reply (an ACL may forbid it) says nothing.
        place: the URL without the password.
    """
    if isinstance(info, ReplyError) or place in _warned:
        return
    lines = dict(line.split(":", 1) for line in info.decode("utf-8", "replace").splitlines() if ":" in line)
    policy = lines.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return
    _warned.add(place)
    what = "results before their time" if policy.startswith("volatile") else "messages and results"
    logger.warning(
        "%s has maxmemory-policy %s: when its memory is full it deletes %s. Set `maxmemory-policy noeviction`.",
        place,
        policy,
        what,
    )
