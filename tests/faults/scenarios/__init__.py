"""The scenarios: each says load, injection and expectation; the kit around them does the rest."""

from __future__ import annotations

import importlib
import pkgutil

__all__ = ["load"]


def load() -> None:
    """Import all of them, so that they are in the catalogue."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
