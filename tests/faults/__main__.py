"""Run scenarios by hand.

    python -m tests.faults --only 1,2,3 --broker redis --pool prefork --times 20

Prints one line for each run, and the workers' logs of those that failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.faults.brokers import BROKERS
from tests.faults.catalogue import FAULTS, Cell, cells
from tests.faults.pools import POOLS
from tests.faults.run import Size, run_cell
from tests.faults.systems import CELERIAC, System, celery
from tests.faults.table import Row, write_table

STANDARD = Size()


def main() -> int:
    """Run what was asked for; returns how many runs failed, at most 1."""
    arguments = _arguments()
    chosen = list(cells(_split(arguments.only), _split(arguments.broker), _split(arguments.pool)))
    if arguments.list:
        for cell in chosen:
            print(cell)
        return 0
    size = Size(
        arguments.tasks,
        arguments.longest,
        arguments.patience,
        arguments.count,
        arguments.flood,
        arguments.cycles,
        arguments.restarts,
    )
    rows: list[Row] = []
    for cell in chosen:
        row = Row(cell)
        for number in range(arguments.times):
            try:
                row.add(*_run(cell, size, celery() if arguments.celery else CELERIAC, arguments.seed + number))
            except pytest.skip.Exception as unavailable:
                print(f"{cell}: not here: {unavailable}", flush=True)
                row.unavailable = str(unavailable)
                break
        rows.append(row)
        if arguments.table:
            write_table(arguments.table, rows, size, arguments.times)
    failed = sum(not row.passed for row in rows)
    print(f"{len(rows) - failed} of {len(rows)} cells passed", flush=True)
    return int(failed > 0)


def _run(cell: Cell, size: Size, system: System, seed: int) -> tuple[object, float]:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="celeriac-faults-") as folder:
        verdict = run_cell(cell, Path(folder), size, system, seed, told=lambda text: print(text, file=sys.stderr))
    took = time.monotonic() - begun
    print(f"{verdict} [{took:.0f} s]", flush=True)
    return verdict, took


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="FAULT[,..]", help="numbers of the plan; all by default")
    parser.add_argument("--broker", default="", help=f"of {', '.join(BROKERS)}; all by default")
    parser.add_argument("--pool", default="", help=f"of {', '.join(POOLS)}; all by default")
    parser.add_argument("--times", type=int, default=1, help="runs of each cell")
    parser.add_argument("--seed", type=int, default=1, help="of the first run; each further one adds 1")
    parser.add_argument("--tasks", type=int, default=STANDARD.tasks, help="of the load")
    parser.add_argument("--longest", type=float, default=STANDARD.longest, help="seconds that a fault lasts at most")
    parser.add_argument("--patience", type=float, default=STANDARD.patience, help="factor of all bounds in seconds")
    parser.add_argument("--count", type=int, default=STANDARD.messages, help="messages that are wrong")
    parser.add_argument("--flood", type=int, default=STANDARD.flood, help="tasks that are due at the same time")
    parser.add_argument("--cycles", type=int, default=STANDARD.cycles, help="of workers that end, in `cycles`")
    parser.add_argument("--restarts", type=int, default=STANDARD.restarts, help="of workers, in `rolling`")
    parser.add_argument("--table", type=Path, help="write the table of all cells there")
    parser.add_argument("--celery", action="store_true", help="point it at real Celery")
    parser.add_argument("--list", action="store_true", help="show what would run")
    return parser.parse_args()


if __name__ == "__main__":
    assert FAULTS is not None
    sys.exit(main())
