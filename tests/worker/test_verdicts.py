"""Under which identity a settlement is recorded, where messages and results are in two places."""

from __future__ import annotations

import pytest

from celeriac import Celeriac, envelope
from celeriac.message import Message
from celeriac.pools.pool import Kind, Outcome
from celeriac.stores.store import Delivery, Disposition, Outgoing, Settlement
from celeriac.worker.documents import Documents
from celeriac.worker.request import Request
from celeriac.worker.traits import Traits
from celeriac.worker.verdicts import Verdicts

NEXT = Outgoing("work", b"next")


@pytest.fixture
def app() -> Celeriac:
    app = Celeriac("verdicts", broker="memory://verdicts")

    @app.task(name="noop")
    def noop() -> None: ...

    return app


def payload() -> bytes:
    return envelope.encode(Message({"task": "noop", "id": "a"}, {"priority": 3}, b"[[], {}, {}]"), "", "work")


def settled(app: Celeriac, payload: bytes, kind: Kind, *follow_ups: Outgoing, late: bool = True) -> Settlement:
    head = envelope.read_head(payload)
    assert head is not None
    request = Request(Delivery(b"claim", "work", payload), head, Traits(app.tasks["noop"], False), late, None, None)
    request.acknowledged = not late
    outcome = Outcome(1, kind, follow_ups=list(follow_ups))
    return Verdicts(app.settings, Documents(app.settings)).of_outcome(request, outcome)


@pytest.mark.parametrize("kind", [Kind.SUCCESS, Kind.FAILURE, Kind.RETRY, Kind.IGNORE])
@pytest.mark.parametrize("late", [True, False])
def test_a_settlement_with_follow_ups_has_the_identity_of_its_message(app: Celeriac, kind: Kind, late: bool) -> None:
    message = payload()
    settlement = settled(app, message, kind, NEXT, late=late)
    assert settlement.follow_ups == [NEXT]
    assert settlement.identity == envelope.identity_of(message) != ""


def test_every_message_of_a_call_has_an_identity_of_its_own(app: Celeriac) -> None:
    identities = {settled(app, payload(), Kind.SUCCESS, NEXT).identity for _ in range(3)}
    assert len(identities) == 3


def test_without_follow_ups_nobody_asks_for_an_identity(app: Celeriac) -> None:
    assert settled(app, payload(), Kind.SUCCESS).identity == ""


def test_a_dead_letter_has_another_identity_than_its_replay(app: Celeriac) -> None:
    message = payload()
    died = settled(app, message, Kind.REJECT, NEXT)
    assert died.disposition is Disposition.DEAD_LETTER
    replayed = settled(app, message, Kind.SUCCESS, NEXT)
    assert "" not in (died.identity, replayed.identity)
    assert died.identity != replayed.identity


def test_a_task_that_rejects_itself_back_comes_with_another_identity(app: Celeriac) -> None:
    message = payload()
    rejected = settled(app, message, Kind.REQUEUE)
    (again,) = rejected.follow_ups
    assert (again.queue, again.priority) == ("work", 3)
    assert rejected.identity == envelope.identity_of(message)
    assert envelope.identity_of(again.payload) not in ("", rejected.identity)
    before, after = envelope.decode(message), envelope.decode(again.payload)
    assert ({**before.headers, "redelivered": True}, before.body) == (after.headers, after.body)
