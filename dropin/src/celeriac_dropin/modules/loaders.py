"""``celery.loaders``: what imports an app's modules."""

from __future__ import annotations

from typing import Any, Final

from celeriac_dropin.modules.utils_imports import symbol_by_name

__all__ = ["get_loader_cls"]

LOADER_ALIASES: Final = {
    "app": "celeriac_dropin.modules.loaders_app:AppLoader",
    "default": "celeriac_dropin.modules.loaders_default:Loader",
}


def get_loader_cls(loader: Any) -> Any:
    """The class of a loader: ``app``, ``default``, an import path, or a class as it is."""
    return symbol_by_name(loader, LOADER_ALIASES)
