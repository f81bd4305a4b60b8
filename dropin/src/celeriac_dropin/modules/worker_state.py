"""``celery.worker.state``: what runs in this worker."""

from __future__ import annotations

import platform
from typing import Final

import celeriac
from celeriac_dropin.absences import CONTROL, absent_names, refused

__all__ = ["SOFTWARE_INFO"]

SOFTWARE_INFO: Final = {
    "sw_ident": "py-celeriac",
    "sw_ver": celeriac.__version__,
    "sw_sys": platform.system(),
}
"""How this worker calls itself."""

_STATEFUL = refused("revocations are records in the broker, which outlive workers: there is no file to keep them in")
_COUNTED = refused("the worker counts by itself; signals tell of each task")

__getattr__ = absent_names(
    "celery.worker.state",
    {
        "Persistent": _STATEFUL,
        **dict.fromkeys(
            (
                *("active_requests", "requests", "reserved_requests", "revoked", "revoked_stamps"),
                *("successful_requests", "total_count"),
            ),
            CONTROL,
        ),
        **dict.fromkeys(("maybe_shutdown", "reset_state", "task_accepted", "task_ready", "task_reserved"), _COUNTED),
    },
)
