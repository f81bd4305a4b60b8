"""The table of all settings, read from the annotations of the snapshot's fields."""

from __future__ import annotations

import inspect
import typing
from functools import cache
from typing import Any

import msgspec

from celeriac.settings.derivation import kind_of
from celeriac.settings.kinds import Kind
from celeriac.settings.setting import Setting
from celeriac.settings.snapshot import Settings

__all__ = ["Row", "followed", "name_of", "old_names", "table"]


class Row(msgspec.Struct, frozen=True):
    """One setting.

    ``group`` is the part of Celeriac that it belongs to (general, broker, result, task, worker, store), ``unit`` what a
    number is a number of, ``old`` Celery's upper-case name from before version 4.
    """

    name: str
    group: str
    type: str
    unit: str
    default: Any
    meaning: str
    old: str
    ours: bool
    environment: tuple[str, ...]
    follows: str
    kind: Kind


@cache
def table() -> dict[str, Row]:
    """Return every setting of this release by its name, group by group."""
    hints = typing.get_type_hints(Settings, include_extras=True)
    defaults = Settings()
    groups = {
        name: base.__name__.removesuffix("Settings").lower()
        for base in Settings.__mro__[1:]
        for name in inspect.get_annotations(base)
    }
    return {name: _row(name, groups[name], hints[name], defaults) for name in Settings.__struct_fields__}


def _row(name: str, group: str, hint: Any, defaults: Settings) -> Row:
    setting = next(mark for mark in hint.__metadata__ if isinstance(mark, Setting))
    kind = kind_of(hint)
    ours = (f"CELERIAC_{name.upper()}",) if setting.ours else ()
    return Row(
        name=name,
        group=group,
        type=kind.phrase,
        unit=kind.unit,
        default=getattr(defaults, name),
        meaning=setting.meaning,
        old=setting.old,
        ours=setting.ours,
        environment=setting.environment + ours,
        follows=setting.follows,
        kind=kind,
    )


@cache
def followed() -> dict[str, str]:
    """Return, by the name of a setting, the one whose value it has while nobody sets it."""
    return {row.name: row.follows for row in table().values() if row.follows}


@cache
def old_names() -> dict[str, str]:
    """Return the name of a setting by its old one."""
    return {row.old: row.name for row in table().values() if row.old}


def name_of(spelled: str) -> str | None:
    """Return the name of the setting that a name, old or new, stands for; None when there is none."""
    return spelled if spelled in table() else old_names().get(spelled)
