"""Why a name is no setting, and what was most likely meant."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import msgspec

from celeriac.settings.future import FUTURE, FUTURE_OLD
from celeriac.settings.options import FUTURE_OPTIONS, OPTION_TABLES
from celeriac.settings.suggestions import LIKENESS, nearest
from celeriac.settings.table import name_of, old_names, table

__all__ = ["Diagnosis", "diagnose"]

GROUP_PREFIXES: Final = ("task_", "worker_", "broker_", "result_", "store_", "redis_", "task_default_", "worker_task_")
OLD_PREFIXES: Final = ("CELERY_", "CELERYD_", "CELERIAC_")


class Diagnosis(msgspec.Struct, frozen=True):
    """What is wrong with a name.

    ``text`` completes the sentence that begins with the name; ``certain`` is False when nothing is like it, so that it
    may well be somebody else's.
    """

    text: str
    certain: bool


def diagnose(name: str, spell: Callable[[str], str] = str, likeness: float = LIKENESS) -> Diagnosis | None:
    """Return what is wrong with the name of a setting, or None when there is such a setting.

    Args:
        name: The name in the style of its source, without a namespace's prefix.
        spell: Returns the name of a setting as the source would spell it.
        likeness: How alike a known name must be to be suggested, from 0 to 1.
    """
    if name_of(name) is not None:
        return None
    if name in FUTURE or name in FUTURE_OLD:
        return Diagnosis("is a setting of Celery that this release does not support yet; remove it", certain=True)
    holder = _holder(name)
    if holder is not None:
        return Diagnosis(
            f'is not a setting but a key of {spell(holder)}; write {spell(holder)} = {{"{name}": ...}}', certain=True
        )
    meant = _meant(name, likeness)
    if meant is None:
        return Diagnosis("is not a setting", certain=False)
    if name.startswith("CELERY_") and name.removeprefix("CELERY_").lower() == meant:
        text = f'is not a setting; did you mean "{meant}", or a source with namespace="CELERY"?'
        return Diagnosis(text, certain=True)
    note = " (a setting that this release does not support yet)" if meant in FUTURE else ""
    return Diagnosis(f'is not a setting; did you mean "{spell(meant)}"?{note}', certain=True)


def _holder(name: str) -> str | None:
    """Return the setting whose dictionary has a key of this name."""
    bare = name.lower()
    for holder, keys in OPTION_TABLES.items():
        if bare in keys.__annotations__:
            return holder
    return "broker_transport_options" if bare in FUTURE_OPTIONS and f"redis_{bare}" not in table() else None


def _meant(name: str, likeness: float) -> str | None:
    for candidate in _variants(name):
        found = name_of(candidate)
        if found is not None:
            return found
        if candidate in FUTURE:
            return candidate
    spelled = nearest(name, _every_name(), likeness)
    for prefix in OLD_PREFIXES:
        if spelled is None and name.startswith(prefix):
            spelled = nearest(name.removeprefix(prefix), _every_name(), likeness)
    return None if spelled is None else name_of(spelled) or FUTURE_OLD.get(spelled, spelled)


def _variants(name: str) -> list[str]:
    """Return what a name would be in other cases, with and without the prefixes that people add or forget."""
    stems = [name.removeprefix(prefix).lower() for prefix in OLD_PREFIXES if name.startswith(prefix)] + [name.lower()]
    return stems + [prefix + stem for stem in stems for prefix in GROUP_PREFIXES] + [f"CELERY_{name.upper()}"]


@cache
def _every_name() -> frozenset[str]:
    return frozenset(table()) | frozenset(old_names()) | FUTURE | frozenset(FUTURE_OLD)
