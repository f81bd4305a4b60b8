"""``celery.concurrency.base``: what pools derive from in Celery; ours are others."""

from __future__ import annotations

from celeriac_dropin.absences import absent_names, refused

_POOLS = refused(
    "a pool here is N children with an executor (celeriac.pools), which have other duties than Celery's; choose "
    "prefork, threads, asyncio or solo"
)

__getattr__ = absent_names("celery.concurrency.base", {"BasePool": _POOLS, "apply_target": _POOLS})
