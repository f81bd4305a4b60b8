"""The simulated broker tells its ledger of all that takes effect."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from celeriac import envelope
from celeriac.message import Message
from celeriac.stores.store import ChordPart, Disposition, Effects, Outgoing, ResultRecord, Settlement
from celeriac.testing.broker import Backend, Broker
from celeriac.testing.ledger import Ledger
from celeriac.testing.network import Network
from celeriac.testing.world import EPOCH, World


def made(kind: type[Broker]) -> Any:
    world = World(1)
    ledger = Ledger(world, EPOCH)
    return kind(world, Network(world.random, 0.0, 0.0), ledger, 5.0)


def message(name: str) -> Outgoing:
    headers = {"task": "member", "id": name}
    return Outgoing("work", envelope.encode(Message(headers, {}, b"[[], {}, {}]"), "", "work"))


def test_the_completion_of_a_chord_follows_from_its_last_member():
    broker = made(Broker)
    client: Any = SimpleNamespace(worker="w1", holder=broker.connect())
    broker.publish([message("a"), message("b")])
    end = message("end")
    deliveries = broker.state.claim(client.holder, ["work"], 2).deliveries
    broker.ledger.delivered("w1", deliveries, 5.0)
    for index, delivery in enumerate(deliveries):
        part = ChordPart("g", index, str(index), 2, b"%d" % index, end)
        broker.settle(client, [Settlement(delivery.claim, effects=Effects(parts=[part]))], ["work"], 5)
    last = broker.ledger.of(deliveries[1].payload)
    assert broker.ledger.of(end.payload).parent is last
    assert [claim.worker for claim in broker.ledger.of(end.payload).claims] == ["w1"]


def test_a_completion_without_a_claim_follows_from_nothing_that_is_known():
    broker = made(Broker)
    client: Any = SimpleNamespace(worker="w1", holder=broker.connect())
    end = message("end")
    part = ChordPart("g", 0, "0", 1, b"0", end)
    broker.settle(client, [Settlement(b"", Disposition.NONE, effects=Effects(parts=[part]))], [], 0)
    assert broker.ledger.of(end.payload).parent is None


def test_results_of_tasks_that_never_run_are_seen():
    failed = ResultRecord("x", b'{"status": "FAILURE"}', "FAILURE")
    settlement = Settlement(b"", Disposition.NONE, effects=Effects(results=[failed]))
    for kind, settle in ((Broker, "settle"), (Backend, "settle"), (Backend, "record")):
        broker = made(kind)
        client: Any = SimpleNamespace(worker="w1", holder=broker.connect())
        if settle == "settle":
            broker.settle(client, [settlement], [], 0)
        else:
            broker.record([settlement], [])
        assert broker.ledger.states == {"x": "FAILURE"}
