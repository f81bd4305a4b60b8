"""The whole difference between `celeriac.Celeriac` and `celery.Celery`.

Both are one application class. Celeriac's values are the defaults of the snapshot's fields; here is what Celery has
instead. Beside these values, settings that are unknown, misplaced or of the wrong type are errors for the one and
warnings for the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

__all__ = ["APP_CLASSES", "CELERY_DEFAULTS", "DISABLED", "EMBEDDED", "Flavour", "default_backend", "is_strict"]

Flavour = Literal["celeriac", "celery"]

EMBEDDED: Final = "sqlite://"  # the store in a file of its own
DISABLED: Final = "disabled://"  # no results

APP_CLASSES: Final[Mapping[Flavour, str]] = MappingProxyType({"celeriac": "Celeriac", "celery": "Celery"})

CELERY_DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "broker_heartbeat": 120.0,
        "broker_url": "amqp://guest@localhost//",
        "result_backend": DISABLED,
        "task_acks_late": False,
        "task_reject_on_worker_lost": None,
        "task_unregistered_action": "reject",
    }
)

# Schemes of brokers that also hold results, so that messages and results can be settled in one step.
STORES: Final = frozenset({"memory", "postgresql", "redis", "redis+cluster", "rediss", "sentinel", "sqlite"})


def is_strict(flavour: Flavour) -> bool:
    """Whether unknown, misplaced and mistyped settings are errors and not warnings."""
    return flavour == "celeriac"


def default_backend(flavour: Flavour, broker_url: str) -> str:
    """Return where results go when no result backend is configured."""
    if flavour == "celery":
        return DISABLED
    return broker_url if broker_url.partition("://")[0] in STORES else EMBEDDED
