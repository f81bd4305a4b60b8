"""The mechanism of the drop-in: a finder that answers ``import celery`` with modules of Celeriac.

There is no folder ``celery`` in this distribution, because integrations depend on the distribution of that name and
pip installs the real one beside us. A ``.pth`` file puts the finder first on ``sys.meta_path`` instead; it wins beside
the real Celery, and is gone when this distribution is uninstalled. ``CELERIAC_DROPIN=0`` turns it off.

This module is imported at every start of Python, so it imports nothing but ``sys`` and ``os`` itself.
"""

from __future__ import annotations

import os
import sys

from celeriac_dropin.table import TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

__all__ = ["DropInFinder", "switch_on", "when_imported"]

SWITCH = "CELERIAC_DROPIN"


class DropInFinder:
    """Finds modules under names that are not their own.

    Args:
        table: by the name that is imported, the name of the module that answers to it.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = table
        self._roots = {name.partition(".")[0] for name in table}
        self._packages = {name.rpartition(".")[0] for name in table}
        self.watched: dict[str, Callable[[ModuleType], object]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a name in the table; None for the names of others.

        Raises:
            ModuleNotFoundError: we provide its package, but not this part of it. The real one's would not fit to ours.
        """
        if self.watched and name in self.watched:
            return self._watch(name)
        if name.partition(".")[0] not in self._roots:
            return None
        if name not in self._table:
            raise self._missing(name)
        from importlib.machinery import ModuleSpec

        loader = _Alias(self._table[name], name in self._packages)
        return ModuleSpec(name, loader, is_package=name in self._packages)  # type: ignore[arg-type]  # duck-typed: no import

    def _missing(self, name: str) -> ModuleNotFoundError:
        from celeriac_dropin.absences import absence_of

        why = absence_of(name).sentence(name) if name.startswith("celery.") else f"{name} is not provided"
        return ModuleNotFoundError(
            f"{why} (celeriac-celery stands for Celery here; {SWITCH}=0 in the environment turns it off)", name=name
        )

    def _watch(self, name: str) -> ModuleSpec | None:
        from importlib.util import find_spec

        then = self.watched.pop(name)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, then)  # type: ignore[assignment]  # duck-typed: no import
        return spec


class _Alias:
    """Loads a module by setting another one in its place."""

    def __init__(self, target: str, is_package: bool) -> None:
        self._target = target
        self._is_package = is_package

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to importlib: returning the other module here would have its ``__spec__`` overwritten."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Both names are one module object from now on."""
        from importlib import import_module

        found = import_module(self._target)
        if self._is_package and not hasattr(found, "__path__"):
            # So that its parts can be imported. Nothing but this finder can find them, since there is no folder.
            found.__path__ = []
            _give_parts(found, module.__name__)
        sys.modules[module.__name__] = found

    def get_code(self, name: str) -> Any:
        """The code of the module that answers: ``python -m`` runs it."""
        from importlib.util import find_spec

        spec = find_spec(self._target)
        return None if spec is None else spec.loader.get_code(self._target)  # type: ignore[union-attr]


def _give_parts(package: ModuleType, name: str) -> None:
    """Have a package import its parts when it is asked for them: ``from celery import states`` asks the module, which
    has another name of its own, and would be looked for under that."""
    own = vars(package).get("__getattr__")

    def __getattr__(part: str) -> Any:  # noqa: N807  # it is one
        whole = f"{name}.{part}"
        if not part.startswith("__"):
            from importlib import import_module

            from celeriac_dropin.absences import is_module

            if is_module(whole):
                return import_module(whole)
        if own is not None:
            return own(part)
        raise AttributeError(f"module {name!r} has no attribute {part!r}")

    package.__getattr__ = __getattr__  # type: ignore[method-assign]  # a module's


class _Then:
    """Loads a module as its own loader does, and does something afterwards."""

    def __init__(self, loader: Any, then: Callable[[ModuleType], object]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the loader does."""
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """As the loader does, which is the module's loader again from then on."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._then(module)


def switch_on() -> None:
    """Put the finder first, unless it is switched off or there already."""
    if os.environ.get(SWITCH) != "0" and not any(isinstance(finder, DropInFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, DropInFinder(TABLE))


def when_imported(name: str, then: Callable[[ModuleType], object]) -> None:
    """Call a function with a module of somebody else once it is imported; at once when it has been.

    Args:
        name: of the module.
        then: what is called with it.
    """
    known = sys.modules.get(name)
    if known is not None:
        then(known)
        return
    for finder in sys.meta_path:
        if isinstance(finder, DropInFinder):
            finder.watched[name] = then
