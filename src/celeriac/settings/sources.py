"""Where settings come from: an object, a module or a dictionary, read into one layer of the configuration."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings.table import old_names, table

if TYPE_CHECKING:
    from celeriac.settings.strangers import Stranger

__all__ = ["Layer", "is_missing", "locate", "read_layer"]

DJANGO_TIME_ZONE: Final = "TIME_ZONE"


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
    others = [spelled for spelled in leftover if spelled != DJANGO_TIME_ZONE]
    if others:
        from celeriac.settings.strangers import find_strangers  # most programs have none

        layer.strangers = find_strangers(others, get, prefix, isinstance(source, Mapping))
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
