"""Masters die, fall silent and change, slots move, nodes are lost (faults 30-32)."""

from __future__ import annotations

import threading
import time

from celeriac.stores.redis.slots import DEFAULT_PREFIX, slot_of
from tests.deployments import Cluster, Sentinels
from tests.faults.catalogue import fault
from tests.faults.groups_of_servers import Group
from tests.faults.judging import RECOVERY
from tests.faults.rabbit import Rabbit
from tests.faults.run import Run
from tests.faults.witness import Dropped, Witness
from tests.rabbitmq import RabbitServer

RESUMED = 2.0
"""Seconds after another server has taken over within which work goes on."""
MAJORITY_GAP = 10.0
"""Seconds that a lost node of three may interrupt work."""
SLOT = slot_of(DEFAULT_PREFIX)
REPLICATED = {"options": "&wait_replicas=1"}
WHY_SENTINEL = "it is about Redis Sentinel"
WHY_CLUSTER = "it is about Redis Cluster"


def _sentinels(run: Run) -> Sentinels:
    assert isinstance(run.broker, Group)
    assert isinstance(run.broker.deployment, Sentinels)
    return run.broker.deployment


def _cluster(run: Run) -> Cluster:
    assert isinstance(run.broker, Group)
    assert isinstance(run.broker.deployment, Cluster)
    return run.broker.deployment


def _master_dies(run: Run) -> None:
    deployment = _sentinels(run)
    for _ in range(2):
        run.worker()
    run.load()
    run.wait_under_way()
    old = deployment.master()
    with run.fault("the master dies"):
        old.kill()
        deployment.wait_for_another(old)
    run.recover(within=RESUMED)
    old.start()


@fault("30a", "Sentinel: the master dies; replicas had confirmed", brokers=("sentinel",), otherwise=WHY_SENTINEL,
       server=REPLICATED)  # fmt: skip
def master_lost_confirmed(run: Run) -> None:
    _master_dies(run)
    run.judge(repeated=3 * run.in_flight, explained=False, voice="lost the connection|is lost|cannot reach")


@fault("30b", "Sentinel: the master dies; nobody else had confirmed", brokers=("sentinel",), pools=("prefork",),
       otherwise=WHY_SENTINEL, compared=True)  # fmt: skip
def master_lost(run: Run) -> None:
    """What the master alone had is lost with it, and counted: at most what was sent in a second."""
    _master_dies(run)
    run.judge(lost=120, repeated=None, voice="lost the connection|is lost|cannot reach", residue=False)


@fault("30c", "Sentinel: the master falls silent, and wakes as a replica", brokers=("sentinel",),
       otherwise=WHY_SENTINEL, server=REPLICATED)  # fmt: skip
def master_silent(run: Run) -> None:
    deployment = _sentinels(run)
    for _ in range(2):
        run.worker()
    run.load()
    run.wait_under_way()
    old = deployment.master()
    with run.fault("the master is silent"):
        old.freeze()
        deployment.wait_for_another(old)
    run.recover(within=RESUMED)
    with run.fault("the old master wakes"):
        old.thaw()
    run.recover(within=RESUMED)
    run.judge(repeated=3 * run.in_flight, explained=False)


@fault("30d", "Sentinel: the master is changed in peace; all replicas had confirmed", brokers=("sentinel",),
       pools=("prefork",), otherwise=WHY_SENTINEL, server={"options": "&wait_replicas=2"})  # fmt: skip
def master_changed(run: Run) -> None:
    """Nothing is lost, though the old master answers for a while after another one has been promoted.

    One replica is not enough for that: the other one still follows the old master, and confirms what is then dropped.
    What the old master alone has settled is run again.
    """
    dropped = _master_changes(run)
    run.verdict.expect(not dropped.messages, f"the store lost {len(dropped.messages)} that all replicas had", "I1")
    run.end_load()
    run.verdict.expect_soon(lambda: not _without_success(run), run.within(30.0), "what was dropped is done again")
    run.judge(repeated=len(dropped.results) + 3 * run.in_flight, explained=False)


@fault("30e", "Sentinel: the master is changed in peace; nobody else had confirmed", brokers=("sentinel",),
       pools=("prefork",), otherwise=WHY_SENTINEL)  # fmt: skip
def master_changed_unconfirmed(run: Run) -> None:
    """What the old master took and dropped is counted, and nothing else is missing."""
    dropped = _master_changes(run)
    run.end_load()
    excused = dropped.messages
    run.verdict.expect_soon(lambda: _without_success(run) <= excused, run.within(30.0), "the rest is done")
    run.judge(lost=len(excused), repeated=len(dropped.results) + 3 * run.in_flight, explained=False)
    lost = run.ledger.lost() - excused
    run.verdict.expect(not lost, f"{len(lost)} lost that the store has not dropped: {sorted(lost)[:3]}", "I1")


def _master_changes(run: Run) -> Dropped:
    """Change the master under load; returns what the old one carried out and the new one never got."""
    deployment = _sentinels(run)
    for _ in range(2):
        run.worker()
    run.load()
    run.wait_under_way()
    witness = Witness(deployment.master())
    with run.fault("another master"):
        new = deployment.fail_over()
    run.recover(within=RESUMED)
    run.ledger.ended()  # reads on: who has been confirmed until now
    dropped = witness.missing_in(new, set(run.ledger.confirmed))
    run.verdict.note(messages_dropped_by_the_store=len(dropped.messages), results_dropped=len(dropped.results))
    return dropped


def _without_success(run: Run) -> set[str]:
    """Confirmed tasks that have no result of success."""
    found = run.documents(sorted(run.ledger.confirmed))
    return {each for each, document in found.items() if document is None or document["status"] != "SUCCESS"}


@fault("31a", "Cluster: the slot of a queue moves while it is used", brokers=("cluster",), otherwise=WHY_CLUSTER)
def reshard(run: Run) -> None:
    """MOVED and ASK are followed, and no command needs two slots."""
    deployment = _cluster(run)
    for _ in range(2):
        run.worker()
    run.load()
    run.wait_under_way()
    for _ in range(3):
        owner = deployment.owner(SLOT)
        target = next(node for node in deployment.masters() if node is not owner)
        with run.fault("the slot moves"):
            halfway = threading.Event()
            deployment.move(SLOT, target, between=lambda halfway=halfway: halfway.wait(0.3))  # type: ignore[misc]
        run.recover(within=RESUMED)
    run.judge(repeated=0)
    _expect_one_slot(run)


@fault("31b", "Cluster: the node that has the queue dies", brokers=("cluster",), otherwise=WHY_CLUSTER,
       server={"options": "?wait_replicas=1"})  # fmt: skip
def node_lost(run: Run) -> None:
    _node_fails(run, frozen=False)


@fault("31c", "Cluster: the node that has the queue falls silent", brokers=("cluster",), pools=("prefork",),
       otherwise=WHY_CLUSTER, server={"options": "?wait_replicas=1"})  # fmt: skip
def node_silent(run: Run) -> None:
    _node_fails(run, frozen=True)


@fault("31d", "Cluster: redis-cli reshards while it is used, then the node that got the queue dies",
       brokers=("cluster",), pools=("prefork",), otherwise=WHY_CLUSTER,
       server={"options": "?wait_replicas=1"})  # fmt: skip
def reshard_and_loss(run: Run) -> None:
    """Nothing is repeated by the first, nothing is lost by either, and work goes on within seconds of each."""
    deployment = _cluster(run)
    for _ in range(2):
        run.worker()
    run.load()
    run.wait_under_way()
    old = deployment.owner(SLOT)
    target = next(node for node in deployment.masters() if node is not old)
    with run.fault("the slots move"):
        moved = deployment.reshard(SLOT, target)
    run.recover(within=RECOVERY)
    run.verdict.note(slots_moved=moved)
    run.verdict.expect(deployment.owner(SLOT) is target, "the queue's slot has not moved")
    again = run.ledger.repeated()
    run.verdict.expect(not again, f"{len(again)} repeated by the reshard", "I3")
    _expect_one_slot(run)
    with run.fault("the node fails"):
        target.kill()
        deployment.wait_for_another(SLOT, target)
    run.recover(within=RECOVERY)
    target.start()
    run.judge(repeated=3 * run.in_flight, explained=False, voice="lost the connection|is lost|cannot reach")


def _expect_one_slot(run: Run) -> None:
    crossing = [line for line in run.logs().splitlines() if "CROSSSLOT" in line]
    run.verdict.expect(not crossing, f"keys in several slots: {crossing[:1]}")


def _node_fails(run: Run, frozen: bool) -> None:
    deployment = _cluster(run)
    for _ in range(2):
        run.worker()
    run.load()
    run.wait_under_way()
    old = deployment.owner(SLOT)
    with run.fault("the node fails"):
        old.freeze() if frozen else old.kill()
        deployment.wait_for_another(SLOT, old)
    run.recover(within=RESUMED)
    old.thaw() if frozen else old.start()
    run.judge(repeated=3 * run.in_flight, explained=False, voice="lost the connection|is lost|cannot reach")


@fault(32, "RabbitMQ: one of three nodes, then the leader, then two are lost", brokers=("rabbitmq-cluster",),
       pools=("prefork",), otherwise="it is about quorum queues")  # fmt: skip
def quorum(run: Run) -> None:
    broker = run.broker
    assert isinstance(broker, Rabbit)
    for _ in range(2):
        run.worker()
    run.load()
    run.wait_under_way()
    for which in ("a follower", "the leader"):
        leader = _leader(broker)
        node = next(each for each in broker.nodes if (each is leader) == (which == "the leader"))
        with run.fault(f"{which} dies"):
            node.kill()
        run.recover(within=MAJORITY_GAP)
        node.start()
        run.recover(within=MAJORITY_GAP)
    with run.fault("two of three die"):
        for node in broker.nodes[1:]:
            node.kill()
        time.sleep(run.lasting(8.0))
        for node in broker.nodes[1:]:
            node.launch()
        for node in broker.nodes[1:]:
            node.wait_until_ready()
    run.recover(within=MAJORITY_GAP)
    run.judge(repeated=None, patience=120, resources=False, voice="lost the connection|is lost|cannot reach")


def _leader(broker: Rabbit) -> RabbitServer:
    """The node that leads the queue."""
    rows = [line.split("\t") for line in broker.alive.ctl("list_queues", "name", "leader").splitlines()]
    name = next(row[1] for row in rows if row[0] == "celery")
    return next(node for node in broker.nodes if node.node == name)
