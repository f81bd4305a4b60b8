"""``celery.loaders.default``: the loader of the fallback app, whose settings are in a module ``celeryconfig``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from celeriac_dropin.modules.loaders_base import BaseLoader

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["DEFAULT_CONFIG_MODULE", "Loader"]

DEFAULT_CONFIG_MODULE: Final = "celeryconfig"


class Loader(BaseLoader):
    """Takes its settings from the module that ``CELERY_CONFIG_MODULE`` names, or ``celeryconfig`` if there is one."""

    def __init__(self, app: Celeriac, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        if not os.environ.get("CELERY_CONFIG_MODULE"):
            self.read_configuration()

    def read_configuration(self, env: str = "CELERY_CONFIG_MODULE", fail_silently: bool = True) -> bool:
        """Take settings from the module; one that is named explicitly must exist."""
        name = os.environ.get(env)
        if name:
            return self.config_from_object(name)
        return self.config_from_object(DEFAULT_CONFIG_MODULE, silent=fail_silently)

    def setup_settings(self, settingsdict: Mapping[str, Any]) -> Any:
        """The app's settings, with those of a mapping."""
        self.app.conf.update(settingsdict)
        return self.app.conf
