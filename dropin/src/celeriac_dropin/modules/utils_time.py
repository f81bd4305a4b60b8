"""``celery.utils.time``: times, durations and time zones."""

from __future__ import annotations

import random
import time as _time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from types import ModuleType
from typing import Any, Final
from zoneinfo import ZoneInfo

from celeriac_dropin.absences import BEAT, absent_names

__all__ = [
    "LocalTimezone",
    "adjust_timestamp",
    "delta_resolution",
    "get_exponential_backoff_interval",
    "humanize_seconds",
    "is_naive",
    "localize",
    "make_aware",
    "maybe_iso8601",
    "maybe_make_aware",
    "maybe_timedelta",
    "rate",
    "remaining",
    "timezone",
    "to_utc",
    "utcoffset",
    "weekday",
]

_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PER: Final = {"s": 1, "m": 60, "h": 3600}
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"))
_HOUR: Final = 3600


class LocalTimezone(tzinfo):
    """The time zone of this machine."""

    def utcoffset(self, dt: datetime | None) -> timedelta:
        """How far it is ahead of UTC at a time."""
        return self._at(dt).utcoffset() or timedelta(0)

    def dst(self, dt: datetime | None) -> timedelta:
        """How much of that is daylight saving time."""
        standard = timedelta(seconds=-_time.timezone)
        return self.utcoffset(dt) - standard

    def tzname(self, dt: datetime | None) -> str:
        """Its name at a time."""
        return self._at(dt).tzname() or "local"

    def fromutc(self, dt: datetime) -> datetime:
        """The local time of one in UTC."""
        return dt.replace(tzinfo=UTC).astimezone().replace(tzinfo=self)

    @staticmethod
    def _at(dt: datetime | None) -> datetime:
        return (datetime.now() if dt is None else dt.replace(tzinfo=None)).astimezone()


class _Timezones:
    """Time zones by name, and ways between them."""

    utc: Final = UTC

    @property
    def local(self) -> tzinfo:
        """That of this machine."""
        return LocalTimezone()

    def get_timezone(self, zone: str | tzinfo) -> tzinfo:
        """A time zone by name."""
        return ZoneInfo(zone) if isinstance(zone, str) else zone

    def tz_or_local(self, tzinfo: Any = None) -> tzinfo:
        """The time zone that is given, else that of this machine."""
        return self.local if tzinfo is None else self.get_timezone(tzinfo)

    def to_local(self, dt: datetime, local: Any = None, orig: Any = None) -> datetime:
        """A time in the local zone; a naive one is of ``orig``, UTC when None."""
        aware = make_aware(dt, orig or self.utc) if is_naive(dt) else dt
        return aware.astimezone(self.tz_or_local(local))

    def to_system(self, dt: datetime) -> datetime:
        """A time in the zone of this machine."""
        return dt.astimezone(None)

    def to_local_fallback(self, dt: datetime) -> datetime:
        """A time in the zone of this machine; a naive one is of it."""
        return make_aware(dt, self.local) if is_naive(dt) else dt.astimezone(self.local)


timezone = _Timezones()


def is_naive(dt: datetime) -> bool:
    """A time without a zone."""
    return dt.tzinfo is None or dt.tzinfo.utcoffset(dt) is None


def make_aware(dt: datetime, tz: tzinfo) -> datetime:
    """A naive time in a zone; one that a change of clocks leaves out moves forward."""
    aware = dt.replace(tzinfo=tz)
    there_and_back = aware.astimezone(UTC).astimezone(tz)
    return aware if there_and_back.replace(tzinfo=None) == dt.replace(tzinfo=None) else there_and_back


def maybe_make_aware(dt: datetime, tz: tzinfo | None = None, naive_as_utc: bool = True) -> datetime:
    """A time with a zone: a naive one is UTC, or with ``naive_as_utc=False`` of ``tz``."""
    if not is_naive(dt):
        return dt
    if naive_as_utc:
        dt = to_utc(dt)
        return dt if tz is None else dt.astimezone(tz)
    return make_aware(dt, timezone.utc if tz is None else tz)


def to_utc(dt: datetime) -> datetime:
    """A naive time as one in UTC."""
    return make_aware(dt, timezone.utc)


def localize(dt: datetime, tz: tzinfo) -> datetime:
    """A time of UTC in a zone; those of other zones stay."""
    return dt.astimezone(tz) if dt.tzinfo is UTC or str(dt.tzinfo) == "UTC" else dt


def maybe_iso8601(dt: datetime | str | None) -> datetime | None:
    """The time of an ISO 8601 text; times and None stay."""
    if isinstance(dt, str):
        return datetime.fromisoformat(dt)
    return dt


def maybe_timedelta(delta: float | timedelta) -> timedelta:
    """A duration of seconds."""
    return delta if isinstance(delta, timedelta) else timedelta(seconds=delta)


def delta_resolution(dt: datetime, delta: timedelta) -> datetime:
    """A time without what is finer than a duration's largest unit: its day, hour or minute."""
    seconds = delta.total_seconds()
    if seconds >= 86400:
        return dt.replace(hour=0, minute=0, second=0, microsecond=0)
    if seconds >= _HOUR:
        return dt.replace(minute=0, second=0, microsecond=0)
    return dt.replace(second=0, microsecond=0) if seconds >= 60 else dt


def remaining(start: datetime, ends_in: timedelta, now: datetime | None = None, relative: bool = False) -> timedelta:
    """How long it is until a duration after a time is over.

    Args:
        start: the time.
        ends_in: the duration.
        now: the time now, that of the clock when None.
        relative: the end is at the beginning of the duration's unit.
    """
    now = datetime.now(UTC) if now is None else now
    end = start + ends_in
    if relative:
        end = delta_resolution(end, ends_in)
    return end - now


def rate(r: str | float | None) -> float:
    """Calls a second of a rate such as ``10/m``."""
    if not r:
        return 0.0
    if not isinstance(r, str):
        return float(r)
    number, _, unit = r.partition("/")
    return float(number) / _PER[unit or "s"]


def weekday(name: str) -> int:
    """The number of a day by name, Sunday is 0; raises KeyError."""
    short = name[:3].lower()
    if short not in _DAYS:
        raise KeyError(name)
    return _DAYS.index(short)


def humanize_seconds(secs: float, prefix: str = "", sep: str = "", now: str = "now", microseconds: bool = False) -> str:
    """A duration for people, such as ``2.00 minutes``."""
    if secs < 1 and not (microseconds and secs > 0):
        return now
    for size, unit in _UNITS:
        if secs >= size:
            text = f"{secs / size:.2f} {unit}"
            break
    else:
        text = f"{secs:.6f} second" if microseconds and secs < 1 else f"{secs:.2f} second"
    return f"{prefix}{sep}{text}{'' if text.startswith('1.00 ') else 's'}"


def get_exponential_backoff_interval(factor: int, retries: int, maximum: int, full_jitter: bool = False) -> int:
    """Seconds before the next attempt: ``min(maximum, factor * 2**retries)``; with jitter a random part of it."""
    countdown: int = min(maximum, factor * 2 ** min(retries, 64))
    return max(0, random.randrange(countdown + 1) if full_jitter else countdown)


def utcoffset(time: ModuleType = _time, localtime: Callable[..., _time.struct_time] = _time.localtime) -> float:
    """Hours that this machine is west of UTC."""
    seconds = time.altzone if localtime().tm_isdst > 0 else time.timezone
    return float(seconds) / _HOUR


def adjust_timestamp(ts: float, offset: float, here: Callable[..., float] = utcoffset) -> float:
    """A timestamp of a machine so many hours west of UTC, on this one."""
    return ts - (offset - here()) * _HOUR


__getattr__ = absent_names("celery.utils.time", {"ffwd": BEAT})
