"""Tasks and countdowns that are much longer than RabbitMQ waits for an acknowledgement.

    python -m tests.faults.consumer_timeout --limit 60 --task 300

The server's ``consumer_timeout`` is ``--limit`` seconds, as in the settings of the app; two workers are given tasks
that run for ``--task`` seconds and others that are due in ``--task`` seconds, beside a load of short ones. All of them
must end, none may start twice, no worker may end, and what was due must start soon.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.faults.brokers import broker
from tests.faults.catalogue import Cell, Fault
from tests.faults.processes import wait_until
from tests.faults.run import Run, run_scenario
from tests.faults.size import Size
from tests.faults.systems import CELERIAC
from tests.faults.verdict import Verdict

__all__ = ["outlast"]

CONCURRENCY: Final = "6"
"""Of each of the two workers, so that there is room for short tasks beside the long ones."""
RATE: Final = 10.0
"""Short tasks a second."""
LATE: Final = 2.0
"""Seconds after which what is due must have started."""
MARGIN: Final = 60.0
"""Seconds besides, for all of it to end."""


def outlast(run: Run, seconds: float, count: int) -> None:
    """The scenario: ``count`` tasks of so many seconds, and ``count`` short ones that are due then."""
    workers = [run.worker("-c", CONCURRENCY) for _ in range(2)]
    run.load(rate=RATE)
    run.wait_ended(10)
    due: dict[str, float] = {}
    with run.fault("tasks longer than the time-out"):
        long = [run.client_beside.send(run.pool.task, seconds) for _ in range(count)]
        for _ in range(count):
            sent = time.monotonic()
            due[run.client_beside.send(run.pool.task, 0.01, countdown=seconds)] = sent + seconds
        wanted = {*long, *due}
        wait_until(lambda: wanted <= set(run.ledger.ids("end")), seconds + run.within(MARGIN), "the long ones are done")
    run.recover()
    starts = run.ledger.ids("start")
    late = max(event.at - due[event.task_id] for event in run.ledger.events("start") if event.task_id in due)
    exits = [worker.process.returncode for worker in workers if worker.process.poll() is not None]
    run.verdict.note(long=len(long), due=len(due), latest=late, starts=sum(starts[each] for each in wanted))
    run.verdict.expect(not exits, f"workers ended with {exits}")
    run.verdict.expect(late <= run.within(LATE), f"what was due started {late:.1f} s late")
    run.judge(repeated=0)


def main() -> int:
    """Run it by hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=60, help="seconds of consumer_timeout; the server looks each 60")
    parser.add_argument("--task", type=float, default=300.0, help="seconds of a task, and until others are due")
    parser.add_argument("--count", type=int, default=8, help="of both kinds")
    parser.add_argument("--pool", default="prefork")
    parser.add_argument("--queue-type", default="quorum", choices=("quorum", "classic"))
    arguments = parser.parse_args()
    verdict = _measured(arguments)
    print(verdict, flush=True)
    return int(not verdict.passed)


def _measured(arguments: argparse.Namespace) -> Verdict:
    def outlasting(run: Run) -> None:
        outlast(run, arguments.task, arguments.count)

    fault = Fault(
        "33+",
        "tasks and countdowns longer than consumer_timeout",
        outlasting,
        settings={"broker_transport_options": {"consumer_timeout": arguments.limit}},
    )
    server = {"queue_type": arguments.queue_type, "consumer_timeout": arguments.limit * 1000}
    with (
        tempfile.TemporaryDirectory(prefix="celeriac-timeout-") as place,
        broker("rabbitmq", Path(place), **server) as made,
    ):
        run = Run(Cell(fault, "rabbitmq", arguments.pool), made, Path(place), Size(tasks=0), CELERIAC, 1)
        return run_scenario(run, told=lambda text: print(text, file=sys.stderr))


if __name__ == "__main__":
    sys.exit(main())
