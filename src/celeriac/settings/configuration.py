"""The mutable face of the settings: ``app.conf``.

1. It is a mapping whose items are also attributes; old names of Celery stand for the new ones.
2. It is lazy: writes are kept, and the configuration object is read, when something is read for the first time.
3. It remembers where each value comes from and says so in every error.
4. It makes the typed, frozen snapshot that everything else reads, and drops it when something is written.

Environment variables beat every layer where an attribute or the snapshot is read, and not where an item is
(``conf["broker_url"]``), as in Celery.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final

from celeriac.exceptions import ImproperlyConfigured
from celeriac.settings import conversion
from celeriac.settings.censor import censored as censor
from celeriac.settings.conversion import NOT_GIVEN, convert, no_such
from celeriac.settings.defaults import APP_CLASSES, CELERY_DEFAULTS, Flavour, is_strict
from celeriac.settings.layers import APP_CONF, Layers, PendingSource, Stage
from celeriac.settings.snapshot import Settings, complete
from celeriac.settings.table import Row, followed, name_of, table

__all__ = ["Configuration"]

DEFAULT: Final = "default"

# Settings that read as None from app.conf while nobody has set them: the snapshot knows what takes their place.
UNSET: Final = frozenset({"broker_url", "result_backend"})


class Configuration(MutableMapping[str, Any]):
    """The settings of one application.

    Args:
        flavour: Whose defaults hold, and whether mistakes are errors (celeriac) or warnings (celery).
        settings: Settings that were given to the application's constructor; None means not given.
        environment: The environment variables; those of the process by default.

    Raises:
        UnknownSetting: A name that is no setting, or that stands where it has no effect.
        InvalidSetting: A value of the wrong type or out of range.
    """

    def __init__(
        self,
        flavour: Flavour = "celeriac",
        settings: Mapping[str, Any] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._flavour: Flavour = flavour
        self._environment = os.environ if environment is None else environment
        self._layers = Layers(flavour)
        self._lent: dict[str, dict[str, Any]] = {}
        self._touched = False
        self._cached: tuple[int, Settings] | None = None
        for name, value in (settings or {}).items():
            if value is not None:
                self._layers.write(name, value, f"{APP_CLASSES[flavour]}(...)")

    # ------------------------------------------------------------------------------------------------------ reading

    def __getattr__(self, spelled: str) -> Any:
        if spelled.startswith("_"):
            raise AttributeError(spelled)
        name = name_of(spelled)
        if name is None:
            return self._stranger(spelled, AttributeError)
        row = table()[name]
        found = self._from_environment(row)
        if found is not None:
            return found[1]
        value = self[name]
        return getattr(self, row.follows) if value is None and row.follows else value

    def __getitem__(self, spelled: str) -> Any:
        value = self.peek(spelled)
        if isinstance(value, (dict, list, set)):
            self._touched = True  # the caller may change it in place
        return value

    def peek(self, spelled: str) -> Any:
        """Return what ``conf[spelled]`` does, to a caller who will not change it."""
        self._layers.load()
        name = name_of(spelled)
        if name is None:
            return self._stranger(spelled, KeyError)
        layer = self._layers.find(name)
        return layer.values[name] if layer is not None else self._default(table()[name])

    def __contains__(self, spelled: object) -> bool:
        """Whether there is such a setting; before anything was read, whether it has been set here."""
        if not isinstance(spelled, str):
            return False
        name = name_of(spelled)
        if self._layers.state == "unread":
            return name in self._layers.changes.values or spelled in self._layers.changes.strangers
        return name is not None or spelled in self._layers.strangers()

    def __iter__(self) -> Iterator[str]:
        self._layers.load()
        yield from table()
        yield from self._layers.strangers()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Configuration of {APP_CLASSES[self._flavour]}, version {self.version}>"

    def get_by_parts(self, *parts: str) -> Any:
        """Return the setting whose name is the parts joined by underscores."""
        return self["_".join(part for part in parts if part)]

    def value_set_for(self, name: str) -> bool:
        """Whether somebody has set this setting, in whatever way; raises KeyError when there is none of the name."""
        return self.origin(name) != DEFAULT

    def without_defaults(self) -> dict[str, Any]:
        """Return only what somebody has set, by name."""
        return self.table(censored=False)

    def table(self, with_defaults: bool = False, censored: bool = True) -> dict[str, Any]:
        """Return the settings as a dictionary: those that somebody has set or all, with secrets masked or not."""
        self._layers.load()
        names = list(table()) if with_defaults else self._explicit()
        found = {name: getattr(self, name) for name in names} | self._layers.strangers()
        return {name: censor(name, value) for name, value in found.items()} if censored else found

    def humanize(self, with_defaults: bool = False, censored: bool = True) -> str:
        """Return :meth:`table` as text, a line for each setting."""
        return "\n".join(f"{name}: {value!r}" for name, value in self.table(with_defaults, censored).items())

    def origin(self, name: str) -> str:
        """Return where the value of a setting comes from, in words; ``default`` when nobody has set it.

        Raises KeyError when there is no such setting.
        """
        self._layers.load()
        setting = name_of(name)
        if setting is None:
            raise KeyError(no_such(name))
        row = table()[setting]
        found = self._from_environment(row)
        if found is not None:
            return found[0]
        layer = self._layers.find(setting)
        if layer is not None:
            return layer.origin_of(setting)
        return APP_CONF if self._lent.get(setting, row.default) != row.default else DEFAULT

    @property
    def flavour(self) -> Flavour:
        """Whose defaults hold: ``celeriac`` or ``celery``."""
        return self._flavour

    @property
    def version(self) -> int:
        """A number that grows with every change, so that a worker notices one."""
        return self._layers.version

    # ------------------------------------------------------------------------------------------------------ writing

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self._layers.write(name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        self._layers.write(name, value)

    def __delitem__(self, name: str) -> None:
        """Take back what was set on ``app.conf`` or by the constructor; raises KeyError when nothing was."""
        self._layers.take_back(name)

    def __delattr__(self, name: str) -> None:
        try:
            self._layers.take_back(name)
        except KeyError:
            raise AttributeError(f'"{name}" was not set on app.conf.') from None

    def pop(self, name: str, *default: Any) -> Any:
        """Take back what was set on ``app.conf`` and return it; without such, `default` or KeyError."""
        try:
            return self._layers.take_back(name)
        except KeyError:
            if default:
                return default[0]
            raise

    def clear(self) -> None:
        """Take back everything that was set on ``app.conf`` or by the constructor."""
        for name in [*self._layers.changes.values, *self._layers.changes.strangers]:
            self._layers.take_back(name)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Set a setting unless somebody has set it; return its value."""
        if name_of(name) is None or not self.value_set_for(name):
            self[name] = default
        return getattr(self, name)

    def add_defaults(self, defaults: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        """Add values that hold where neither ``app.conf`` nor the configuration object has one; the latest count first.

        A function is called when the configuration is loaded.
        """
        self._layers.add_defaults(defaults)

    def config_from_object(
        self, obj: object, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Name the object that has the settings: a module path, an object, a class or a mapping.

        It is read at the first use of a setting, or at once with `force` or when that has been. It takes the place of
        the object that was named before.

        Args:
            obj: The object; ``"package.module"``, ``"package.module:name"`` and ``"package.module.name"`` are imported.
            silent: A module that does not exist counts as empty.
            force: Read it now.
            namespace: Settings are called ``<namespace>_<SETTING>`` in it.

        Raises:
            ImportError: The module does not exist.
            ImproperlyConfigured: The object mixes old and new names.
        """
        origin = f"config_from_object({_describe(obj)})"
        self._layers.name_source(PendingSource(obj, origin, namespace or "", silent), force)

    def config_from_envvar(self, variable_name: str, silent: bool = False, force: bool = False) -> bool:
        """Name the module that has the settings by an environment variable; return whether that is set.

        Raises ImproperlyConfigured when it is not, unless `silent`.
        """
        path = self._environment.get(variable_name)
        if path:
            self.config_from_object(path, silent=silent, force=force)
            return True
        if silent:
            return False
        raise ImproperlyConfigured(
            f"The environment variable {variable_name} is not set, so there is no configuration to load. Set it to the "
            f'path of a module: {variable_name}="proj.settings"'
        )

    def on_load(self, callback: Callable[[Stage], object]) -> None:
        """Have a function called before and after the configuration object is read."""
        self._layers.on_load = callback

    def refresh(self) -> None:
        """Read the configuration object again, because it has changed, and drop the snapshot."""
        self._layers.reload()
        self._layers.changed()

    def finalize(self) -> Configuration:
        """Read the configuration object now, if that has not happened; return this configuration."""
        self._layers.load()
        return self

    # ----------------------------------------------------------------------------------------------------- snapshot

    def snapshot(self) -> Settings:
        """Return all settings as one frozen, typed value; the same one until something changes.

        Environment variables are read when it is made. A dictionary or list that was set is looked at again when it
        has been read from here, since it may have been changed in place.
        """
        cached = self._cached
        if cached is not None and cached[0] == self._layers.version and not self._touched:
            return cached[1]
        return self._take_snapshot()

    def _take_snapshot(self) -> Settings:
        self._layers.load()
        with self._layers.lock:
            version, self._touched = self._layers.version, False
            given = {name: value for name in self._explicit() if (value := self._converted(name)) is not NOT_GIVEN}
            settings = complete(given, followed(), self._flavour)
            cached = self._cached
            if cached is not None and cached[1] == settings:
                settings = cached[1]
            elif cached is not None and cached[0] == version:
                self._layers.changed()
                version = self._layers.version
            self._cached = (version, settings)
        return settings

    def _converted(self, name: str) -> Any:
        row = table()[name]
        found = self._from_environment(row)
        if found is not None:
            return found[1]
        layer = self._layers.find(name)
        if layer is None:
            value, origin = self._lent[name], APP_CONF
        else:
            value, origin = layer.values[name], layer.origin_of(name)
        return convert(row, _private(value), origin, is_strict(self._flavour), report=None)

    def _explicit(self) -> list[str]:
        """Return the names of all settings that somebody has set, in the order of the table."""
        names = {name for layer in self._layers for name in layer.values}
        names.update(name for name, value in self._lent.items() if value != table()[name].default)
        return [name for name, row in table().items() if name in names or self._from_environment(row) is not None]

    def _from_environment(self, row: Row) -> tuple[str, Any] | None:
        return conversion.from_environment(row, self._environment) if row.environment else None

    def _stranger(self, spelled: str, error: type[LookupError] | type[AttributeError]) -> Any:
        self._layers.load()
        strangers = self._layers.strangers()
        if spelled not in strangers:
            raise error(no_such(spelled))
        return strangers[spelled]

    def _default(self, row: Row) -> Any:
        """Return what a setting reads as while nobody has set it; a dictionary is kept, for what is written into it."""
        if row.follows or row.name in UNSET:
            return None
        if isinstance(row.default, dict):
            return self._lent.setdefault(row.name, dict(row.default))
        return CELERY_DEFAULTS.get(row.name, row.default) if self._flavour == "celery" else row.default


def _describe(source: object) -> str:
    if isinstance(source, str):
        return repr(source)
    if isinstance(source, Mapping):
        return "{...}"
    name = getattr(source, "__qualname__", None) or getattr(source, "__name__", None)
    return str(name or type(source).__name__)


def _private(value: Any) -> Any:
    """Return a copy of plain containers, all the way down, that nobody else can change."""
    if type(value) is dict:
        return {key: _private(item) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(_private(item) for item in value)
    return value
