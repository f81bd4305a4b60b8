"""Run the faults.

    python -m tests.faults --only 1,2,3 --broker redis --pool prefork --times 20
    python -m tests.faults --times 20 --rotate --jobs 3 --results runs.jsonl --logs logs
    python -m tests.faults --from runs.jsonl soak.jsonl --table docs/faults.md

Prints one line for each run; each is a process of its own. The workers' logs of a run that fails go to the folder of
--logs.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tests.faults.batch import plan, run_all
from tests.faults.brokers import BROKERS
from tests.faults.catalogue import cells
from tests.faults.pools import POOLS
from tests.faults.records import Record, append, read
from tests.faults.size import Size
from tests.faults.table import write_table

STANDARD: Final = Size()
LIMIT: Final = 1800.0
"""Seconds that a run may take."""


def main() -> int:
    """Run what was asked for; returns 1 when a run failed."""
    arguments = _arguments()
    if arguments.earlier:
        write_table(arguments.table or Path("/dev/stdout"), list(read(arguments.earlier)))
        return 0
    chosen = list(cells(_split(arguments.only), _split(arguments.broker), _split(arguments.pool)))
    if arguments.list:
        for cell in chosen:
            print(cell)
        return 0
    size = Size(**{name: getattr(arguments, name) for name in Size._fields})
    assignments = plan(
        chosen,
        arguments.times,
        arguments.seed,
        size,
        rotate=arguments.rotate,
        logs=_made(arguments.logs),
        system="celery" if arguments.celery else "celeriac",
    )
    earlier = list(read([arguments.results])) if arguments.results and arguments.resume else []
    known = {record.identity for record in earlier}
    progress = Progress(arguments, earlier, sum(each.identity not in known for each in assignments))
    signal.signal(signal.SIGTERM, _interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        run_all([each for each in assignments if each.identity not in known], arguments.jobs, arguments.limit, progress)
    print(f"{progress.failed} of {progress.count} runs failed", flush=True)
    return int(progress.failed > 0)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _made(folder: Path | None) -> Path | None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


class Progress:
    """Says what comes of the runs, and keeps it."""

    def __init__(self, arguments: argparse.Namespace, earlier: list[Record], total: int) -> None:
        self._arguments = arguments
        self._records = earlier
        self._total = total
        self._passed: Counter[tuple[str, str]] = Counter()
        self._ran: Counter[tuple[str, str]] = Counter()
        self.count = self.failed = 0

    def __call__(self, record: Record) -> None:
        """One more is over."""
        self.count += 1
        self.failed += bool(record.problems)
        row = record.fault, record.broker
        self._ran[row] += 1
        self._passed[row] += record.passed
        self._records.append(record)
        if self._arguments.results:
            append(self._arguments.results, record)
        print(
            f"[{self.count}/{self._total}, {self.failed} failed] {record}, "
            f"{self._passed[row]} of {self._ran[row]} passed",
            flush=True,
        )
        if self._arguments.table:
            write_table(self._arguments.table, self._records)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", default="", metavar="FAULT[,..]", help="numbers of the plan; all by default")
    add("--broker", default="", help=f"of {', '.join(BROKERS)}, sentinel, cluster, rabbitmq-cluster; all by default")
    add("--pool", default="", help=f"of {', '.join(POOLS)}; all by default")
    add("--times", type=int, default=1, help="runs of each cell")
    add("--rotate", action="store_true", help="run number i of a fault on a broker has pool i, not each all pools")
    add("--jobs", type=int, default=1, help="runs at the same time")
    add("--limit", type=float, default=LIMIT, help="seconds that a run may take")
    add("--seed", type=int, default=1, help="of the first run; each further one adds 1")
    add("--tasks", type=int, default=STANDARD.tasks, help="of the load")
    add("--longest", type=float, default=STANDARD.longest, help="seconds that a fault lasts at most")
    add("--patience", type=float, default=STANDARD.patience, help="factor of all bounds in seconds")
    add("--count", dest="messages", type=int, default=STANDARD.messages, help="messages that are wrong")
    add("--flood", type=int, default=STANDARD.flood, help="tasks that are due at the same time")
    add("--cycles", type=int, default=STANDARD.cycles, help="of workers that end, in `cycles`")
    add("--restarts", type=int, default=STANDARD.restarts, help="of workers, in `rolling`")
    add("--queue-type", choices=("quorum", "classic"), default=STANDARD.queue_type, help="of RabbitMQ's queues")
    add("--results", type=Path, metavar="FILE", help="add a line of JSON for each run")
    add("--resume", action="store_true", help="leave out the runs that are in that file")
    add("--logs", type=Path, metavar="FOLDER", help="for the logs of runs that fail")
    add("--table", type=Path, metavar="PAGE", help="write the table of all cells there")
    add("--from", dest="earlier", type=Path, nargs="+", metavar="FILE", help="run nothing: the table of these results")
    add("--celery", action="store_true", help="point it at real Celery")
    add("--list", action="store_true", help="show what would run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
