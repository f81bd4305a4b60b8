"""The options of a call: names and times made explicit before a message is built (behaviours.md, section C)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Final

__all__ = ["KNOWN_OPTIONS", "PUBLISH_ATTRIBUTES", "eta_of", "expires_of", "refuse_unknown", "timestamp"]

PUBLISH_ATTRIBUTES: Final = (
    "queue",
    "exchange",
    "routing_key",
    "priority",
    "expires",
    "serializer",
    "delivery_mode",
    "compression",
    "time_limit",
    "soft_time_limit",
    "ignore_result",
)
"""Attributes of a task that are defaults of its calls."""

KNOWN_OPTIONS: Final = frozenset(
    {
        *PUBLISH_ATTRIBUTES,
        *("countdown", "eta", "retry", "retry_policy", "headers", "reply_to", "correlation_id", "add_to_parent"),
        *("group_id", "group_index", "chord", "chain", "root_id", "parent_id", "retries", "route_name"),
        *("replaced_task_nesting", "stamped_headers", "stamps", "argsrepr", "kwargsrepr", "origin"),
        *("link", "link_error", "task_id", "shadow", "app_id", "user_id", "message_id", "timestamp"),
    }
)
PROPERTY_OPTIONS: Final = frozenset({"app_id", "user_id", "message_id", "timestamp"})


logger = logging.getLogger("celeriac.app.options")


def refuse_unknown(options: dict[str, Any]) -> None:
    """Raise TypeError, naming the nearest, for an option that nobody knows."""
    stamps = options.get("stamped_headers") or ()
    for name in options:
        if name not in KNOWN_OPTIONS and name not in stamps:
            import difflib

            near = difflib.get_close_matches(name, KNOWN_OPTIONS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"apply_async() has no option {name!r}{hint}")


def timestamp(value: str | datetime) -> float:
    """Seconds since the epoch of a date, or of its ISO 8601 text; without an offset it is UTC (behaviours.md, H.115).

    Raises:
        ValueError: the text is no ISO 8601 date, or a date that no clock reaches.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value.timestamp()


def eta_of(countdown: float | None, eta: Any, now: float) -> tuple[str | None, float | None]:
    """The ``eta`` header, and when that is; a countdown wins, and one of 0 is none.

    Raises:
        TypeError: ``eta`` is neither a datetime nor ISO 8601 text, or the countdown no number.
        ValueError: the moment cannot be told as a date.
    """
    if countdown:
        return _after("countdown", countdown, now)
    if not eta:
        return None, None
    if isinstance(eta, str):
        return eta, _moment("eta", eta)
    if not isinstance(eta, datetime):
        raise TypeError(f"eta must be a datetime or ISO 8601 text, not {eta!r}; use countdown= for seconds from now")
    return eta.isoformat(), _moment("eta", eta)


def expires_of(expires: Any, now: float, name: str) -> tuple[str | None, str | None]:
    """The ``expires`` header, and the ``expiration`` property (milliseconds as text).

    Raises:
        TypeError: it is neither seconds, a timedelta, a datetime nor ISO 8601 text.
        ValueError: the moment cannot be told as a date.
    """
    if expires is None:
        return None, None
    if isinstance(expires, timedelta):
        expires = expires.total_seconds()
    if isinstance(expires, (int, float)) and not isinstance(expires, bool):
        header, end = _after("expires", expires, now)
    elif isinstance(expires, (datetime, str)):
        end = _moment("expires", expires)
        header = expires if isinstance(expires, str) else expires.isoformat()
    else:
        raise TypeError(f"expires must be seconds, a timedelta, a datetime or ISO 8601 text, not {expires!r}")
    left = end - now
    if left < 0:
        logger.warning("%s is sent although it expired at %s", name, header)
        left = 0
    return header, str(int(left * 1000))


def _after(option: str, seconds: Any, now: float) -> tuple[str, float]:
    """The moment that many seconds from now, as text and as a number."""
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if not isinstance(seconds, (int, float)):
        raise TypeError(f"{option} must be a number of seconds or a timedelta, not {seconds!r}")
    try:
        moment = now + seconds
        return datetime.fromtimestamp(moment, UTC).isoformat(), moment
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{option}={seconds!r} seconds from now is beyond the years that a date can tell") from None


def _moment(option: str, value: str | datetime) -> float:
    try:
        return timestamp(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{option}={value!r} is no date that can be told in ISO 8601") from None
