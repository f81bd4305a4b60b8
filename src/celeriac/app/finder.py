"""Finding an app by name: ``-A proj`` (behaviours.md, A.20).

The order: the symbol itself; its ``app`` attribute; its ``celery`` (or ``celeriac``) attribute; for a package its
``celery`` (or ``celeriac``) submodule; the first app among the module's globals. ``module:attribute`` names a symbol,
``path/file.py:attribute`` a file.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from functools import cache
from importlib.abc import InspectLoader
from types import ModuleType
from typing import Any

from celeriac.app.app import Celeriac
from celeriac.exceptions import AppNotFound

__all__ = ["find_app", "load_app"]

MAIN = "__main__"
"""Before a file or a module: it is loaded as the main module that it was in another process."""
MAIN_ALIAS = "__mp_main__"
"""The name of such a module, as multiprocessing has it: ``if __name__ == "__main__"`` does not run."""

NAMES = ("app", "celery", "celeriac")


def find_app(name: str) -> Celeriac:
    """Find an app.

    Args:
        name: ``module``, ``package``, ``module.attribute``, ``module:attribute`` or ``file.py:attribute``.

    Raises:
        AppNotFound: nothing of that name can be imported, or there is no app in it.
        Exception: whatever the module raises while it is imported.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    symbol, path = _symbol(name)
    found = _app_in(symbol, path)
    if found is None:
        raise AppNotFound(
            f"there is no Celeriac app in {name!r}; looked for {path}.app, {path}.celery, {path}.celeriac and any app "
            f"among its names. Define one (app = Celeriac({path.split('.')[0]!r})) or name it: -A module:attribute"
        )
    return found


@cache
def load_app(name: str) -> Celeriac:
    """As :func:`find_app`, remembered per process (a child loads once)."""
    return find_app(name)


def _symbol(name: str) -> tuple[Any, str]:
    module_name, _, attribute = name.partition(":")
    if module_name == MAIN:
        where, _, attribute = attribute.rpartition(":")
        return _attribute(_main_module(where), attribute, name), where
    if module_name.endswith(".py"):
        return _attribute(_from_file(module_name), attribute, name), module_name
    if not module_name or module_name.startswith("."):
        raise AppNotFound(f"{name!r} names no module; give the app with -A package.module or -A module:attribute")
    if attribute:
        return _attribute(_import(module_name, name), attribute, name), name.replace(":", ".")
    try:
        return _import(name, name), name
    except AppNotFound:
        parent, _, last = name.rpartition(".")
        if not parent:
            raise
        return _attribute(_import(parent, name), last, name), name


def _import(module_name: str, asked: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise AppNotFound(
                f"cannot import {missing!r} for the app {asked!r}: no such module. Looked in the current folder "
                f"({os.getcwd()}) and on sys.path; give the app with -A package.module or -A module:attribute"
            ) from None
        raise


def _attribute(value: Any, dotted: str, asked: str) -> Any:
    for part in dotted.split(".") if dotted else ():
        try:
            value = getattr(value, part)
        except AttributeError:
            raise AppNotFound(f"{value!r} has no {part!r}, which {asked!r} asks for") from None
    return value


def _from_file(path: str) -> ModuleType:
    """Import a file by its path, as the module of its own name (a program that is its own worker)."""
    name = os.path.splitext(os.path.basename(path))[0]
    known = sys.modules.get(name)
    if known is not None and os.path.abspath(getattr(known, "__file__", None) or "") == os.path.abspath(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.exists(path):
        raise AppNotFound(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # as import does: half a module is no module
        raise
    return module


def _main_module(where: str) -> ModuleType:
    """This process's main module if it is that one, else load it: its tasks are named after the app."""
    main = sys.modules[MAIN]
    spec = getattr(main, "__spec__", None)
    if where in (getattr(spec, "name", None), os.path.abspath(getattr(main, "__file__", None) or "")):
        return main
    is_file = where.endswith(".py")
    found = importlib.util.spec_from_file_location(MAIN_ALIAS, where) if is_file else importlib.util.find_spec(where)
    if found is None or not isinstance(found.loader, InspectLoader):
        raise AppNotFound(f"there is no {where}")
    source = found.loader.get_code(found.name)
    module = ModuleType(MAIN_ALIAS)
    module.__file__, module.__package__ = found.origin, "" if is_file else found.parent
    sys.modules[MAIN_ALIAS] = sys.modules[MAIN] = module
    assert source is not None, f"{where} has no code"
    exec(source, vars(module))  # noqa: S102  # the user's own program, as `python program.py` runs it
    return module


def _app_in(symbol: Any, path: str) -> Celeriac | None:
    if isinstance(symbol, Celeriac):
        return symbol
    for attribute in NAMES:
        found = getattr(symbol, attribute, None)
        if isinstance(found, Celeriac):
            return found
        if isinstance(found, ModuleType) and isinstance(inner := getattr(found, "app", None), Celeriac):
            return inner
    if getattr(symbol, "__path__", None) is not None:
        found = _in_submodule(path)
        if found is not None:
            return found
    for value in vars(symbol).values() if isinstance(symbol, ModuleType) else ():
        if isinstance(value, Celeriac):
            return value
    return None


def _in_submodule(package: str) -> Celeriac | None:
    for submodule in ("celery", "celeriac"):
        name = f"{package}.{submodule}"
        if importlib.util.find_spec(name) is not None:
            return _app_in(importlib.import_module(name), name)
    return None
