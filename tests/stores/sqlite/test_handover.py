"""Handing over, one transaction after the other: to whom, and what becomes of it when it fails."""

from __future__ import annotations

import logging
from functools import partial

import pytest

from celeriac.exceptions import OperationalError
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import administration, claiming, control, handover, publishing, settling, waiters
from celeriac.stores.sqlite.claiming import Holder
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.handover import LARGEST, PENDING, first_batch
from celeriac.stores.sqlite.wakeup import DATAGRAM, Sending
from celeriac.stores.store import Delivery, Disposition, Outgoing, QueueCounts, Revocation, Settlement

from .clock import Clock
from .mail import Mail

LEASE = 10.0
HOLDER = "holder"
SOCKET = "socket"


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Mail:
    """Nothing is sent, everything is kept."""
    return Mail(monkeypatch)


def wait(
    file: StoreFile,
    socket: str = SOCKET,
    holder: str = HOLDER,
    queues: tuple[str, ...] = ("work",),
    room: int = 5,
    number: int = 1,
    alarm: float = 60.0,
) -> None:
    """Somebody waits."""
    file.run(
        lambda transaction: waiters.register(
            transaction, queues, socket, file.clock() + alarm, room, holder, LEASE, first_batch(number)
        ),
        1,
    )


def publish(file: StoreFile, *payloads: bytes, queue: str = "work", priority: int = 0) -> None:
    messages = [Outgoing(queue, payload, priority) for payload in payloads]
    file.run(partial(publishing.publish, messages=messages), 1)


def settle(file: StoreFile, claim: bytes, disposition: Disposition = Disposition.ACKNOWLEDGE) -> list[bytes]:
    settlements = [Settlement(claim, disposition)]
    return file.run(partial(settling.settle, options=StoreOptions(url=""), settlements=settlements), 1)


def take(file: StoreFile, limit: int = 10) -> list[Delivery]:
    holder = Holder(StoreOptions(url="", lease=LEASE))
    return file.run(partial(claiming.claim, holder=holder, queues=("work", "other"), limit=limit), 1)


def counts(file: StoreFile, queue: str = "work") -> QueueCounts:
    return file.read(partial(administration.counts, queue=queue), 1)


def test_a_lone_message_is_leased_to_who_waits_for_it(timed_file: StoreFile, mail: Mail, clock: Clock) -> None:
    wait(timed_file)
    publish(timed_file, b"a", priority=3)
    (handed,) = mail.handed
    assert mail.rung == []
    assert (handed.socket, handed.queue, handed.priority, handed.payload) == (SOCKET, "work", 3, b"a")
    assert handed.deadline == clock.now + LEASE
    assert counts(timed_file) == QueueCounts(in_flight=1)
    assert settle(timed_file, handed.claim) == []
    assert counts(timed_file) == QueueCounts()


def test_a_message_that_was_handed_over_and_never_came_back_is_a_loss(
    timed_file: StoreFile, mail: Mail, clock: Clock
) -> None:
    wait(timed_file)
    publish(timed_file, b"a")
    clock.now += LEASE + 1
    assert [(each.payload, each.losses) for each in take(timed_file)] == [(b"a", 1)]
    assert settle(timed_file, mail.handed[0].claim) == [mail.handed[0].claim]


def test_who_waits_for_another_queue_is_handed_nothing(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file, queues=("other",))
    publish(timed_file, b"a")
    assert mail.kept == []
    assert counts(timed_file).ready == 1


def test_several_messages_are_rung_for(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file)
    publish(timed_file, b"a", b"b")
    assert (mail.rung, mail.handed) == ([SOCKET], [])


def test_a_message_does_not_overtake_others_that_are_ready(timed_file: StoreFile, mail: Mail) -> None:
    publish(timed_file, b"a")
    wait(timed_file)
    publish(timed_file, b"b")
    assert (mail.rung, mail.handed) == ([SOCKET], [])
    assert [each.payload for each in take(timed_file)] == [b"a", b"b"]


def test_who_has_not_ended_one_message_is_rung_for_the_next(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file)
    for payload in (b"a", b"b"):
        publish(timed_file, payload)
    assert [each.payload for each in mail.handed] == [b"a"]
    assert mail.rung == [SOCKET]
    assert counts(timed_file) == QueueCounts(ready=1, in_flight=1)


def test_who_has_no_room_for_a_second_message_is_not_even_rung(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file, room=1)
    for payload in (b"a", b"b"):
        publish(timed_file, payload)
    assert [each.payload for each in mail.handed] == [b"a"]
    assert mail.rung == []


def test_the_next_message_goes_to_somebody_else(timed_file: StoreFile, mail: Mail) -> None:
    for number in range(3):
        wait(timed_file, socket=f"socket {number}", holder=f"holder {number}", room=1)
    for payload in (b"a", b"b", b"c"):
        publish(timed_file, payload)
    assert sorted(each.holder for each in mail.handed) == ["holder 0", "holder 1", "holder 2"]


@pytest.mark.parametrize("disposition", [Disposition.ACKNOWLEDGE, Disposition.DEAD_LETTER, Disposition.HOLD])
def test_who_has_ended_one_message_is_handed_the_next(
    timed_file: StoreFile, mail: Mail, disposition: Disposition
) -> None:
    wait(timed_file, room=1)
    publish(timed_file, b"a")
    settle(timed_file, mail.handed[0].claim, disposition)
    publish(timed_file, b"b")
    assert [each.payload for each in mail.handed] == [b"a", b"b"]


def test_no_two_handovers_share_a_claim(timed_file: StoreFile, mail: Mail) -> None:
    for number in range(1, 4):
        wait(timed_file, number=number)
        for _ in range(4):
            publish(timed_file, b"a")
            settle(timed_file, mail.handed[-1].claim)
    # The messages' ids are used again as soon as nothing is left.
    assert {each.id for each in mail.handed} == {1}
    assert len({each.claim for each in mail.handed}) == 12


def test_who_waits_for_several_queues_is_handed_one_message(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file, queues=("work", "other"), room=1)
    publish(timed_file, b"a")
    publish(timed_file, b"b", queue="other")
    assert [each.payload for each in mail.handed] == [b"a"]
    assert mail.rung == []
    settle(timed_file, mail.handed[0].claim)
    publish(timed_file, b"c")
    assert [each.payload for each in mail.handed] == [b"a", b"c"]
    assert len({each.claim for each in mail.handed}) == 2


def test_who_should_have_looked_by_now_is_handed_nothing(timed_file: StoreFile, mail: Mail, clock: Clock) -> None:
    wait(timed_file, alarm=5)
    clock.now += 6
    publish(timed_file, b"a")
    assert (mail.rung, mail.handed) == ([SOCKET], [])


def test_who_was_rung_and_has_not_looked_is_handed_nothing(timed_file: StoreFile, mail: Mail, clock: Clock) -> None:
    wait(timed_file)
    publish(timed_file, b"a", b"b")
    take(timed_file)
    publish(timed_file, b"c")
    assert (mail.rung, mail.handed) == ([SOCKET], [])
    take(timed_file)
    clock.now += PENDING + 1
    publish(timed_file, b"d")
    assert [each.payload for each in mail.handed] == [b"d"]


def test_who_only_wants_to_be_rung_is_rung(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file, room=0)
    publish(timed_file, b"a")
    assert (mail.rung, mail.handed) == ([SOCKET], [])


@pytest.mark.parametrize(("size", "handed"), [(LARGEST, 1), (LARGEST + 1, 0)])
def test_a_large_message_is_rung_for(timed_file: StoreFile, mail: Mail, size: int, handed: int) -> None:
    wait(timed_file)
    publish(timed_file, bytes(size))
    assert (len(mail.handed), len(mail.rung)) == (handed, 1 - handed)


def test_a_handover_tells_the_count_of_revocations(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file)
    publish(timed_file, b"a")
    settle(timed_file, mail.handed[0].claim)
    timed_file.run(partial(control.revoke, revoked=[Revocation("a"), Revocation("b")], lifetime=60), 1)
    publish(timed_file, b"b")
    assert [each.revocations for each in mail.handed] == [0, 2]


def test_what_follows_from_a_settlement_is_handed_over(timed_file: StoreFile, mail: Mail) -> None:
    publish(timed_file, b"first")
    (delivery,) = take(timed_file)
    wait(timed_file)
    settlement = Settlement(delivery.claim, follow_ups=[Outgoing("work", b"next")])
    timed_file.run(partial(settling.settle, options=StoreOptions(url=""), settlements=[settlement]), 1)
    assert [each.payload for each in mail.handed] == [b"next"]


@pytest.mark.parametrize("outcome", [Sending.FULL, Sending.GONE])
def test_a_message_whose_datagram_is_refused_gets_the_place_that_it_would_have_had(
    timed_file: StoreFile, mail: Mail, outcome: Sending
) -> None:
    wait(timed_file)
    mail.outcome = outcome
    publish(timed_file, b"a", priority=3)
    mail.outcome = Sending.SENT
    publish(timed_file, b"b", priority=3)
    publish(timed_file, b"c", priority=0)
    assert counts(timed_file) == QueueCounts(ready=3)
    assert [(each.payload, each.losses) for each in take(timed_file)] == [(b"c", 0), (b"a", 0), (b"b", 0)]


def test_somebody_else_is_woken_for_a_message_whose_datagram_is_refused(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file, socket="a full one", holder="a full one")
    wait(timed_file, socket="b", holder="b", room=0)
    mail.outcome = Sending.FULL
    publish(timed_file, b"a")
    assert [name for name, datagram in mail.kept if datagram == DATAGRAM] == ["b"]


def test_a_waiter_whose_socket_is_full_is_handed_nothing_until_it_has_looked(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file)
    mail.outcome = Sending.FULL
    publish(timed_file, b"a")
    take(timed_file)
    mail.outcome = Sending.SENT
    publish(timed_file, b"b")
    assert len(mail.handed) == 1
    take(timed_file)
    wait(timed_file, number=2)
    publish(timed_file, b"c")
    assert [each.payload for each in mail.handed] == [b"a", b"c"]


def test_a_waiter_that_is_gone_is_forgotten(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file)
    mail.outcome = Sending.GONE
    publish(timed_file, b"a")
    assert timed_file.read(waiters.registered, 1) == []


def test_an_error_after_the_commit_is_not_the_publishers(
    timed_file: StoreFile, mail: Mail, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("the disk is full, on purpose")

    wait(timed_file)
    mail.outcome = Sending.FULL
    monkeypatch.setattr(handover, "take_back", fail)
    with caplog.at_level(logging.WARNING):
        publish(timed_file, b"a")
    assert "on purpose" in caplog.text
    # It is where its holder finds it, or where it is found when the lease ends.
    assert counts(timed_file) == QueueCounts(in_flight=1)


def take_back(file: StoreFile, mail: Mail) -> None:
    file.run(partial(handover.take_back, refused=mail.handed), 1)


def leave(file: StoreFile, arrived: int) -> None:
    file.run(partial(waiters.pass_on, holder=HOLDER, socket=SOCKET, arrived=arrived), 1)


def test_what_has_not_arrived_when_a_registration_ends_is_given_back(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file)
    publish(timed_file, b"a")
    publish(timed_file, b"b")
    leave(timed_file, 0)
    assert counts(timed_file) == QueueCounts(ready=2)
    assert [(each.payload, each.losses) for each in take(timed_file)] == [(b"a", 0), (b"b", 0)]


def test_what_has_arrived_when_a_registration_ends_is_kept(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file)
    publish(timed_file, b"a")
    leave(timed_file, mail.handed[0].batch)
    assert counts(timed_file) == QueueCounts(in_flight=1)
    assert settle(timed_file, mail.handed[0].claim) == []


@pytest.mark.parametrize("publisher_first", [True, False])
def test_a_publisher_that_was_refused_and_a_holder_that_looked_give_a_message_back_once(
    timed_file: StoreFile, mail: Mail, publisher_first: bool
) -> None:
    wait(timed_file)
    publish(timed_file, b"a")
    if publisher_first:
        take_back(timed_file, mail)
        leave(timed_file, 0)
    else:
        leave(timed_file, 0)
        take_back(timed_file, mail)
    (delivery,) = take(timed_file)
    assert delivery.losses == 0
    settle(timed_file, delivery.claim)
    assert counts(timed_file) == QueueCounts()


def test_a_refusal_after_its_lease_has_ended_and_was_given_to_another_changes_nothing(
    timed_file: StoreFile, mail: Mail, clock: Clock
) -> None:
    wait(timed_file)
    publish(timed_file, b"a")
    clock.now += LEASE + 1
    (delivery,) = take(timed_file)
    take_back(timed_file, mail)
    assert counts(timed_file) == QueueCounts(in_flight=1)
    assert settle(timed_file, delivery.claim) == []


def test_a_purge_leaves_what_was_handed_over(timed_file: StoreFile, mail: Mail) -> None:
    wait(timed_file)
    publish(timed_file, b"a")
    assert timed_file.run(partial(administration.purge_step, queue="work", last_id=100), 1) == 0
    assert settle(timed_file, mail.handed[0].claim) == []


@pytest.mark.parametrize("datagram", [b"", b"?", b"\x91\xc0", bytes(100)])
def test_a_datagram_of_anybody_else_is_no_handover(datagram: bytes) -> None:
    assert handover.read(datagram) is None
