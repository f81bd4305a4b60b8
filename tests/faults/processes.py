"""Worker processes of the fault tests: started, watched, killed by their own process id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

__all__ = ["WorkerProcess", "wait_until"]


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> float:
    """Look until the condition holds; returns how long it took in seconds."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > timeout:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - start


class WorkerProcess:
    """One ``celeriac worker`` of an app, or one of Celery's (by ``python`` and ``module``)."""

    def __init__(
        self,
        app: str,
        environment: dict[str, str],
        *arguments: str,
        log: Path,
        python: str = sys.executable,
        module: str = "celeriac",
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [python, "-m", module, "-A", app, "worker", "-l", "INFO", *arguments],
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
                cwd=Path(__file__).parents[2],
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The main process."""
        return self.process.pid

    def ready(self, timeout: float = 20.0) -> WorkerProcess:
        """Wait until it takes work."""

        def said() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the worker ended with {self.process.returncode}:\n{self.log.read_text()}")
            return " ready." in self.log.read_text()

        wait_until(said, timeout, f"ready: {self.log.read_text()[-3000:]}")
        return self

    def children(self) -> list[psutil.Process]:
        """Its pool's children: what the fork server forked."""
        with contextlib.suppress(psutil.NoSuchProcess):
            main = psutil.Process(self.pid)
            return [grand for server in main.children() for grand in server.children()]
        return []

    def tree(self) -> list[psutil.Process]:
        """All its processes but itself."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def signal(self, number: int) -> None:
        """Send a signal to the main process."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9 of the main process; its children must follow by themselves."""
        tree = self.tree()
        self.signal(signal.SIGKILL)
        self.process.wait()
        _, alive = psutil.wait_procs(tree, timeout=2)
        assert not alive, f"left over after kill -9 of main: {alive}"

    def stop(self, timeout: float = 20.0) -> int:
        """TERM, and its exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def end(self) -> None:
        """Whatever it takes (for fixtures)."""
        if self.process.poll() is None:
            tree = self.tree()
            self.signal(signal.SIGKILL)
            self.process.wait()
            for process in tree:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
