"""What the pools raise."""

from __future__ import annotations

from celeriac.exceptions import CeleriacError

__all__ = ["PoolError"]


class PoolError(CeleriacError):
    """A pool cannot start its children or keep them; the text says why, with the child's traceback if there is one."""
