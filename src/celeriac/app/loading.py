"""Loading tasks: the modules that are imported when a worker starts, and discovery (behaviours.md, A.17 to A.19)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from celeriac import signals

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["Loader"]

Packages = Iterable[str] | Callable[[], Iterable[str]] | None


class Loader:
    """Imports the modules of one app."""

    def __init__(self, app: Celeriac) -> None:
        self.app = app
        self._discoveries: list[tuple[Packages, str | None]] = []

    def autodiscover(self, packages: Packages, related_name: str | None, force: bool) -> None:
        """Remember packages to look into, or look now with ``force``."""
        if force:
            self._discover(packages, related_name)
        else:
            self._discoveries.append((packages, related_name))

    def import_default_modules(self) -> None:
        """Import everything that holds tasks; errors are raised, since a worker without its tasks helps nobody."""
        for _, response in signals.import_modules.send(sender=self.app):
            if isinstance(response, Exception):
                raise response
        settings = self.app.settings
        for module in (*settings.imports, *settings.include):
            importlib.import_module(module)
        for packages, related_name in self._discoveries:
            self._discover(packages, related_name)

    def _discover(self, packages: Packages, related_name: str | None) -> None:
        names = packages() if callable(packages) else packages
        for package in [names] if isinstance(names, str) else names or ():
            find_related_module(package, related_name)


def find_related_module(package: str, related_name: str | None) -> None:
    """Import ``<package>.<related_name>``; only that this very module is missing is ignored."""
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        # "proj.apps.PaymentsConfig" names a class: its package is one level up.
        whole = package
        package, _, attribute = package.rpartition(".")
        if not package or error.name != whole:
            raise
        module = importlib.import_module(package)
        if not hasattr(module, attribute):
            raise
    if not related_name:
        return
    name = f"{package}.{related_name}"
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
