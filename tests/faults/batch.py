"""Many runs, some at a time, each in a process of its own with servers and files of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec
import psutil

from tests.faults.catalogue import Cell
from tests.faults.records import REPOSITORY, Record, read, version
from tests.faults.single import Assignment
from tests.faults.size import Size

__all__ = ["plan", "run_all"]

LAST: Final = 4000
"""Characters of the output of a run that ended without a record."""


def plan(
    cells: Sequence[Cell], times: int, seed: int, size: Size, *, rotate: bool, logs: Path | None, system: str
) -> list[Assignment]:
    """What is to be run: all cells once, then all of them again.

    Args:
        cells: in the order of the catalogue.
        times: runs of each cell.
        seed: of the first run of each; every further one adds 1.
        size: of all.
        rotate: run number i of a fault on a broker has pool i of those that apply, in turn.
        logs: the folder for the logs of runs that fail.
        system: what is put through it.
    """
    chosen: list[Assignment] = []
    for number in range(times):
        for (key, broker), group in groupby(cells, key=lambda cell: (cell.fault.key, cell.broker)):
            pools = [cell.pool for cell in group]
            for pool in [pools[number % len(pools)]] if rotate else pools:
                name = f"{key}-{broker}-{pool}-{system}-{seed + number}.log"
                log = str((logs / name).absolute()) if logs else ""
                chosen.append(Assignment(key, broker, pool, seed + number, size, system, log))
    return chosen


def run_all(assignments: Sequence[Assignment], jobs: int, limit: float, done: Callable[[Record], None]) -> None:
    """Run them.

    Args:
        assignments: what.
        jobs: how many at the same time.
        limit: seconds after which a run is ended, and has failed.
        done: called with each record, in this thread.
    """
    version()  # of the code as it is now, before it can change
    over = threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_run, each, limit, over) for each in assignments]
        try:
            for future in as_completed(futures):
                done(future.result())
        except BaseException:
            over.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _run(assignment: Assignment, limit: float, over: threading.Event) -> Record:
    """Run one, and give up what it has started when it takes too long or the batch is ended."""
    with tempfile.TemporaryDirectory(prefix="celeriac-run-") as folder:
        file, output = Path(folder, "record"), Path(folder, "output")
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.single", msgspec.json.encode(assignment).decode(), str(file)],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
            ended = _wait(process, limit, over)
        records = list(read([file]))
        if records:
            return records[0]
        record = assignment.record()
        why = f"it ended with {process.returncode}" if ended else f"it was not over after {limit:.0f} s"
        record.problems = [f"{why}, without a verdict: {output.read_text(errors='replace')[-LAST:]}"]
        record.version = version()
        return record


def _wait(process: subprocess.Popen[bytes], limit: float, over: threading.Event) -> bool:
    """Whether it ended by itself."""
    waited = 0.0
    while waited < limit and not over.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
            return True
        waited += 1.0
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
    process.wait()
    return False
