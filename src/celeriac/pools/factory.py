"""From a pool's name to a pool."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from typing import Final

from celeriac.exceptions import ImproperlyConfigured, UnsupportedOption
from celeriac.pools.pool import Pool, PoolOptions

__all__ = ["POOLS", "START_METHODS", "create_pool"]

ENTRY_POINTS: Final = "celeriac.pools"
"""Group of entry points under which other packages register pools: each a function of `PoolOptions`."""

START_METHODS: Final = ("forkserver", "spawn", "fork")

_EXECUTORS: Final = {
    "prefork": "process",
    "processes": "process",
    "threads": "threads",
    "asyncio": "asyncio",
}
_LATER: Final = ("gevent", "eventlet")
POOLS: Final = (*_EXECUTORS, "solo")


def create_pool(name: str, options: PoolOptions) -> Pool:
    """Make the pool of that name; its fork server starts at once, so do this first of all and in the main thread.

    Args:
        name: one of `POOLS`, the name of an entry point, or ``"module:function"``.
        options: how to make it.

    Raises:
        ImproperlyConfigured: there is no such pool, or an option is out of range.
        UnsupportedOption: the pool cannot do that, or not on this platform.
    """
    make = _find(name)
    _check(name, options)
    return make(options)


def _find(name: str) -> Callable[[PoolOptions], Pool]:
    if name == "solo":
        from celeriac.pools.solo import SoloPool

        return SoloPool
    if name in _EXECUTORS:
        if sys.platform == "win32":
            raise UnsupportedOption(f"The pool {name!r} (worker_pool) does not run on Windows: use 'solo'.")
        from celeriac.pools.supervised import SupervisedPool

        return partial(SupervisedPool, executor=_EXECUTORS[name])
    if name in _LATER:
        raise UnsupportedOption(
            f"The pool {name!r} (worker_pool) comes with a later release: use 'threads', or 'asyncio' for async def."
        )
    return _find_plugin(name)


def _find_plugin(name: str) -> Callable[[PoolOptions], Pool]:
    module, colon, attribute = name.partition(":")
    found: Callable[[PoolOptions], Pool]
    if colon:
        found = getattr(importlib.import_module(module), attribute)
        return found
    plugins = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if name in plugins:
        found = plugins[name].load()
        return found
    known = [*POOLS, *plugins]
    close = difflib.get_close_matches(name, known, n=1)
    advice = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
    raise ImproperlyConfigured(f"There is no pool named {name!r} (worker_pool): {advice}")


def _check(name: str, options: PoolOptions) -> None:
    if options.children < 1 or options.capacity < 1:
        raise ImproperlyConfigured(
            f"A pool needs at least one child with one slot, not {options.children} x {options.capacity} "
            "(worker_concurrency)."
        )
    if options.start_method not in START_METHODS:
        close = difflib.get_close_matches(options.start_method, START_METHODS, n=1)
        advice = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(START_METHODS)}."
        raise ImproperlyConfigured(f"There is no start method {options.start_method!r} (worker_start_method): {advice}")
    if _EXECUTORS.get(name) == "process" and options.capacity != 1:
        raise UnsupportedOption(
            f"Children of the pool {name!r} run one request at a time, not {options.capacity} (worker_concurrency): "
            "use 'threads' or 'asyncio', or more children."
        )
    if name == "solo" and (options.children, options.capacity) != (1, 1):
        raise UnsupportedOption("The pool 'solo' runs one request at a time: set worker_concurrency = 1.")
