"""``celery.loaders.app``: the loader of apps that are configured by a program."""

from __future__ import annotations

from celeriac_dropin.modules.loaders_base import BaseLoader

__all__ = ["AppLoader"]


class AppLoader(BaseLoader):
    """Takes its settings from the program."""
