"""Settings of the application as a whole.

The groups of settings extend one another (general, broker, result, task, worker, store) instead of standing side by
side, because a struct of msgspec cannot have two bases with fields. In each group the fields are the whole truth about
a setting: the table of settings, the checks and the documentation are read from their annotations.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated

import msgspec

from celeriac.settings import kinds
from celeriac.settings.setting import Modules, Setting

__all__ = ["GeneralSettings"]


class GeneralSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Content types, time and modules."""

    accept_content: Annotated[
        tuple[str, ...],
        Setting("Serializers that are decoded; a message in any other is dead-lettered.", "CELERY_ACCEPT_CONTENT"),
    ] = ("json",)
    result_accept_content: Annotated[
        tuple[str, ...],
        Setting("Serializers that results are decoded from.", "RESULT_ACCEPT_CONTENT", follows="accept_content"),
    ] = ("json",)
    enable_utc: Annotated[bool, Setting("Times in messages are in UTC.", "ENABLE_UTC")] = True
    timezone: Annotated[
        Annotated[tzinfo, kinds.ZONE] | None,
        Setting(
            "The time zone of schedules and of app.now(); None is UTC, or the machine's without enable_utc.",
            "CELERY_TIMEZONE",
        ),
    ] = None
    imports: Annotated[Modules, Setting("Modules that a worker imports when it starts.", "CELERY_IMPORTS")] = ()
    include: Annotated[Modules, Setting("Modules imported after those of `imports`.", "CELERY_INCLUDE")] = ()
