"""Names in a source that are no settings: which of them were meant to be, and what is said about them."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from celeriac.exceptions import UnknownSetting
from celeriac.settings.future import FUTURE_OLD
from celeriac.settings.suggestions import nearest
from celeriac.settings.table import name_of
from celeriac.settings.unknown import Diagnosis, diagnose

__all__ = ["Stranger", "find_strangers", "kept_name", "written"]

CELERYS_PREFIXES: Final = ("CELERY_", "CELERYD_", "CELERYBEAT_")  # whoever writes these in a module means a setting

NOT_DATA: Final = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, type, property)


class Stranger(msgspec.Struct, frozen=True):
    """A name in a source that is no setting of this release."""

    spelled: str
    value: Any
    diagnosis: Diagnosis

    def problem(self, origin: str) -> UnknownSetting:
        """Return the error that says what is wrong with it."""
        text = self.diagnosis.text
        return UnknownSetting(f'"{self.spelled}" (set in {origin}) {text}{"" if text.endswith("?") else "."}')


def find_strangers(names: Iterable[str], get: Callable[[str], Any], prefix: str, listed: bool) -> dict[str, Stranger]:
    """Return those names of a source that were meant to be settings, by the names that they are kept under.

    Args:
        names: Names that are no settings.
        get: Returns the value of a name.
        prefix: That of the namespace, or empty.
        listed: All names of the source are meant to be settings, as in a dictionary; those of a module are not.
    """
    found: dict[str, Stranger] = {}
    for spelled in names:
        diagnosis = _diagnose(spelled, prefix, listed)
        if diagnosis is None:
            continue
        value = get(spelled)
        if listed or not isinstance(value, NOT_DATA):
            found[kept_name(spelled, prefix)] = Stranger(spelled, value, diagnosis)
    return found


def written(spelled: str, value: Any) -> Stranger:
    """Return a stranger that was spoken of when it was written."""
    return Stranger(spelled, value, Diagnosis("", certain=False))


def kept_name(spelled: str, prefix: str = "") -> str:
    """Return the name that a stranger is read by: without its prefix, and new where Celery knows an old one."""
    bare = spelled.removeprefix(prefix)
    name = bare.lower() if prefix.isupper() and bare != spelled else bare
    return FUTURE_OLD.get(name, name)


def _diagnose(spelled: str, prefix: str, listed: bool) -> Diagnosis | None:
    """Return what is wrong with a name that is no setting, or None when it is none of our business."""
    if prefix and spelled.startswith(prefix):
        bare = spelled.removeprefix(prefix)
        return diagnose(bare.lower() if prefix.isupper() else bare, lambda name: _spell(name, prefix))
    if prefix:
        word, _, rest = spelled.partition("_")
        if not rest or nearest(word, [prefix.rstrip("_")]) is None:
            return None
        diagnosis = diagnose(rest.lower() if prefix.isupper() else rest, lambda name: _spell(name, prefix))
        if diagnosis is None:
            name = rest.lower() if prefix.isupper() else rest
            return Diagnosis(f'is not a setting; did you mean "{_spell(name_of(name) or name, prefix)}"?', certain=True)
        return diagnosis if diagnosis.certain else None
    if listed or spelled.startswith(CELERYS_PREFIXES):
        return diagnose(spelled)
    diagnosis = diagnose(spelled, among_variables=True)
    return diagnosis if diagnosis is not None and diagnosis.certain else None


def _spell(name: str, prefix: str) -> str:
    return f"{prefix}{name.upper()}" if prefix.isupper() else f"{prefix}{name}"
