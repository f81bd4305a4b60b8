"""The worker, as a process of its own: what ``celeriac -A demo.app worker`` in another terminal would be."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

__all__ = ["WorkerFailed", "WorkerProcess"]

START_LIMIT: Final = 30.0
STOP_LIMIT: Final = 10.0
"""Seconds for a warm shutdown before the worker is killed."""
PAUSE: Final = 0.02
"""Seconds between two looks at the log of a worker that is about to start."""
LOG_TAIL: Final = 30
"""Lines of the log that an error shows."""
READY: Final = "ready."


class WorkerFailed(RuntimeError):
    """The worker did not start, or ended by itself; the text has the end of its log."""


class WorkerProcess:
    """A worker process, started and ended by the demo.

    Args:
        concurrency: how many tasks at the same time.
        log: where it logs to.
    """

    def __init__(self, concurrency: int, log: Path) -> None:
        self.concurrency = concurrency
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> float:
        """Start it and wait until it takes work; returns how long that took, in seconds."""
        began = time.monotonic()
        seen = len(self._lines())
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "celeriac", "-A", "demo.app", "worker", "--quiet", "--loglevel", "INFO"),
                *("--concurrency", str(self.concurrency)),
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"NO_COLOR": "1"},
                # A session of its own, so that Ctrl-C reaches the demo alone, which then ends the worker in order.
                start_new_session=True,
            )
        while not any(READY in line for line in self._lines()[seen:]):
            self.check()
            if time.monotonic() - began > START_LIMIT:
                raise WorkerFailed(f"the worker was not ready after {START_LIMIT:.0f} s:\n{self.tail()}")
            await asyncio.sleep(PAUSE)
        return time.monotonic() - began

    def check(self) -> None:
        """Raise WorkerFailed if it ended by itself."""
        if self._process is not None and self._process.returncode is not None:
            raise WorkerFailed(f"the worker ended with code {self._process.returncode}:\n{self.tail()}")

    async def kill(self) -> None:
        """kill -9: no farewell, nothing handed back."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.wait()

    async def stop(self) -> None:
        """End it in order, by force if it takes too long; harmless when it has ended."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_LIMIT)
        except TimeoutError:
            process.kill()
            await process.wait()

    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self._lines()[-LOG_TAIL:])

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
