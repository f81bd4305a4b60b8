"""``celery.beat``: not in this release. The classes are there for integrations that import them."""

from __future__ import annotations

from typing import Any

from celeriac_dropin.absences import BEAT, absent_names, stand_in

__all__ = ["PersistentScheduler", "ScheduleEntry", "Scheduler", "Service"]

_HERE = "celery.beat"

PersistentScheduler: Any = stand_in(_HERE, "PersistentScheduler", BEAT)
ScheduleEntry: Any = stand_in(_HERE, "ScheduleEntry", BEAT)
Scheduler: Any = stand_in(_HERE, "Scheduler", BEAT, ("apply_entry", "tick"))
Service: Any = stand_in(_HERE, "Service", BEAT)

__getattr__ = absent_names(_HERE, dict.fromkeys(("BeatLazyFunc", "EmbeddedService", "SchedulingError"), BEAT))
