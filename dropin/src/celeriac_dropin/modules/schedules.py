"""``celery.schedules``: not in this release. The classes are there for programs and integrations that import them."""

from __future__ import annotations

from typing import Any, NamedTuple

from celeriac_dropin.absences import BEAT, absent_names, stand_in

__all__ = ["BaseSchedule", "crontab", "schedstate", "schedule", "solar"]

_HERE = "celery.schedules"

BaseSchedule: Any = stand_in(_HERE, "BaseSchedule", BEAT)
schedule: Any = stand_in(_HERE, "schedule", BEAT)
crontab: Any = stand_in(_HERE, "crontab", BEAT)
solar: Any = stand_in(_HERE, "solar", BEAT)


class schedstate(NamedTuple):  # noqa: N801  # Celery's name
    """Whether an entry is due, and in how many seconds to look again."""

    is_due: bool
    next: float


__getattr__ = absent_names(_HERE, dict.fromkeys(("ParseException", "crontab_parser", "maybe_schedule"), BEAT))
