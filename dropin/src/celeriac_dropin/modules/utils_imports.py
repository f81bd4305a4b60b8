"""``celery.utils.imports``: importing by name."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = [
    "NotAPackage",
    "cwd_in_path",
    "find_module",
    "gen_task_name",
    "import_from_cwd",
    "instantiate",
    "load_extension_class_names",
    "load_extension_classes",
    "module_file",
    "qualname",
    "reload_from_cwd",
    "symbol_by_name",
]


class NotAPackage(Exception):
    """A module was named as if it were a package, or a file's ending with it."""


def symbol_by_name(name: Any, aliases: dict[str, str] | None = None, package: str | None = None) -> Any:
    """What an import path names: ``module:attribute``, ``module.attribute``; what is no text is itself."""
    if not isinstance(name, str):
        return name
    path = (aliases or {}).get(name, name)
    module_name, colon, attribute = path.partition(":")
    if not colon:
        module_name, _, attribute = path.rpartition(".")
    if not module_name:
        return importlib.import_module(path, package)
    found: Any = importlib.import_module(module_name, package)
    for part in attribute.split(".") if attribute else ():
        found = getattr(found, part)
    return found


def instantiate(name: Any, *args: Any, **kwargs: Any) -> Any:
    """Call what an import path names."""
    return symbol_by_name(name)(*args, **kwargs)


def qualname(obj: Any) -> str:
    """``module.qualname`` of a class, or of an object's class."""
    named = obj if hasattr(obj, "__qualname__") else type(obj)
    return f"{named.__module__}.{named.__qualname__}"


@contextmanager
def cwd_in_path() -> Iterator[None]:
    """The current folder is where modules are looked for first, in this block."""
    folder = os.getcwd()
    if folder in sys.path:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def import_from_cwd(
    module: str, imp: Callable[..., ModuleType] | None = None, package: str | None = None
) -> ModuleType:
    """Import a module, from the current folder too."""
    with cwd_in_path():
        return (imp or importlib.import_module)(module, package=package)


def reload_from_cwd(module: ModuleType, reloader: Callable[[ModuleType], Any] | None = None) -> Any:
    """Reload a module, from the current folder too."""
    with cwd_in_path():
        return (reloader or importlib.reload)(module)


def find_module(module: str, path: Any = None, imp: Callable[..., ModuleType] | None = None) -> Any:
    """The spec of a module, from the current folder too.

    Raises:
        NotAPackage: a part before the last dot is a module and no package.
    """
    with cwd_in_path():
        parent, _, last = module.rpartition(".")
        if parent and not hasattr((imp or importlib.import_module)(parent), "__path__"):
            raise NotAPackage(f"{parent} is a module, so there is no {last!r} in it")
        return importlib.util.find_spec(module, path)


def module_file(module: ModuleType) -> str:
    """The file of a module."""
    name = module.__file__ or ""
    return name[:-1] if name.endswith(".pyc") else name


def gen_task_name(app: Any, name: str, module_name: str | None) -> str:
    """The name of a task that names none."""
    made: str = app.gen_task_name(name, module_name or "__main__")
    return made


def load_extension_class_names(namespace: str) -> Iterator[tuple[str, str]]:
    """Name and import path of the entry points of a group."""
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=namespace):
        yield entry_point.name, entry_point.value


def load_extension_classes(namespace: str) -> Iterator[tuple[str, Any]]:
    """Name and class of the entry points of a group."""
    for name, path in load_extension_class_names(namespace):
        yield name, symbol_by_name(path)
