"""Other processes, for what only they can do: hold locks, be stopped, be killed."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 20.0
"""Seconds that a test waits for another process."""


class Process:
    """A Python process that runs a script, is told lines and tells lines."""

    def __init__(self, script: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    def read(self) -> str:
        """The next line that it tells, empty when it has ended."""
        readable, _, _ = select.select([self._output], [], [], PATIENCE)
        assert readable, "the other process says nothing"
        return self._output.readline().decode().strip()

    def read_all(self) -> list[str]:
        """All lines until it ends."""
        return self._output.read().decode().split()

    def tell(self, line: str) -> None:
        self._input.write(line.encode() + b"\n")
        self._input.flush()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._input.close()
        self._output.close()


@contextmanager
def process(script: str, *arguments: object) -> Iterator[Process]:
    """Run a script in another process, which is killed at the end."""
    other = Process(script, *arguments)
    try:
        yield other
    finally:
        other.close()
