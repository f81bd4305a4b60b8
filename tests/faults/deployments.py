"""Masters die, freeze and change, slots move, while workers run on Sentinel and on Cluster (FAULTS 30 and 31).

Run it by hand:

    python -m tests.faults.deployments --seconds 30
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from celeriac.exceptions import CeleriacError, NotReplicated
from celeriac.ids import new_task_id
from celeriac.stores.redis.slots import DEFAULT_PREFIX, slot_of
from tests.apps import ledger as ledger_app
from tests.deployments import Cluster, Sentinels, redis_cluster, redis_sentinels
from tests.faults.processes import wait_until
from tests.faults.restarts import Gaps
from tests.faults.scenario import Place, Producer, Verdict

__all__ = ["frozen_master", "lost_master", "lost_node", "new_master", "place_on", "reshard"]

RATE: Final = 100.0
TASK: Final = 0.02
CHILDREN: Final = "4"
SLOT: Final = slot_of(DEFAULT_PREFIX)
RESUMED: Final = 5.0
"""Seconds within which work goes on once another server has taken over."""


@contextmanager
def place_on(url: str, folder: Path, **settings: str) -> Iterator[Place]:
    """A place whose messages and results are in a deployment."""
    environment = {"CELERIAC_BROKER_URL": url, "CELERIAC_RESULT_BACKEND": url, "LEDGER": str(folder / "ledger")}
    environment |= {f"CELERIAC_{name.upper()}": value for name, value in settings.items()}
    made = Place("redis", folder, {}, None)
    with made.also(environment):
        made.app.connections.close()
        try:
            yield made
        finally:
            made.end()
            made.app.connections.close()


class CarefulProducer(Producer):
    """Counts as confirmed only what the replicas have, and says how many they did not confirm."""

    unconfirmed = 0

    def send(self) -> None:
        task_id = new_task_id()
        self._ledger.attempted.add(task_id)
        begun = time.monotonic()
        try:
            ledger_app.work.apply_async((self._task,), task_id=task_id)
        except NotReplicated:
            self.unconfirmed += 1
        except CeleriacError:
            self.refused += 1
        else:
            self._ledger.confirmed.add(task_id)
        self.slowest = max(self.slowest, time.monotonic() - begun)


def _under_load(place: Place, seconds: float, fault: Callable[[Gaps], None], verdict: Verdict) -> CarefulProducer:
    """Two workers and a producer; the fault happens in the middle."""
    for _ in range(2):
        place.worker("-c", CHILDREN)
    producer = CarefulProducer(place.ledger, seconds, RATE, TASK)
    producer.start()
    wait_until(lambda: len(place.ledger.events("end")) > RATE, 20, "work is under way")
    gaps = Gaps(place)
    fault(gaps)
    producer.join()
    gaps.judge(verdict, {"": RESUMED})
    verdict.note(refused=producer.refused, unconfirmed=producer.unconfirmed, slowest_call=producer.slowest)
    return producer


def new_master(place: Place, sentinels: Sentinels, seconds: float, confirmed: bool) -> Verdict:
    """The sentinels change the master in peace: the old one goes on to take what is lost then, for about a second."""
    verdict = Verdict(f"master changed in peace, {'confirmed by all replicas' if confirmed else 'unconfirmed'}")

    def fault(gaps: Gaps) -> None:
        sentinels.fail_over()
        gaps.measure("the new master")

    _under_load(place, seconds, fault, verdict)
    return _judge_loss(place, verdict, may_lose=not confirmed)


def lost_master(place: Place, sentinels: Sentinels, seconds: float, confirmed: bool) -> Verdict:
    """kill -9 of the master; what it had confirmed alone is lost with it, and reported."""
    verdict = Verdict(f"master lost, {'confirmed by replicas' if confirmed else 'confirmed by the master alone'}")

    def fault(gaps: Gaps) -> None:
        old = sentinels.master()
        begun = time.monotonic()
        old.kill()
        sentinels.wait_for_another(old)
        verdict.note(failed_over_after=time.monotonic() - begun)
        gaps.measure("the new master")
        old.start()

    _under_load(place, seconds, fault, verdict)
    return _judge_loss(place, verdict, may_lose=not confirmed)


def frozen_master(place: Place, sentinels: Sentinels, seconds: float) -> Verdict:
    """The master falls silent with all connections standing, and wakes as what it is no longer."""
    verdict = Verdict("master silent")

    def fault(gaps: Gaps) -> None:
        old = sentinels.master()
        old.freeze()
        try:
            sentinels.wait_for_another(old)
            gaps.measure("the new master")
        finally:
            old.thaw()
        gaps.measure("the old one woke")

    _under_load(place, seconds, fault, verdict)
    return _judge_loss(place, verdict, may_lose=False)


def lost_node(place: Place, cluster: Cluster, seconds: float, frozen: bool = False) -> Verdict:
    """The node that has the slot dies or falls silent, and its replica takes over."""
    verdict = Verdict(f"node of a cluster {'silent' if frozen else 'lost'}")

    def fault(gaps: Gaps) -> None:
        old = cluster.owner(SLOT)
        begun = time.monotonic()
        old.freeze() if frozen else old.kill()
        try:
            cluster.wait_for_another(SLOT, old)
            verdict.note(failed_over_after=time.monotonic() - begun)
            gaps.measure("the new node")
        finally:
            old.thaw() if frozen else old.start()

    _under_load(place, seconds, fault, verdict)
    return _judge_loss(place, verdict, may_lose=False)


def reshard(place: Place, cluster: Cluster, seconds: float) -> Verdict:
    """Slots move between the nodes by ``redis-cli --cluster reshard`` and key by key, again and again."""
    verdict = Verdict("reshard while running")
    moves = 0

    def fault(gaps: Gaps) -> None:
        nonlocal moves
        owner = cluster.owner(SLOT)
        verdict.note(resharded=cluster.reshard(SLOT, next(node for node in cluster.masters() if node is not owner)))
        gaps.measure("redis-cli")
        end = time.monotonic() + seconds / 2
        while time.monotonic() < end:
            owner = cluster.owner(SLOT)
            target = next(node for node in cluster.masters() if node is not owner)
            halfway = threading.Event()
            cluster.move(SLOT, target, between=lambda: halfway.wait(0.3))  # noqa: B023 - called within this turn
            moves += 1
            gaps.measure("a move")

    _under_load(place, seconds, fault, verdict)
    verdict.note(moves=moves)
    place.judge(verdict)
    crossing = [line for line in place.logs().splitlines() if "CROSSSLOT" in line]
    verdict.expect(not crossing, f"keys in several slots: {crossing[:2]}")
    return verdict


def _judge_loss(place: Place, verdict: Verdict, may_lose: bool) -> Verdict:
    """As :meth:`Place.judge`, but what the store lost itself is no fault of ours where it never promised more."""
    if not may_lose:
        place.judge(verdict)
        return verdict
    wait_until(place.settled, 60, "nothing is left in the broker")
    lost = place.ledger.lost()
    verdict.note(sent=len(place.ledger.confirmed), lost_by_the_store=len(lost), repeated=len(place.ledger.repeated()))
    verdict.expect(not place.ledger.ghosts(), "ended, but never sent")
    return verdict


def main() -> None:
    """All of them, one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    seconds = arguments.seconds
    replicated = "&wait_replicas=1"
    on_sentinels: dict[str, tuple[str, Callable[[Place, Any], Verdict]]] = {
        "new": ("", lambda place, made: new_master(place, made, seconds, confirmed=False)),
        "new-confirmed": ("&wait_replicas=2", lambda place, made: new_master(place, made, seconds, confirmed=True)),
        "lost": ("", lambda place, made: lost_master(place, made, seconds, confirmed=False)),
        "confirmed": (replicated, lambda place, made: lost_master(place, made, seconds, confirmed=True)),
        "silent": (replicated, lambda place, made: frozen_master(place, made, seconds)),
    }
    on_cluster: dict[str, tuple[str, Callable[[Place, Any], Verdict]]] = {
        "reshard": ("", lambda place, made: reshard(place, made, seconds)),
        "node": ("?wait_replicas=1", lambda place, made: lost_node(place, made, seconds)),
        "silent-node": ("?wait_replicas=1", lambda place, made: lost_node(place, made, seconds, frozen=True)),
    }
    for scenarios, start in ((on_sentinels, redis_sentinels), (on_cluster, redis_cluster)):
        for name, (options, scenario) in scenarios.items():
            if arguments.only not in ("", name):
                continue
            with (
                start() as made,
                tempfile.TemporaryDirectory() as folder,
                place_on(made.url + options, Path(folder)) as place,
            ):
                verdict = scenario(place, made)
                print(name, verdict, flush=True)
                if verdict.problems:
                    print(place.logs())


if __name__ == "__main__":
    main()
