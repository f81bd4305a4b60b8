"""The ledger: what really ran, written by the tasks' processes into a file that the broker knows nothing of.

One line an event, each written at once and at the end of the file, so that any number of processes share it and a
killed one leaves whole lines only. Celeriac's signals write it; the tasks themselves need not know.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from celeriac.signals import task_failure, task_prerun, task_retry, task_success

__all__ = ["Entry", "Ledger"]

Kind = Literal["started", "succeeded", "retried", "failed"]

CAUSE_LENGTH: Final = 120
"""Characters of an error that the ledger keeps: a line must be small enough for one write."""


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One event of one task; ``at`` in seconds since the epoch, ``subject`` is the file's name."""

    kind: Kind
    task_id: str
    name: str
    subject: str
    pid: int
    at: float
    losses: int = 0
    cause: str = ""


class Ledger:
    """Writes entries, and reads those that are new.

    Args:
        path: the file; by default the one that the environment variable ``DEMO_LEDGER`` names.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(os.environ["DEMO_LEDGER"])
        self._read = 0
        self._decoder = msgspec.json.Decoder(Entry)

    def write(self, entry: Entry) -> None:
        """Append an entry."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(entry) + b"\n")
        finally:
            os.close(descriptor)

    def new(self) -> list[Entry]:
        """The entries since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole = file.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._read += len(whole)
        return [self._decoder.decode(line) for line in whole.splitlines()]


def _write(kind: Kind, task: Any, cause: str = "") -> None:
    request = task.request
    first = request.args[0] if request.args else ""
    path = first.get("path", "") if isinstance(first, dict) else first
    name = task.name.rpartition(".")[2]
    entry = Entry(kind, request.id, name, Path(str(path)).name, os.getpid(), time.time(), request.losses, cause)
    Ledger().write(entry)


def _text(error: object) -> str:
    name, text = type(error).__name__, str(error)
    return (text if text.startswith(name) else f"{name}: {text}")[:CAUSE_LENGTH]


@task_prerun.connect
def _started(sender: Any, **named: Any) -> None:
    _write("started", sender)


@task_success.connect
def _succeeded(sender: Any, **named: Any) -> None:
    _write("succeeded", sender)


@task_retry.connect
def _retried(sender: Any, reason: Any, **named: Any) -> None:
    _write("retried", sender, _text(getattr(reason, "exc", None) or reason))


@task_failure.connect
def _failed(sender: Any, exception: BaseException, **named: Any) -> None:
    _write("failed", sender, _text(exception))
