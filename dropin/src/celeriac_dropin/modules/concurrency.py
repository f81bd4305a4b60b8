"""``celery.concurrency``: the pools by name."""

from __future__ import annotations

from typing import Any

from celeriac.exceptions import UnsupportedOption
from celeriac.pools.factory import POOLS
from celeriac.pools.solo import SoloPool
from celeriac.pools.supervised import SupervisedPool
from celeriac_dropin.modules.utils_imports import symbol_by_name

__all__ = ["get_available_pool_names", "get_implementation"]


def get_available_pool_names() -> tuple[str, ...]:
    """The names that ``-P`` takes."""
    return POOLS


def get_implementation(cls: Any) -> Any:
    """The class of a pool, by name or import path.

    Raises:
        UnsupportedOption: the pools gevent and eventlet, which are not in this release.
    """
    if cls in ("eventlet", "gevent"):
        raise UnsupportedOption(f"the pool {cls!r} is not in this release; -P threads or -P asyncio are")
    if cls == "solo":
        return SoloPool
    return SupervisedPool if cls in POOLS else symbol_by_name(cls)
