"""Where settings come from: an object, a module or a dictionary, read into one layer of the configuration."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings.future import FUTURE_OLD
from celeriac.settings.suggestions import nearest
from celeriac.settings.table import name_of, old_names, table
from celeriac.settings.unknown import Diagnosis, diagnose

__all__ = ["Layer", "Stranger", "is_missing", "locate", "read_layer"]

# In a module, a name that is no setting may be any variable, so it must be very like one before we speak of it.
LIKENESS_IN_MODULES: Final = 0.85

DJANGO_TIME_ZONE: Final = "TIME_ZONE"

NOT_DATA: Final = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, type, property)


class Stranger(msgspec.Struct, frozen=True):
    """A name in a source that is no setting of this release."""

    spelled: str
    value: Any
    diagnosis: Diagnosis


class Layer(msgspec.Struct):
    """The settings that one source gives.

    Args:
        origin: What error messages call the source.
        origins: The same for single settings, where it differs.
        values: Values by the names of settings.
        spelled: How the source spells those names.
        strangers: What else looks as if it was meant to be a setting, by the name it is kept under.
    """

    origin: str
    values: dict[str, Any] = msgspec.field(default_factory=dict)
    spelled: dict[str, str] = msgspec.field(default_factory=dict)
    strangers: dict[str, Stranger] = msgspec.field(default_factory=dict)
    origins: dict[str, str] = msgspec.field(default_factory=dict)

    def origin_of(self, name: str) -> str:
        """Return where the layer has a setting from, in words."""
        spelled = self.spelled.get(name, name)
        origin = self.origins.get(name, self.origin)
        return origin if spelled == name else f"{origin} as {spelled}"


def locate(path: str) -> object:
    """Return what ``package.module``, ``package.module:name`` or ``package.module.name`` names.

    Raises ImportError, with a note that says what to write, when there is none.
    """
    module_name, colon, attribute = path.partition(":")
    try:
        if colon:
            return _attribute(importlib.import_module(module_name), attribute, path)
        try:
            return importlib.import_module(path)
        except ModuleNotFoundError as error:
            parent, dot, name = path.rpartition(".")
            if not dot or not is_missing(error, path):
                raise
            return _attribute(importlib.import_module(parent), name, path)
    except ImportError as error:
        if path.endswith(".py"):
            error.add_note(f'A module is named without ".py": write "{path.removesuffix(".py").replace("/", ".")}".')
        raise


def _attribute(module: types.ModuleType, dotted: str, path: str) -> object:
    found: object = module
    for name in dotted.split("."):
        if not hasattr(found, name):
            raise ModuleNotFoundError(f"No module named {path!r}", name=path)
        found = getattr(found, name)
    return found


def is_missing(error: ImportError, path: str) -> bool:
    """Whether an ImportError says that this very module, or a package around it, does not exist."""
    wanted = path.partition(":")[0]
    return isinstance(error, ModuleNotFoundError) and f"{wanted}.".startswith(f"{error.name}.")


def read_layer(source: object, origin: str, namespace: str = "") -> Layer:
    """Return the settings of a mapping or of the attributes of any other object.

    With a namespace the prefixed name counts first, then the plain one. Without one, old and new names must not be
    mixed: raises ImproperlyConfigured that says what to rename.
    """
    names, get = _reader(source)
    layer = Layer(origin)
    ranks: dict[str, int] = {}
    leftover: list[str] = []
    prefix = _prefix(namespace)
    for spelled in names:
        rank, name = _recognise(spelled, prefix)
        if name is None:
            leftover.append(spelled)
        elif rank < ranks.get(name, len(RANKS)):
            ranks[name] = rank
            layer.values[name] = get(spelled)
            layer.spelled[name] = spelled
    if not prefix:
        _refuse_mixture(names, origin)
    if "timezone" not in layer.values and DJANGO_TIME_ZONE in leftover:
        layer.values["timezone"] = get(DJANGO_TIME_ZONE)
        layer.spelled["timezone"] = DJANGO_TIME_ZONE
    for spelled in leftover:
        _meet(layer, spelled, get, prefix, isinstance(source, Mapping))
    return layer


def _prefix(namespace: str) -> str:
    return namespace if not namespace or namespace.endswith("_") else f"{namespace}_"


RANKS: Final = ("prefixed", "plain", "old")


def _recognise(spelled: str, prefix: str) -> tuple[int, str | None]:
    """Return how good a spelling is (an index of RANKS) and which setting it names."""
    if prefix and spelled.startswith(prefix):
        name = spelled.removeprefix(prefix)
        name = name.lower() if prefix.isupper() else name
        if name in table():
            return RANKS.index("prefixed"), name
    if spelled in table():
        return RANKS.index("plain"), spelled
    return RANKS.index("old"), old_names().get(spelled)


def _reader(source: object) -> tuple[list[str], Callable[[str], Any]]:
    if isinstance(source, Mapping):
        return [name for name in source if isinstance(name, str)], source.__getitem__
    return [name for name in dir(source) if not name.startswith("_")], lambda name: getattr(source, name)


def _meet(layer: Layer, spelled: str, get: Callable[[str], Any], prefix: str, listed: bool) -> None:
    diagnosis = _diagnose(spelled, prefix, listed) if spelled != DJANGO_TIME_ZONE else None
    if diagnosis is None:
        return
    value = get(spelled)
    if listed or not isinstance(value, NOT_DATA):
        layer.strangers[_kept_name(spelled, prefix)] = Stranger(spelled, value, diagnosis)


def _kept_name(spelled: str, prefix: str) -> str:
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
    if listed:
        return diagnose(spelled)
    if spelled.isupper() and spelled not in FUTURE_OLD and not spelled.startswith(("CELERY", "BROKER_")):
        return None
    diagnosis = diagnose(spelled, likeness=LIKENESS_IN_MODULES)
    return diagnosis if diagnosis is not None and diagnosis.certain else None


def _spell(name: str, prefix: str) -> str:
    return f"{prefix}{name.upper()}" if prefix.isupper() else f"{prefix}{name}"


def _refuse_mixture(names: Iterable[str], origin: str) -> None:
    """Raise ImproperlyConfigured when old and new names stand side by side, unless one group is there in both."""
    names = set(names)
    old = {spelled: name for spelled, name in old_names().items() if spelled in names}
    new = {name for name in table() if name in names}
    doubled = {name for name in old.values() if name in new}
    old = {spelled: name for spelled, name in old.items() if name not in doubled}
    new -= doubled
    if not old or not new:
        return
    if len(old) <= len(new):
        style, renames = "new", sorted(old.items())
    else:
        style, renames = "old", sorted((name, table()[name].old or "(it has no old name)") for name in new)
    hints = "\n".join(f"    {spelled:<36} -> {better}" for spelled, better in renames)
    raise ImproperlyConfigured(
        f"{origin} mixes the old names of settings with the new ones. Rename to the {style} style:\n\n{hints}\n"
    )
