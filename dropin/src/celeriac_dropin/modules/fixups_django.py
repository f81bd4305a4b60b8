"""``celery.fixups.django``: Django's settings, models and connections in workers.

It is active where ``DJANGO_SETTINGS_MODULE`` is set and Django is installed. A worker sets Django up before it imports
tasks and checks the project (``CELERY_SKIP_CHECKS`` leaves that out); around each task, connections to databases that
are broken or too old are closed, as Django does around requests.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final

from celeriac import signals
from celeriac.exceptions import FixupWarning

if TYPE_CHECKING:
    from celeriac_dropin.modules.app_base import Celery

__all__ = ["DjangoFixup", "fixup"]

_YES: Final = ("1", "true", "yes", "on")


def fixup(app: Celery, env: str = "DJANGO_SETTINGS_MODULE") -> DjangoFixup | None:
    """Make the fix-up of an app active, if this is a Django project.

    Returns:
        The fix-up; None where the variable is not set or Django is not installed, which is warned of.
    """
    module = os.environ.get(env)
    if not module or "django" in app.loader_cls.__module__.lower():
        return None
    if importlib.util.find_spec("django") is None:
        warnings.warn(f"{env} is {module!r}, but Django is not installed", FixupWarning, stacklevel=2)
        return None
    found = DjangoFixup(app)
    found.install()
    return found


class DjangoFixup:
    """What an app of a Django project needs.

    Args:
        app: the app.
    """

    def __init__(self, app: Celery) -> None:
        self.app = app
        self._ready = False

    def install(self) -> DjangoFixup:
        """Connect to what a worker does, and make tasks DjangoTasks unless the program chose another class."""
        folder = os.getcwd()
        if folder not in sys.path:
            sys.path.insert(0, folder)
        signals.import_modules.connect(self.on_import_modules, sender=self.app, weak=False)
        signals.worker_process_init.connect(self.on_worker_process_init, weak=False)
        signals.task_prerun.connect(self.on_task_prerun, weak=False)
        signals.task_postrun.connect(self.on_task_postrun, weak=False)
        if not self.app.has_custom_task_cls:
            from celeriac_dropin.modules.contrib_django_task import DjangoTask

            self.app.task_cls = DjangoTask
        return self

    def autodiscover_tasks(self) -> list[str]:
        """The packages of the installed apps."""
        from django.apps import apps

        return [config.name for config in apps.get_app_configs()]

    def on_import_modules(self, **_: Any) -> None:
        """Set Django up before tasks are imported, and check the project."""
        if self._ready:
            return
        self._ready = True
        import django

        django.setup()
        if os.environ.get("CELERY_SKIP_CHECKS", "").lower() not in _YES:
            from django.core.checks import run_checks

            run_checks()

    def on_worker_process_init(self, **_: Any) -> None:
        """Let go of connections that this process has of another one."""
        self.close_database()
        self.close_cache()

    def on_task_prerun(self, sender: Any, **_: Any) -> None:
        """Close connections that are broken or too old before a task uses them."""
        if self._is_ours(sender):
            self.close_old_connections()

    def on_task_postrun(self, sender: Any, **_: Any) -> None:
        """Close connections that are broken or too old after a task, and the caches."""
        if self._is_ours(sender):
            self.close_old_connections()
            self.close_cache()

    def _is_ours(self, task: Any) -> bool:
        # Eager tasks run inside somebody's transaction, whose connection must stay.
        return task.app is self.app and not task.request.is_eager

    @staticmethod
    def close_old_connections() -> None:
        """Close connections to databases that are broken or older than ``CONN_MAX_AGE``."""
        from django.db import close_old_connections

        close_old_connections()

    @staticmethod
    def close_database(**_: Any) -> None:
        """Close all connections to databases; the next query opens them again."""
        from django.db import connections

        connections.close_all()

    @staticmethod
    def close_cache() -> None:
        """Let caches close what they close at the end of a request."""
        from django.core.cache import close_caches

        close_caches()
