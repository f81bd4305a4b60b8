"""A worker in the test's own process: nothing is started but a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import msgspec

from celeriac.app.runner import TaskRunner
from celeriac.exceptions import TimeoutError as CeleriacTimeoutError
from celeriac.pools.pool import PoolOptions
from celeriac.pools.solo import SoloPool
from celeriac.worker.options import WorkerOptions
from celeriac.worker.worker import Worker

if TYPE_CHECKING:
    from celeriac.app.app import Celeriac

__all__ = ["InProcessPool", "make_runner", "run_worker"]

POOL: Final = "celeriac.testing.running:InProcessPool"
RUNNER: Final = "celeriac.testing.running:make_runner"
HOSTNAME: Final = "testing@localhost"

_apps: dict[str, Celeriac] = {}
_names = count(1)


class InProcessPool(SoloPool):
    """The pool `solo`, of an app that need not be importable by a name."""

    def __init__(self, options: PoolOptions) -> None:
        super().__init__(msgspec.structs.replace(options, runner=RUNNER))


def make_runner(arguments: dict[str, Any]) -> TaskRunner:
    """The runner of an app that :func:`run_worker` runs."""
    return TaskRunner(_apps[arguments["app"]], arguments["hostname"], arguments["describe"])


@contextmanager
def run_worker(app: Celeriac, *, queues: Sequence[str] | None = None, timeout: float = 10.0) -> Iterator[Worker]:
    """Run a worker of an app in a thread of this process, for the length of the block.

    It is the real worker with the pool `solo`: one task at a time, in its thread, so that a test can look at what its
    tasks did and break points work. At the end what runs is finished, and what waits stays in the broker.

    Args:
        app: the app; ``app.conf.broker_url = "memory://"`` keeps everything in this process.
        queues: what to consume; None is what the settings declare.
        timeout: seconds that it may take to begin, and to end.

    Yields:
        The worker.

    Raises:
        celeriac.exceptions.TimeoutError: it did not begin or end in time.
        Exception: whatever kept it from starting, such as BrokerUnreachable.
    """
    name = f"testing-{next(_names)}"
    _apps[name] = app
    thread = _WorkerThread(app, name, None if queues is None else list(queues))
    thread.start()
    try:
        worker = thread.begun(timeout)
        yield worker
    finally:
        thread.end(timeout)
        del _apps[name]


class _WorkerThread(threading.Thread):
    """Runs one worker in an event loop of its own."""

    def __init__(self, app: Celeriac, name: str, queues: list[str] | None) -> None:
        super().__init__(name=name, daemon=True)
        self._app = app
        self._options = WorkerOptions(app_path=name, hostname=HOSTNAME, pool=POOL, queues=queues)
        self._ready = threading.Event()
        self._worker: Worker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Work until told to stop."""
        try:
            asyncio.run(self._work())
        except BaseException as error:  # it is raised where the worker was started
            self._failure = error
        finally:
            self._ready.set()

    async def _work(self) -> None:
        self._app.loader.import_default_modules()
        self._app.finalize()
        self._loop = asyncio.get_running_loop()
        worker = self._worker = Worker(self._app, self._options)
        life = asyncio.create_task(worker.run())
        ready = asyncio.create_task(worker.ready.wait())
        await asyncio.wait([life, ready], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not life.done():
            self._ready.set()
        await life

    def begun(self, timeout: float) -> Worker:
        """Wait until it works."""
        if not self._ready.wait(timeout):
            raise CeleriacTimeoutError(f"the worker did not begin within {timeout:g} seconds")
        if self._failure is not None:
            raise self._failure
        assert self._worker is not None
        return self._worker

    def end(self, timeout: float) -> None:
        """Stop it, warm, and wait until it has ended."""
        if self._loop is not None and self._worker is not None and self.is_alive():
            with suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self._worker.shutdown.warm)
        self.join(timeout)
        if self.is_alive():
            raise CeleriacTimeoutError(f"the worker did not end within {timeout:g} seconds: what runs in it?")
