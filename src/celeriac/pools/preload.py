"""Loads the runner's module and, through it, the app: once in the fork server, or in each spawned child."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from typing import Any

from celeriac.pools.errors import PoolError
from celeriac.pools.pool import Runner

__all__ = ["format_failure", "load_factory", "preload"]


def load_factory(runner: str) -> Callable[[dict[str, Any]], Runner]:
    """Import the function that *runner* (``"module:function"``) names.

    Raises:
        PoolError: it names no function.
        BaseException: whatever importing the module raises.
    """
    module_name, _, function_name = runner.partition(":")
    factory: Callable[[dict[str, Any]], Runner]
    factory = getattr(importlib.import_module(module_name), function_name, _no_function)
    if factory is _no_function:
        raise PoolError(f"The runner {runner!r} is not a function: it must be 'module:function'.")
    return factory


def _no_function(arguments: dict[str, Any]) -> Runner:
    raise NotImplementedError


def preload(runner: str, arguments: dict[str, Any]) -> Callable[[dict[str, Any]], Runner]:
    """Import the factory and let its module's ``preload(arguments)``, if it has one, import the app."""
    factory = load_factory(runner)
    load = getattr(importlib.import_module(runner.partition(":")[0]), "preload", None)
    if load is not None:
        load(arguments)
    return factory


def format_failure(error: BaseException) -> str:
    """Return the traceback as text, without the frames of this package that called the user's code."""
    shown = error.__traceback__
    while shown is not None and shown.tb_next is not None and _is_ours(shown.tb_frame.f_globals.get("__name__", "")):
        shown = shown.tb_next
    return "".join(traceback.format_exception(type(error), error, shown)).rstrip()


def _is_ours(module: str) -> bool:
    return module.startswith(("celeriac.pools", "importlib"))
