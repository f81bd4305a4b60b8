"""``celery.loaders.base``: the loader that loaders of programs derive from."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from celeriac import signals
from celeriac.app.loading import Loader as CeleriacLoader
from celeriac.exceptions import UnsupportedOption
from celeriac.settings.table import name_of, table
from celeriac_dropin.modules.utils_imports import find_module, import_from_cwd

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["BaseLoader", "autodiscover_tasks", "find_related_module"]

_HOOKS = ("on_task_init", "on_process_cleanup", "on_worker_init", "on_worker_shutdown", "on_worker_process_init")


class BaseLoader(CeleriacLoader):
    """Reads an app's configuration and imports its modules.

    Its hooks (``on_...``) are called where a subclass defines them.

    Args:
        app: whose.
    """

    builtin_modules: ClassVar[frozenset[str]] = frozenset()
    override_backends: ClassVar[Mapping[str, str]] = {}

    def __init__(self, app: Celeriac, **kwargs: Any) -> None:
        super().__init__(app)
        self.task_modules: set[str] = set()
        if os.environ.get("CELERY_CONFIG_MODULE"):
            self.read_configuration()
        self._connect_hooks()

    # -- hooks -------------------------------------------------------------------------------------------------------

    def on_task_init(self, task_id: str, task: Any) -> None:
        """Called before each task."""

    def on_process_cleanup(self) -> None:
        """Called after each task."""

    def on_worker_init(self) -> None:
        """Called when a worker starts."""

    def on_worker_shutdown(self) -> None:
        """Called when a worker ends."""

    def on_worker_process_init(self) -> None:
        """Called in each child of a worker when it starts."""

    def _connect_hooks(self) -> None:
        own = {name for name in _HOOKS if getattr(type(self), name) is not getattr(BaseLoader, name)}
        calls: dict[str, tuple[signals.Signal, Callable[..., Any]]] = {
            "on_task_init": (signals.task_prerun, self._task_begins),
            "on_process_cleanup": (signals.task_postrun, self._task_ended),
            "on_worker_init": (signals.worker_init, lambda **_: self.on_worker_init()),
            "on_worker_shutdown": (signals.worker_shutdown, lambda **_: self.on_worker_shutdown()),
            "on_worker_process_init": (signals.worker_process_init, lambda **_: self.on_worker_process_init()),
        }
        for name in own:
            signal, receiver = calls[name]
            signal.connect(receiver, weak=False)

    def _task_begins(self, sender: Any, task_id: str, **_: Any) -> None:
        if sender.app is self.app:
            self.on_task_init(task_id, sender)

    def _task_ended(self, sender: Any, **_: Any) -> None:
        if sender.app is self.app:
            self.on_process_cleanup()

    # -- modules -----------------------------------------------------------------------------------------------------

    def import_default_modules(self) -> None:
        """Import everything that holds tasks; errors are raised."""
        for module in sorted(self.builtin_modules):
            self.import_task_module(module)
        super().import_default_modules()

    def import_task_module(self, module: str) -> ModuleType:
        """Import a module with tasks, from the current folder too."""
        self.task_modules.add(module)
        return self.import_from_cwd(module)

    def import_module(self, module: str, package: str | None = None) -> ModuleType:
        """Import a module."""
        return importlib.import_module(module, package)

    def import_from_cwd(self, module: str, imp: Any = None, package: str | None = None) -> ModuleType:
        """Import a module, from the current folder too."""
        return import_from_cwd(module, imp or self.import_module, package)

    def find_module(self, module: str) -> Any:
        """The spec of a module."""
        return find_module(module)

    def autodiscover_tasks(self, packages: Iterable[str], related_name: str | None = "tasks") -> None:
        """Import ``<package>.<related_name>`` of each package now."""
        self.autodiscover(packages, related_name, force=True)

    @property
    def default_modules(self) -> list[str]:
        """What is imported when a worker starts."""
        settings = self.app.settings
        return [*self.builtin_modules, *settings.imports, *settings.include]

    def init_worker(self) -> None:
        """Import everything that holds tasks."""
        self.import_default_modules()

    def init_worker_process(self) -> None:
        """Call the hook of children."""
        self.on_worker_process_init()

    def shutdown_worker(self) -> None:
        """Call the hook of a worker's end."""
        self.on_worker_shutdown()

    # -- configuration -----------------------------------------------------------------------------------------------

    def config_from_object(self, obj: Any, silent: bool = False) -> bool:
        """Take settings from an object, a mapping or an import path; they replace those that were named before."""
        self.app.conf.config_from_object(obj, silent=silent)
        return True

    def cmdline_config_parser(self, args: Iterable[str], namespace: str = "celery") -> dict[str, Any]:
        """The settings of arguments such as ``worker.concurrency=4``, whose dots stand for underscores.

        Raises:
            UnsupportedOption: there is no such setting.
        """
        found: dict[str, Any] = {}
        for argument in args:
            spelled, _, text = argument.partition("=")
            plain = spelled.replace(".", "_").strip("_")
            name = name_of(plain) or name_of(f"{namespace}_{plain}")
            if name is None:
                raise UnsupportedOption(f"{argument!r}: there is no setting {spelled!r}")
            found[name] = table()[name].kind.from_text(text)
        return found

    def read_configuration(self, env: str = "CELERY_CONFIG_MODULE") -> bool:
        """Take settings from the module that an environment variable names; returns whether there is one."""
        name = os.environ.get(env)
        return self.config_from_object(name) if name else False

    @property
    def conf(self) -> Any:
        """The app's settings."""
        return self.app.conf

    def now(self, utc: bool = True) -> datetime:
        """The time now: aware, in UTC, or the local one, naive."""
        return datetime.now(UTC) if utc else datetime.now()


def autodiscover_tasks(packages: Iterable[str], related_name: str | None = "tasks") -> list[ModuleType]:
    """Import ``<package>.<related_name>`` of each package; returns those modules that exist."""
    found = (find_related_module(package, related_name) for package in packages)
    return [module for module in found if module is not None]


def find_related_module(package: str, related_name: str | None) -> ModuleType | None:
    """Import ``<package>.<related_name>``; None when there is no such module. What it raises is raised."""
    importlib.import_module(package)
    if not related_name:
        return None
    name = f"{package}.{related_name}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None
