"""What is kept of every run: one line of JSON each, so that a table can be made of several batches of runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from tests.faults.catalogue import Cell
from tests.faults.size import Size
from tests.faults.verdict import Verdict

__all__ = ["Record", "append", "known", "read", "record_of", "version"]

REPOSITORY: Final = Path(__file__).parents[2]


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One run of one cell.

    Attributes:
        fault, broker, pool, seed: which run it is.
        system: what was put through it.
        problems: what does not hold; the run passed when there are none.
        broken: the invariants among them.
        lost, ghosts, duplicates, recovery: as in :class:`Verdict`.
        facts: what else it found, as texts.
        seconds: that it took.
        unavailable: why it cannot be run here.
        log: the file with the workers' logs of a run that failed.
        version: the commit that it ran on.
        ended: when, UTC.
        load: processes that wanted to run, the mean of its last minute.
        size: how much of it.
    """

    fault: str
    broker: str
    pool: str
    seed: int
    system: str = "celeriac"
    problems: list[str] = []
    broken: list[str] = []
    lost: int | None = None
    ghosts: int | None = None
    duplicates: int | None = None
    recovery: float | None = None
    facts: dict[str, str] = {}
    seconds: float = 0.0
    unavailable: str = ""
    log: str = ""
    version: str = ""
    ended: str = ""
    load: float = 0.0
    size: Size = Size()

    @property
    def passed(self) -> bool:
        """It ran, and all holds."""
        return not self.problems and not self.unavailable

    @property
    def identity(self) -> tuple[str, str, str, int, str]:
        """No two runs of a batch have the same."""
        return self.fault, self.broker, self.pool, self.seed, self.system

    def __str__(self) -> str:
        name = f"{self.fault} on {self.broker}, {self.pool}, seed {self.seed}"
        if self.unavailable:
            return f"{name}: not here: {self.unavailable}"
        counts = f"lost {known(self.lost)}, ghosts {known(self.ghosts)}, repeated {known(self.duplicates)}"
        recovery = "" if self.recovery is None else f", recovered in {self.recovery:.2f} s"
        facts = "".join(f", {fact} {value}" for fact, value in self.facts.items())
        outcome = "FAILED: " + "; ".join(self.problems) if self.problems else "ok"
        return f"{name}: {outcome} ({counts}{recovery}{facts}) [{self.seconds:.0f} s, load {self.load:.1f}]"


def known(value: int | None) -> str:
    """A count, or a question mark."""
    return "?" if value is None else str(value)


@cache
def version() -> str:
    """The commit of this checkout, and whether something of the library is changed in it."""
    return _git("rev-parse", "--short", "HEAD") + ("+changes" if _git("status", "--porcelain", "src") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True)
    return done.stdout.strip()


def record_of(cell: Cell, seed: int, size: Size, verdict: Verdict, seconds: float, system: str = "celeriac") -> Record:
    """What is kept of a run that has just ended."""
    return Record(
        fault=cell.fault.key,
        broker=cell.broker,
        pool=cell.pool,
        seed=seed,
        system=system,
        problems=[problem[:500] for problem in verdict.problems],
        broken=sorted(verdict.broken),
        lost=verdict.lost,
        ghosts=verdict.ghosts,
        duplicates=verdict.duplicates,
        recovery=verdict.recovery,
        facts=verdict.told(),
        seconds=seconds,
        version=version(),
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        load=os.getloadavg()[0],
        size=size,
    )


def append(path: Path, record: Record) -> None:
    """Add one line."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(record) + b"\n")


def read(paths: Iterable[Path]) -> Iterator[Record]:
    """All records of these files, the oldest first."""
    found = [
        msgspec.json.decode(line, type=Record)
        for path in paths
        if path.exists()
        for line in path.read_bytes().splitlines()
        if line.strip()
    ]
    yield from sorted(found, key=lambda record: record.ended)
