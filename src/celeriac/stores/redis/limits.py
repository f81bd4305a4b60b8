"""What the settings say of a client's connections: how many, how patient, how often looked after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from celeriac.exceptions import ImproperlyConfigured

__all__ = ["Limits", "limits_of", "shared"]


class Limits(msgspec.Struct, frozen=True):
    """Of the connections of a synchronous store.

    Attributes:
        connections: at most so many at the same time, None for any number.
        kept: so many are kept for the next callers.
        command_timeout: seconds for one command, None for the time that the whole call has.
        repeats_timeouts: a command that got no answer in that time is sent again while the call has time.
        check_each: seconds of rest after which a connection must answer before it is used again, None for never.
    """

    connections: int | None = None
    kept: int = 32
    command_timeout: float | None = None
    repeats_timeouts: bool = True
    check_each: float | None = None


def shared(one: Limits, other: Limits) -> Limits:
    """The limits of connections that two uses share: the stricter ones."""
    most = [each.connections for each in (one, other) if each.connections]
    checks = [each.check_each for each in (one, other) if each.check_each]
    return msgspec.structs.replace(
        one, connections=min(most, default=None), kept=min(one.kept, other.kept), check_each=min(checks, default=None)
    )


def limits_of(options: Mapping[str, Any], pool_limit: int | None) -> Limits:
    """Read ``max_connections``, ``socket_timeout``, ``retry_on_timeout`` and ``health_check_interval``.

    Args:
        options: transport options.
        pool_limit: 0 keeps no connections, None limits none.

    Raises:
        ImproperlyConfigured: one is no number.
    """
    try:
        most = [int(each) for each in (pool_limit, options.get("max_connections")) if each]
        timeout, interval = (_seconds(options.get(name)) for name in ("socket_timeout", "health_check_interval"))
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(
            "max_connections, socket_timeout and health_check_interval must be numbers in the transport options of "
            f"Redis: {error}"
        ) from None
    connections = min(most, default=None)
    return Limits(
        connections,
        kept=0 if pool_limit == 0 else connections or Limits().kept,
        command_timeout=timeout,
        repeats_timeouts=options.get("retry_on_timeout") is not False,
        check_each=interval,
    )


def _seconds(value: Any) -> float | None:
    return float(value) if value else None
