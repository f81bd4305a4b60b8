"""Pools: what runs requests, behind one interface (:mod:`celeriac.pools.pool`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celeriac.pools.errors import PoolError as PoolError
    from celeriac.pools.factory import create_pool as create_pool

__all__ = ["PoolError", "create_pool"]


def __getattr__(name: str) -> Any:
    """Import late: a child imports modules of this package, and needs neither."""
    if name == "create_pool":
        from celeriac.pools.factory import create_pool

        return create_pool
    if name == "PoolError":
        from celeriac.pools.errors import PoolError

        return PoolError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
