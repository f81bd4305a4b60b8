"""``celery.contrib.testing.worker``: a worker in the test's own process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from celeriac.exceptions import UnsupportedOption
from celeriac.result import allow_join_result
from celeriac.signals import Signal
from celeriac.testing.running import run_worker
from celeriac.worker.traits import read_traits
from celeriac_dropin.absences import WORKER_PARTS, missing
from celeriac_dropin.modules.utils_log import mlevel

if TYPE_CHECKING:
    from celeriac.worker.worker import Worker
    from celeriac_dropin.modules.app_base import Celery

__all__ = [
    "TestWorkController",
    "setup_app_for_worker",
    "start_worker",
    "test_worker_started",
    "test_worker_starting",
    "test_worker_stopped",
]

_ABSENT_ANYWAY: Final = frozenset({"without_gossip", "without_heartbeat", "without_mingle"})
"""Our worker has none of these."""

#: Before a worker of a test starts; sender is the app.
test_worker_starting = Signal(name="test_worker_starting")
#: A worker of a test works; sender is the app.
test_worker_started = Signal(("worker", "consumer"), name="test_worker_started")
#: A worker of a test has ended; sender is the app.
test_worker_stopped = Signal(("worker",), name="test_worker_stopped")


class TestWorkController:
    """A worker of a test, while it works.

    Attributes:
        app: its app.
        worker: the worker itself.
    """

    __test__ = False

    def __init__(self, app: Celery, worker: Worker) -> None:
        self.app = app
        self.worker = worker

    @property
    def hostname(self) -> str:
        """The node's name."""
        return self.worker.options.hostname

    def reload(self, modules: Any = None, reload: bool = False, reloader: Any = None) -> None:
        """Import modules with tasks that are new, and let the worker know tasks that were defined since it began."""
        if reload or reloader is not None:
            raise UnsupportedOption("reload() does not replace modules: start another worker")
        for module in modules or ():
            self.app.loader.import_task_module(module)  # type: ignore[attr-defined]  # a loader of ours
        self.app.loader.import_default_modules()
        traits = self.worker.admission.traits
        traits.update({name: each for name, each in read_traits(self.app).items() if name not in traits})

    def stop(self) -> None:
        """Tell it to finish what runs, and to end."""
        self.worker.shutdown.warm()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        missing(f"TestWorkController.{name}", WORKER_PARTS)


@contextmanager
def start_worker(
    app: Celery,
    concurrency: int = 1,
    pool: str = "solo",
    loglevel: str | int = "error",
    logfile: str | None = None,
    perform_ping_check: bool = True,
    ping_task_timeout: float = 10.0,
    shutdown_timeout: float = 10.0,
    **kwargs: Any,
) -> Iterator[TestWorkController]:
    """Run a worker of an app in a thread of this process, for the length of the block.

    Args:
        app: the app.
        concurrency: must be 1.
        pool: must be ``solo``.
        loglevel: the level of the logger of Celeriac.
        logfile: must be None.
        perform_ping_check: have the task ``celery.ping`` answered before the block begins.
        ping_task_timeout: seconds that may take.
        shutdown_timeout: seconds that the end may take.
        **kwargs: ``queues``, what to consume.

    Raises:
        UnsupportedOption: what a worker in a thread cannot do.
    """
    queues = kwargs.pop("queues", None)
    wrong = [name for name, value in kwargs.items() if name not in _ABSENT_ANYWAY or not value]
    if wrong or concurrency != 1 or pool != "solo" or logfile is not None:
        raise UnsupportedOption(
            "a worker in the test's own process has the pool solo, one task at a time, no file to log to"
            + (f" and no option {', '.join(wrong)}" if wrong else "")
            + "; start celery -A proj worker as a process to test others"
        )
    test_worker_starting.send(sender=app)
    worker = None
    try:
        with run_worker(app, queues=_names(queues), timeout=shutdown_timeout) as running:
            setup_app_for_worker(app, loglevel, logfile)
            worker = TestWorkController(app, running)
            test_worker_started.send(sender=app, worker=worker, consumer=running)
            if perform_ping_check:
                _ping(app, ping_task_timeout)
            yield worker
    finally:
        test_worker_stopped.send(sender=app, worker=worker)


def _names(queues: Any) -> list[str] | None:
    if queues is None:
        return None
    return queues.split(",") if isinstance(queues, str) else list(queues)


def _ping(app: Celery, timeout: float) -> None:
    if "celery.ping" not in app.tasks:
        raise LookupError(
            "the app has no task celery.ping: import celery.contrib.testing.tasks, or perform_ping_check=False"
        )
    with allow_join_result():
        answer = app.tasks["celery.ping"].delay().get(timeout=timeout)
    if answer != "pong":
        raise AssertionError(f"celery.ping answered {answer!r}")


def setup_app_for_worker(app: Celery, loglevel: str | int, logfile: str | None) -> None:
    """Finalise an app, make it the process's default, and set the level of Celeriac's logger."""
    app.finalize()
    app.set_default()
    logging.getLogger("celeriac").setLevel(mlevel(loglevel))
