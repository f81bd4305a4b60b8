"""Where another process finds an app that is only known as an object."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from celeriac.exceptions import AppNotFound

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["locate"]


def locate(app: Celeriac) -> str:
    """The name under which the finder finds an app in another process.

    Raises:
        AppNotFound: no module has it as an attribute.
    """
    main = sys.modules.get("__main__")
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and module is not main and (attribute := _attribute_of(module, app)):
            return f"{module.__name__}:{attribute}"
    if main is not None and (attribute := _attribute_of(main, app)):
        # Its tasks are named after the app and not after the module, so that others must load it as the main module.
        return f"__main__:{_path_of(main)}:{attribute}"
    raise AppNotFound(
        f"{app!r} is not a global variable of any module, so the processes of a worker cannot find it: assign it to "
        "one, as in app = Celeriac(...), or start the worker with celeriac -A module:attribute worker"
    )


def _attribute_of(module: ModuleType, app: Celeriac) -> str | None:
    for name, value in list(vars(module).items()):
        if value is app:
            return name
    return None


def _path_of(main: ModuleType) -> str:
    """The module's name when it was started with ``python -m``, else its file."""
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name)
    path: str | None = getattr(main, "__file__", None)
    if path is None:
        raise AppNotFound(
            "the app was made at an interactive prompt, where a worker's processes cannot find it: write it to a file"
        )
    return os.path.abspath(path)
