"""``celery.backends.base``: what result backends of other packages derive from; not in this release."""

from __future__ import annotations

from celeriac_dropin.absences import BACKENDS, absent_names

__getattr__ = absent_names(
    "celery.backends.base",
    dict.fromkeys(
        (
            *("Backend", "BaseBackend", "BaseDictBackend", "BaseKeyValueStoreBackend", "DisabledBackend"),
            *("KeyValueStoreBackend", "SyncBackendMixin"),
        ),
        BACKENDS,
    ),
)
