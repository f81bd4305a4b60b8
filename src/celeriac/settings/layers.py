"""The layers of a configuration, one above the other, and their loading.

From the top: what was set on ``app.conf`` or given to the constructor, the configuration object, added defaults (the
latest first). A setting has the value of the first layer that has it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from celeriac.settings.conversion import check_layer, check_name, convert
from celeriac.settings.defaults import Flavour, is_strict
from celeriac.settings.sources import Layer, is_missing, locate, read_layer
from celeriac.settings.table import name_of, table

__all__ = ["APP_CONF", "Layers", "PendingSource", "Stage"]

Stage = Literal["before", "after"]

APP_CONF: Final = "app.conf"


class PendingSource(msgspec.Struct, frozen=True):
    """A configuration object that was named; a string is the path of a module."""

    source: object
    origin: str
    namespace: str
    silent: bool


class Layers:
    """Values by layer.

    Args:
        flavour: Whether mistakes are errors or warnings.
    """

    def __init__(
        self,
        flavour: Flavour,
    ) -> None:
        self.changes = Layer(APP_CONF)
        self.state: Literal["unread", "reading", "read"] = "unread"
        self.version = 0
        self.lock = threading.RLock()
        self._strict = is_strict(flavour)
        self.on_load: Callable[[Stage], object] | None = None
        self._source = Layer("")
        self._named: PendingSource | None = None
        self._defaults: list[Layer] = []
        self._pending_defaults: list[Callable[[], Mapping[str, Any]]] = []
        self._versions = itertools.count(1)

    def __iter__(self) -> Iterator[Layer]:
        yield self.changes
        yield self._source
        yield from self._defaults

    def find(self, name: str) -> Layer | None:
        """Return the first layer that has a setting."""
        for layer in self:
            if name in layer.values:
                return layer
        return None

    def strangers(self) -> dict[str, Any]:
        """Return the values of names that are no settings, by those names."""
        found: dict[str, Any] = {}
        for layer in self:
            for name, stranger in layer.strangers.items():
                found.setdefault(name, stranger.value)
        return found

    def changed(self) -> None:
        """Count a change, after it was made: who reads the version first and the values after it never misses one."""
        self.version = next(self._versions)

    def write(self, spelled: str, value: Any, origin: str = APP_CONF) -> None:
        """Set a value in the highest layer; raises UnknownSetting and InvalidSetting if mistakes are errors."""
        name = name_of(spelled)
        if name is None:
            from celeriac.settings.strangers import kept_name, written

            check_name(spelled, origin, self._strict)
            self.changes.strangers[kept_name(spelled)] = written(spelled, value)
        else:
            convert(table()[name], value, origin, self._strict)
            self.changes.values[name] = value
            self.changes.origins[name] = origin
        self.changed()

    def take_back(self, spelled: str) -> Any:
        """Remove a value from the highest layer and return it; raises KeyError when there is none."""
        name = name_of(spelled)
        changes = self.changes
        value = changes.values.pop(name) if name is not None else changes.strangers.pop(spelled).value
        self.changed()
        return value

    def name_source(self, pending: PendingSource, force: bool) -> None:
        """Name the configuration object; read it now if the former one has been read, or by `force`."""
        self._named = pending
        if self.state == "read":
            self._read_source()
        elif force:
            self.load()

    def add_defaults(self, defaults: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        """Add a layer below the others; a function is called when the configuration object is read."""
        if callable(defaults) and self.state != "read":
            self._pending_defaults.append(defaults)
            return
        layer = read_layer(defaults() if callable(defaults) else defaults, "add_defaults(...)")
        check_layer(layer, self._strict)
        self._defaults.insert(0, layer)
        self.changed()

    def load(self) -> None:
        """Read the configuration object, once; what it reads itself while being imported sees what there is so far."""
        if self.state == "read":
            return
        with self.lock:
            if self.state != "unread":
                return
            self.state = "reading"
            try:
                if self.on_load is not None:
                    self.on_load("before")
                self._read_source()
            except BaseException:
                self.state = "unread"
                raise
            self.state = "read"
            while self._pending_defaults:
                self.add_defaults(self._pending_defaults.pop(0))
        if self.on_load is not None:
            self.on_load("after")

    def reload(self) -> None:
        """Read the configuration object again, if it has been read."""
        with self.lock:
            if self.state == "read":
                self._read_source()

    def _read_source(self) -> None:
        named = self._named
        if named is None:
            return
        layer = read_layer(_resolve(named), named.origin, named.namespace)
        check_layer(layer, self._strict)
        self._source = layer
        self.changed()


def _resolve(named: PendingSource) -> object:
    if not isinstance(named.source, str):
        return named.source
    try:
        return locate(named.source)
    except ImportError as error:
        if named.silent and is_missing(error, named.source):
            return {}
        error.add_note(f"It was named by {named.origin}.")
        raise
