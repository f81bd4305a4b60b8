"""kill -9 of children and of whole workers under load (FAULTS 1, 2, 3, 6).

Run it long by hand:

    python -m tests.faults.kills --broker sqlite --seconds 180
"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from typing import Final

import psutil

from tests.apps import ledger as ledger_app
from tests.faults.processes import WorkerProcess, wait_until
from tests.faults.scenario import Place, Producer, Verdict, by_hand

__all__ = ["kill_children_and_workers", "poison_beside_work"]

RATE: Final = 200.0
"""Tasks a second that are sent."""
TASK: Final = 0.02
"""Seconds that each takes."""
CHILDREN: Final = "8"
KEPT: Final = 0.8
"""Share of the rate that has to stay."""
DELIVERIES: Final = 4
"""Runs of a task that always kills its child: the first, and task_delivery_limit = 3 more."""


def kill_children_and_workers(
    place: Place,
    seconds: float,
    seed: int = 1,
    child_every: float = 1.0,
    worker_every: float = 10.0,
    kept: float = KEPT,
) -> Verdict:
    """A random child is killed each second and the whole worker each ten, and one task always kills its child.

    Args:
        kept: share of what was sent that has to be done when the last is sent: the others keep their rate.
    """
    verdict, chance, ledger = Verdict(f"kills on {place.broker}"), random.Random(seed), place.ledger
    worker = place.worker("-c", CHILDREN)
    killed: set[int] = set()
    repaired = place.folder / "repaired"
    poison = ledger_app.poison_unless.delay(str(repaired)).id
    ledger.attempted.add(poison)
    producer = Producer(ledger, seconds, RATE, TASK)
    producer.start()
    start = time.monotonic()
    next_child, next_worker = start + child_every, start + worker_every
    children = workers = 0
    while producer.is_alive():
        time.sleep(0.02)
        now = time.monotonic()
        if now >= next_worker:
            next_worker, workers = next_worker + worker_every, workers + 1
            killed.update(process.pid for process in worker.tree())
            worker.kill()
            worker = place.worker("-c", CHILDREN, ready=False)
        elif now >= next_child:
            next_child += child_every
            children += _kill_child(worker, chance, killed)
    share = len(ledger.ids("end")) / max(1, len(ledger.confirmed))
    wait_until(lambda: bool(place.dead()), 60, "the poison is a dead letter")
    verdict.note(killed_children=children, killed_workers=workers, kept=share)
    verdict.expect(share >= kept, f"only {share:.2f} of what was sent was done in time")
    _judge_poison(place, verdict, poison, killed, repaired)
    place.judge(verdict)
    verdict.expect(not (unexplained := _unexplained(place, killed, poison)), f"repeated without a kill: {unexplained}")
    return verdict


def _kill_child(worker: WorkerProcess, chance: random.Random, killed: set[int]) -> int:
    children = worker.children()
    if not children:
        return 0
    child = chance.choice(children)
    killed.add(child.pid)
    with contextlib.suppress(psutil.NoSuchProcess):
        child.send_signal(signal.SIGKILL)
    return 1


def _unexplained(place: Place, killed: set[int], poison: str) -> list[str]:
    """Tasks that ran again though the process that ran them before was not killed."""
    runs: dict[str, list[int]] = {}
    for event in place.ledger.events("start"):
        runs.setdefault(event.task_id, []).append(event.pid)
    return [task for task, pids in runs.items() if task != poison and not set(pids[:-1]) <= killed]


def _judge_poison(place: Place, verdict: Verdict, poison: str, killed: set[int], repaired: object) -> None:
    """It ran as often as the limit says, then it is a dead letter, and after the repair it is replayed."""
    starts = [event.pid for event in place.ledger.of(poison, "start")]
    # A worker or child that was killed from outside while the poison waited in it may have spent a delivery.
    outside = len(killed.intersection(starts))
    verdict.note(poison_starts=len(starts))
    verdict.expect(1 <= len(starts) <= DELIVERIES + outside, f"the poison ran {len(starts)} times")
    dead = place.dead()
    verdict.expect(len(dead) == 1, f"{len(dead)} dead letters")
    verdict.expect(not place.ledger.of(poison, "end"), "the poison ended before the repair")
    assert hasattr(repaired, "touch")
    repaired.touch()
    letters = [letter.id for letter in dead]
    command = [sys.executable, "-m", "celeriac", "-A", "tests.apps.ledger", "dead", "replay", *letters]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    verdict.expect(done.returncode == 0, f"dead replay said {done.stdout}{done.stderr}")
    wait_until(lambda: bool(place.ledger.of(poison, "end")), 30, "the replayed poison ends")
    verdict.expect(not place.dead(), "a dead letter is left after the replay")


def poison_beside_work(place: Place, seconds: float, kept: float = KEPT, poisons: int = 4) -> Verdict:
    """Tasks that always kill their child cost the others at most a fifth of their rate; compared round by round."""
    verdict = Verdict(f"poison on {place.broker}")
    place.worker("-c", CHILDREN)
    tasks = max(100, int(seconds * RATE / 4))
    shares = []
    for _ in range(2):
        shares.append(_drain(place, tasks, 0) / _drain(place, tasks, poisons))
    share = max(shares)  # a noisy neighbour only ever lowers it
    verdict.note(kept=share, rounds=[round(each, 2) for each in shares])
    verdict.expect(share >= kept, f"only {share:.2f} of the rate beside poison")
    wait_until(lambda: len(place.dead()) == 2 * poisons, 30, "all poison is dead letters")
    place.judge(verdict, repeated=2 * poisons)
    return verdict


def _drain(place: Place, tasks: int, poisons: int) -> float:
    """Seconds from the first start to the last end of a round."""
    ids = []
    for number in range(tasks):
        if poisons and number % (tasks // poisons) == 0:
            place.ledger.attempted.add(ledger_app.poison.delay().id)
        ids.append(ledger_app.work.delay(TASK).id)
    place.ledger.confirmed.update(ids)
    wait_until(lambda: not place.ledger.lost(), 60, "a round is done")
    mine = set(ids)
    times = [event.at for event in place.ledger.events() if event.task_id in mine]
    return max(times) - min(times)


if __name__ == "__main__":
    by_hand(__doc__, {"kills": kill_children_and_workers, "poison": poison_beside_work})
