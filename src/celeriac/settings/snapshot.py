"""The frozen, typed value of all settings.

Library calls read the snapshot at each call, a worker takes one when it starts; deeper code receives values out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celeriac.settings.defaults import CELERY_DEFAULTS, DISABLED, Flavour, default_backend
from celeriac.settings.store import StoreSettings

__all__ = ["Settings", "complete"]


class Settings(StoreSettings, frozen=True, kw_only=True):
    """Every setting of this release, under its name, with its type.

    Times are in seconds and sizes in bytes unless the name says otherwise. Dictionaries and lists in it are copies that
    nobody else holds; do not change them.
    """


def complete(given: Mapping[str, Any], followed: Mapping[str, str], flavour: Flavour) -> Settings:
    """Return the snapshot of values that are of the right types already.

    Args:
        given: Values by the names of their settings.
        followed: By the name of a setting, the one whose value it has unless it is given itself.
        flavour: Whose defaults hold for the rest.
    """
    values = {**CELERY_DEFAULTS, **given} if flavour == "celery" else dict(given)
    for name, leader in followed.items():
        if name not in values and leader in values:
            values[name] = values[leader]
    if "result_backend" not in given:
        broker = values.get("broker_url", Settings.__struct_defaults__[_BROKER])
        values["result_backend"] = default_backend(flavour, broker)
    elif values["result_backend"] == "disabled":
        values["result_backend"] = DISABLED
    return Settings(**values)


_BROKER = Settings.__struct_fields__.index("broker_url")
