"""One run in a process of its own, told what to do by one line of JSON; its last line says what came of it.

A run changes the environment and the app of its process, and starts servers: two of them can only be beside each other
in two processes.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import pytest

from tests.faults.catalogue import cells
from tests.faults.records import Record, append, record_of
from tests.faults.run import run_cell
from tests.faults.size import Size
from tests.faults.systems import CELERIAC, celery

__all__ = ["Assignment", "do"]


class Assignment(msgspec.Struct):
    """Which run.

    Attributes:
        fault, broker, pool, seed: as in :class:`Record`.
        system: ``celeriac`` or ``celery``.
        log: where the workers' logs go when it fails.
    """

    fault: str
    broker: str
    pool: str
    seed: int
    size: Size
    system: str = "celeriac"
    log: str = ""

    @property
    def identity(self) -> tuple[str, str, str, int, str]:
        """As a record has it."""
        return self.fault, self.broker, self.pool, self.seed, self.system

    def record(self) -> Record:
        """An empty record of it."""
        return Record(
            fault=self.fault, broker=self.broker, pool=self.pool, seed=self.seed, system=self.system, size=self.size
        )


def do(assignment: Assignment) -> Record:
    """Run it."""
    key, brokers, pools = (assignment.fault,), (assignment.broker,), (assignment.pool,)
    cell = next(found for found in cells(key, brokers, pools) if found.fault.key == assignment.fault)
    system = celery() if assignment.system == "celery" else CELERIAC
    said: list[str] = []
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="celeriac-faults-", ignore_cleanup_errors=True) as folder:
            verdict = run_cell(cell, Path(folder), assignment.size, system, assignment.seed, told=said.append)
    except pytest.skip.Exception as missing:
        record = assignment.record()
        record.unavailable = str(missing)
        return record
    record = record_of(cell, assignment.seed, assignment.size, verdict, time.monotonic() - begun, assignment.system)
    if not verdict.passed and assignment.log:
        Path(assignment.log).write_text("\n".join([str(verdict), *said]))
        record.log = assignment.log
    return record


def main() -> None:
    """Run what the argument says, and append the record to the file that the second one names."""
    record = do(msgspec.json.decode(sys.argv[1], type=Assignment))
    append(Path(sys.argv[2]), record)
    sys.stdout.flush()
    # Threads of a client that waits for a broker that is gone must not hold up the next run.
    os._exit(0)


if __name__ == "__main__":
    main()
