"""The scenario's side of :mod:`tests.faults.sender`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.faults.processes import wait_until

__all__ = ["Figures", "RemoteError", "SenderProcess"]

END: Final = 10.0
"""Seconds for the process to end."""
REPOSITORY: Final = Path(__file__).parents[2]


class RemoteError(Exception):
    """The client raised.

    Attributes:
        kind: the exception's type.
        text: what it said.
        took: seconds that the call lasted.
    """

    def __init__(self, kind: str, text: str, took: float) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind, self.text, self.took = kind, text, took


class Figures(msgspec.Struct):
    """What came of a load.

    Attributes:
        sent: calls until now, those that raised too.
        errors: how many calls raised, by the exception's type.
        texts: one text of each type.
        slowest: seconds of the slowest call.
    """

    running: bool
    sent: int
    errors: dict[str, int]
    texts: dict[str, str]
    slowest: float


class SenderProcess:
    """A process with a client in it.

    Attributes:
        took: seconds of the last call.
    """

    def __init__(self, python: str, app: str, environment: dict[str, str], log: Path) -> None:
        self.took = 0.0
        self._lock = threading.Lock()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [python, "-m", "tests.faults.sender"],
                env={**os.environ, **environment, "FAULTS_APP": app},
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, do: str, **arguments: Any) -> Any:
        """Ask for something and wait for the answer.

        Raises:
            RemoteError: what it raised there.
        """
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        assert line, f"the sender has died:\n{self._log.read_text()[-3000:]}"
        answer = json.loads(line)
        self.took = answer["took"]
        if "error" in answer:
            raise RemoteError(answer["error"], answer["text"], answer["took"])
        return answer["value"]

    def send(self, task: str, *args: Any, **options: Any) -> str:
        """Send a task; returns its id."""
        return str(self.ask("send", task=task, args=list(args), options=options))

    def get(self, task_id: str, timeout: float = 20.0) -> Any:
        """A result."""
        return self.ask("get", task_id=task_id, timeout=timeout)

    def load(self, task: str, *args: Any, count: int | None = None, rate: float | None = None, **options: Any) -> None:
        """Begin to send that many, so many a second."""
        self.ask("load", task=task, args=list(args), options=options, count=count, rate=rate)

    def figures(self) -> Figures:
        """What came of the load until now."""
        return msgspec.convert(self.ask("figures"), Figures)

    def stop(self) -> Figures:
        """End the load, and wait for the call that is under way."""
        self.ask("stop")
        return self.join()

    def join(self, timeout: float = 120.0) -> Figures:
        """Wait for the end of the load."""
        wait_until(lambda: not self.figures().running, timeout, "the load is sent")
        return self.figures()

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
