"""Why a name is no setting, and what was most likely meant."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import msgspec

from celeriac.settings.future import FUTURE, FUTURE_OLD
from celeriac.settings.options import FUTURE_OPTIONS, OPTION_TABLES
from celeriac.settings.suggestions import nearest
from celeriac.settings.table import name_of, old_names, table

__all__ = ["Diagnosis", "diagnose"]

GROUP_PREFIXES: Final = ("task_", "worker_", "broker_", "result_", "store_", "redis_", "task_default_", "worker_task_")
OFTEN_VARIABLES: Final = ("REDIS_",)  # in capitals these are what a URL is made of
OFTEN_APART: Final = ("sentinel_kwargs", "master_name")  # a module names them first, and then uses them as keys
SWAPPED_PREFIXES: Final = ("task_", "worker_", "broker_", "result_")  # people take one of these for another
LIKENESS_OF_VARIABLES: Final = 0.85  # see suggestions.LIKENESS
OLD_PREFIXES: Final = ("CELERY_", "CELERYD_", "CELERIAC_")


class Diagnosis(msgspec.Struct, frozen=True):
    """What is wrong with a name.

    ``text`` completes the sentence that begins with the name; ``certain`` is False when nothing is like it, so that it
    may well be somebody else's.
    """

    text: str
    certain: bool


def diagnose(name: str, spell: Callable[[str], str] = str, among_variables: bool = False) -> Diagnosis | None:
    """Return what is wrong with the name of a setting, or None when there is such a setting.

    Args:
        name: The name in the style of its source, without a namespace's prefix.
        spell: Returns the name of a setting as the source would spell it.
        among_variables: The name stands in a module, where it may be any variable, so that it must be very like a
            setting before we speak of it.
    """
    if name_of(name) is not None:
        return None
    if name in FUTURE or name in FUTURE_OLD:
        return Diagnosis("is a setting of Celery that this release does not support yet; remove it", certain=True)
    holder = _holder(name, among_variables)
    if holder is not None:
        return Diagnosis(
            f'is not a setting but a key of {spell(holder)}; write {spell(holder)} = {{"{name}": ...}}', certain=True
        )
    meant = _meant_variable(name) if among_variables else _meant(name)
    if meant is None:
        return Diagnosis("is not a setting", certain=False)
    if name.startswith("CELERY_") and name.removeprefix("CELERY_").lower() == meant:
        text = f'is not a setting; did you mean "{meant}", or a source with namespace="CELERY"?'
        return Diagnosis(text, certain=True)
    note = " (a setting that this release does not support yet)" if meant in FUTURE else ""
    return Diagnosis(f'is not a setting; did you mean "{spell(meant)}"?{note}', certain=True)


def _holder(name: str, among_variables: bool) -> str | None:
    """Return the setting whose dictionary has a key of this name."""
    bare = name.lower()
    if among_variables and ("_" not in bare or bare in FUTURE_OPTIONS or bare in OFTEN_APART):
        return None
    for holder, keys in OPTION_TABLES.items():
        if bare in keys.__annotations__:
            return holder
    return "broker_transport_options" if bare in FUTURE_OPTIONS and f"redis_{bare}" not in table() else None


def _meant_variable(name: str) -> str | None:
    """Return what a variable of a module was surely meant to be, if anything.

    That is a setting in capitals, with the prefix of another group, or with a typo; not one without its prefix, since
    ``default_exchange`` may well be a variable.
    """
    if name.isupper() and name.startswith(OFTEN_VARIABLES):
        return None
    if name.isupper() and (name.lower() in table() or name.lower() in FUTURE):
        return name.lower()
    for prefix in SWAPPED_PREFIXES:
        for other in SWAPPED_PREFIXES:
            swapped = other + name.removeprefix(prefix)
            if name.startswith(prefix) and swapped in table():
                return swapped
    spelled = nearest(name, _every_name(), LIKENESS_OF_VARIABLES)
    if spelled is None or spelled.lower().endswith(name.lower()):
        return None
    return name_of(spelled) or FUTURE_OLD.get(spelled, spelled)


def _meant(name: str) -> str | None:
    for candidate in _variants(name):
        found = name_of(candidate)
        if found is not None:
            return found
        if candidate in FUTURE:
            return candidate
    for prefix in OLD_PREFIXES:
        if name.startswith(prefix):
            return _meant_with_prefix(name, prefix)
    spelled = nearest(name, _every_name())
    return None if spelled is None else name_of(spelled) or FUTURE_OLD.get(spelled, spelled)


def _meant_with_prefix(name: str, prefix: str) -> str | None:
    """Compare without the prefix, which alone would make short names alike."""
    stems = {old.removeprefix(prefix): old for old in _every_name() if old.startswith(prefix)}
    stem = name.removeprefix(prefix)
    found = nearest(stem, stems)
    spelled = stems[found] if found is not None else nearest(stem, _every_name())
    return None if spelled is None else name_of(spelled) or FUTURE_OLD.get(spelled, spelled)


def _variants(name: str) -> list[str]:
    """Return what a name would be in other cases, with and without the prefixes that people add or forget."""
    stems = [name.removeprefix(prefix).lower() for prefix in OLD_PREFIXES if name.startswith(prefix)] + [name.lower()]
    return stems + [prefix + stem for stem in stems for prefix in GROUP_PREFIXES] + [f"CELERY_{name.upper()}"]


@cache
def _every_name() -> frozenset[str]:
    return frozenset(table()) | frozenset(old_names()) | FUTURE | frozenset(FUTURE_OLD)
