"""``celery.apps.worker``: a worker that a program starts by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from celeriac import current
from celeriac.exceptions import UnsupportedOption
from celeriac_dropin.absences import WORKER_PARTS, absent_names, missing

if TYPE_CHECKING:
    from celeriac_dropin.modules.app_base import Celery

__all__ = ["Worker"]

_OPTIONS: Final = {
    "concurrency": "--concurrency",
    "hostname": "--hostname",
    "logfile": "--logfile",
    "loglevel": "--loglevel",
    "max_memory_per_child": "--max-memory-per-child",
    "max_tasks_per_child": "--max-tasks-per-child",
    "pool": "--pool",
    "pool_cls": "--pool",
    "queues": "--queues",
    "soft_time_limit": "--soft-time-limit",
    "time_limit": "--time-limit",
}
"""By the name of an argument, the option of the command that says the same."""


class Worker:
    """A worker; :meth:`start` runs it in this process until it is told to stop.

    Args:
        app: the current app when None.
        hostname: the node's name.
        include: further modules with tasks.
        quiet: no banner.
        **kwargs: concurrency, pool, queues, loglevel, logfile, time_limit, soft_time_limit, max_tasks_per_child,
            max_memory_per_child: as the options of the command.

    Raises:
        UnsupportedOption: an argument that the command has no option for.
    """

    app: ClassVar[Any] = None

    def __init__(
        self,
        app: Celery | None = None,
        hostname: str | None = None,
        include: Any = None,
        quiet: bool = False,
        **kwargs: Any,
    ) -> None:
        self._app: Any = app or self.app or current.current_app()
        self.exitcode: int | None = None
        if include:
            self._app.conf.include = [
                *self._app.settings.include,
                *([include] if isinstance(include, str) else include),
            ]
        self.arguments = ["worker", *(["--quiet"] if quiet else [])]
        for name, value in {"hostname": hostname, **kwargs}.items():
            if value is None:
                continue
            if name not in _OPTIONS:
                raise UnsupportedOption(f"Worker({name}=...) is not supported; known are {', '.join(sorted(_OPTIONS))}")
            text = ",".join(value) if isinstance(value, (list, tuple, set)) else str(value)
            self.arguments += [_OPTIONS[name], text]

    def start(self) -> None:
        """Work until told to stop; ``exitcode`` is set then."""
        from celeriac_dropin.modules.main import run

        self.exitcode = run(self.arguments, self._app)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        missing(f"Worker.{name}", WORKER_PARTS)


__getattr__ = absent_names(
    "celery.apps.worker",
    dict.fromkeys(("during_soft_shutdown", "on_cold_shutdown", "on_hard_shutdown"), WORKER_PARTS),
)
