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
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["DropInFinder", "switch_on"]

SWITCH = "CELERIAC_DROPIN"


class DropInFinder:
    """Finds modules under names that are not their own.

    Args:
        table: by the name that is imported, the name of the module that answers to it.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = table
        self._roots = {name.partition(".")[0] for name in table}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a name in the table; None for the names of others.

        Raises:
            ModuleNotFoundError: we provide its package, but not this part of it. The real one's would not fit to ours.
        """
        if name.partition(".")[0] not in self._roots:
            return None
        if name not in self._table:
            raise ModuleNotFoundError(
                f"{name} is not provided by celeriac-celery; {SWITCH}=0 in the environment turns it off", name=name
            )
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, _Alias(self._table[name]), is_package=True)  # type: ignore[arg-type]  # duck-typed: no import


class _Alias:
    """Loads a module by setting another one in its place."""

    def __init__(self, target: str) -> None:
        self._target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to importlib: returning the other module here would have its ``__spec__`` overwritten."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Both names are one module object from now on."""
        from importlib import import_module

        sys.modules[module.__name__] = import_module(self._target)


def switch_on() -> None:
    """Put the finder first, unless it is switched off or has nothing to give."""
    if TABLE and os.environ.get(SWITCH) != "0":
        sys.meta_path.insert(0, DropInFinder(TABLE))
