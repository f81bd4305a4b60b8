"""``celery.app.utils``: settings, and what to show of an app."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import celeriac
from celeriac import current
from celeriac.settings.censor import censored
from celeriac.settings.configuration import Configuration
from celeriac_dropin.absences import absent_names, refused

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["Settings", "appstr", "bugreport", "filter_hidden_settings", "find_app"]

Settings = Configuration


def appstr(app: Celeriac) -> str:
    """An app in a few characters."""
    return f"{app.main or '__main__'} at {id(app):#x}"


def bugreport(app: Celeriac | None = None) -> str:
    """What to write into a report of a bug: versions, platform, and the settings that are set, without secrets."""
    app = current.current_app() if app is None else app
    lines = [
        f"celeriac {celeriac.__version__} as celery 5.7.0, Python {platform.python_version()} on {platform.platform()}",
        f"pid {os.getpid()}, {sys.executable}",
        f"app {appstr(app)}, loader {type(app.loader).__module__}.{type(app.loader).__qualname__}",
        f"broker {app.connections.place}",
        "",
        app.conf.humanize(with_defaults=False, censored=True),
    ]
    return "\n".join(lines)


def filter_hidden_settings(conf: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with masks where names or URLs hold secrets."""
    return {name: censored(str(name), value) for name, value in conf.items()}


def find_app(app: str, symbol_by_name: object = None, imp: object = None) -> Celeriac:
    """Find an app by ``module``, ``module:attribute`` or a package's name."""
    from celeriac.app.finder import find_app as find

    if symbol_by_name is not None or imp is not None:
        raise TypeError("find_app() imports by itself: leave out symbol_by_name and imp")
    return find(app)


__getattr__ = absent_names(
    "celery.app.utils",
    {"detect_settings": refused("app.conf tells old names from new ones when it reads a configuration")},
)
