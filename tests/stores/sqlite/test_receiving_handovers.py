"""Receiving what is handed over: whenever the datagram comes, and whenever the receive ends."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import SQLiteStore, SyncSQLiteStore, receiving
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.wakeup import DATAGRAM
from celeriac.stores.store import Delivery, Outgoing, QueueCounts, Received, Settlement

from .clock import Clock
from .mail import Mail
from .processes import process
from .test_receiving import registered, until

OpenStore = Callable[..., Awaitable[SQLiteStore]]

QUEUES = ("work",)
LONG = 3600.0


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Mail:
    """Nothing is sent, everything is kept."""
    return Mail(monkeypatch)


def message(name: str = "a", queue: str = "work") -> Outgoing:
    return Outgoing(queue, name.encode())


async def waiting(
    store: SQLiteStore, file: StoreFile, limit: int = 5, timeout: float = LONG, queues: tuple[str, ...] = QUEUES
) -> asyncio.Task[Received]:
    """A receive that has registered."""
    before = registered(file)
    task = asyncio.ensure_future(store.receive(queues, limit, timeout))
    await until(lambda: registered(file) == before + 1)
    return task


async def counts(store: SQLiteStore, queue: str = "work") -> QueueCounts:
    return (await store.counts([queue]))[queue]


async def soon(task: Awaitable[Received]) -> list[Delivery]:
    return (await asyncio.wait_for(task, 10)).deliveries


def ready(file: StoreFile) -> int:
    return int(file.read(lambda transaction: transaction.execute("SELECT count(*) FROM ready").fetchone()[0], 1))


async def test_a_worker_that_waits_gets_a_lone_message_without_a_transaction_of_its_own(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("it has looked")

    store = await open_store()
    task = await waiting(store, file)
    with monkeypatch.context() as patch:
        patch.setattr(store._database, "submit", fail)
        client.publish([message()])
        (delivery,) = await soon(task)
    assert (delivery.payload, delivery.queue, delivery.losses) == (b"a", "work", 0)
    assert (await store.settle([Settlement(delivery.claim)])).refused == []
    assert await counts(store) == QueueCounts()


async def test_many_lone_messages_need_one_registration(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore
) -> None:
    store = await open_store()
    task = await waiting(store, file)
    assert store._receiver is not None
    number = store._receiver._number
    for count in range(20):
        client.publish([message(str(count))])
        (delivery,) = await soon(task)
        task = asyncio.ensure_future(store.receive(QUEUES, 4, LONG))
        assert delivery.payload == str(count).encode()
        assert (await store.settle([Settlement(delivery.claim)])).refused == []
    assert store._receiver._number == number
    task.cancel()


async def test_a_message_whose_datagram_is_lost_is_found_by_its_holder_without_a_loss(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore, mail: Mail
) -> None:
    store, other = await open_store(lease=0.6), await open_store()
    task = await waiting(store, file)
    client.publish([message()])
    assert len(mail.handed) == 1
    assert (await other.receive(QUEUES, 1, 0)).deliveries == []
    (delivery,) = await soon(task)
    assert delivery.losses == 0
    assert delivery.claim != mail.handed[0].claim
    assert (await store.settle([Settlement(mail.handed[0].claim)])).refused == [mail.handed[0].claim]
    assert (await store.settle([Settlement(delivery.claim)])).refused == []


async def cancel(store: SQLiteStore, task: asyncio.Task[Received]) -> None:
    task.cancel()


async def close(store: SQLiteStore, task: asyncio.Task[Received]) -> None:
    await store.close()


async def let_time_out(store: SQLiteStore, task: asyncio.Task[Received]) -> None:
    await asyncio.wait({task}, timeout=10)


@pytest.mark.parametrize("end", [cancel, close, let_time_out])
async def test_a_message_is_given_back_when_its_receive_ends_while_the_datagram_is_on_its_way(
    open_store: OpenStore,
    file: StoreFile,
    client: SyncSQLiteStore,
    mail: Mail,
    end: Callable[[SQLiteStore, asyncio.Task[Received]], Awaitable[None]],
) -> None:
    store, other = await open_store(), await open_store()
    task = await waiting(store, file, timeout=0.3 if end is let_time_out else LONG)
    client.publish([message()])
    assert await counts(other) == QueueCounts(in_flight=1)
    await end(store, task)
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    found = outcome.deliveries if isinstance(outcome, Received) else []
    if not found:
        await until(lambda: ready(file) == 1)
        found = (await other.receive(QUEUES, 5, 0)).deliveries
    assert [(each.payload, each.losses) for each in found] == [(b"a", 0)]


async def test_a_datagram_that_comes_too_late_is_not_believed(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore, mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = await open_store(), await open_store()
    task = await waiting(store, file)
    client.publish([message()])
    task.cancel()
    await until(lambda: ready(file) == 1)
    (taken,) = (await other.receive(QUEUES, 5, 0)).deliveries
    task = await waiting(store, file)
    mail.let_go(file.folder)
    client.publish([message("b")])
    mail.let_go(file.folder)
    (delivery,) = await soon(task)
    assert (taken.payload, delivery.payload) == (b"a", b"b")
    for each in (taken, delivery):
        assert (await store.settle([Settlement(each.claim)])).refused == []
    assert await counts(store) == QueueCounts()


async def test_a_datagram_whose_lease_has_ended_is_not_believed(
    path: Path, file: StoreFile, clock: Clock, mail: Mail, async_cleanup: AsyncExitStack
) -> None:
    async def open_timed() -> SQLiteStore:
        store = SQLiteStore(path, StoreOptions(url=""), clock)
        await store.open()
        async_cleanup.push_async_callback(store.close)
        return store

    store, heir = await open_timed(), await open_timed()
    task = await waiting(store, file)
    await heir.publish([message()])
    clock.now += 16
    (taken,) = (await heir.receive(QUEUES, 5, 0)).deliveries
    assert taken.losses == 1
    mail.let_go(file.folder)
    await asyncio.sleep(0.02)
    assert not task.done()
    assert (await heir.settle([Settlement(taken.claim)])).refused == []
    await heir.publish([message("b"), message("c")])
    mail.let_go(file.folder)
    assert [each.payload for each in await soon(task)] == [b"b", b"c"]


async def test_what_arrives_between_two_receives_is_brought_by_the_next_one(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "KEEP", LONG)
    store = await open_store()
    task = await waiting(store, file)
    client.publish([message("a")])
    (first,) = await soon(task)
    await store.settle([Settlement(first.claim)])
    client.publish([message("b")])
    assert store._receiver is not None
    receiver = store._receiver
    await until(lambda: len(receiver._arrived) == 1)
    (second,) = await soon(store.receive(QUEUES, 1, LONG))
    assert second.payload == b"b"
    assert (await store.settle([Settlement(second.claim)])).refused == []


async def test_what_arrives_and_is_not_fetched_is_given_back(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore
) -> None:
    store, other = await open_store(), await open_store()
    task = await waiting(store, file)
    client.publish([message("a")])
    (first,) = await soon(task)
    await store.settle([Settlement(first.claim)])
    client.publish([message("b")])
    # Handed over or not: the store that does not come back has passed it on.
    (delivery,) = await soon(other.receive(QUEUES, 1, LONG))
    assert (delivery.payload, delivery.losses) == (b"b", 0)


@pytest.mark.parametrize("steps", range(8))
async def test_a_receive_that_is_cancelled_at_any_step_loses_nothing(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore, steps: int
) -> None:
    store, other = await open_store(), await open_store()
    task = await waiting(store, file)
    client.publish([message()])
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(outcome, Received):
        (delivery,) = outcome.deliveries
        assert (await store.settle([Settlement(delivery.claim)])).refused == []
    else:
        (delivery,) = await soon(other.receive(QUEUES, 1, LONG))
        assert (delivery.payload, delivery.losses) == (b"a", 0)


async def test_two_receives_of_one_store_on_two_queues_get_their_own(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore
) -> None:
    store = await open_store()
    work = await waiting(store, file)
    other = asyncio.ensure_future(store.receive(("other",), 5, LONG))
    await until(lambda: rows(file) == 2)
    client.publish([message("b", "other")])
    client.publish([message("a", "work")])
    assert [each.payload for each in await soon(work)] == [b"a"]
    assert [each.payload for each in await soon(other)] == [b"b"]


def rows(file: StoreFile) -> int:
    return int(file.read(lambda transaction: transaction.execute("SELECT count(*) FROM waiter").fetchone()[0], 1))


async def test_a_receive_on_other_queues_does_not_bring_what_arrived_for_the_one_before(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "KEEP", LONG)
    store = await open_store()
    task = await waiting(store, file)
    client.publish([message("a")])
    (first,) = await soon(task)
    await store.settle([Settlement(first.claim)])
    client.publish([message("b")])
    client.publish([message("c", "other")])
    assert [each.payload for each in await soon(store.receive(("other",), 5, LONG))] == [b"c"]
    assert [each.payload for each in await soon(store.receive(QUEUES, 5, LONG))] == [b"b"]


async def test_a_socket_that_is_full_is_found_out_and_the_message_comes_all_the_same(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore
) -> None:
    store = await open_store()
    task = await waiting(store, file)
    assert store._receiver is not None
    # The loop, which would read them, does not run meanwhile.
    for _ in range(1000):
        file._ringer.send(store._receiver._bell.name, DATAGRAM)
    client.publish([message()])
    assert file.read(lambda transaction: transaction.execute("SELECT count(*) FROM lease").fetchone(), 1) == (0,)
    (delivery,) = await soon(task)
    assert delivery.losses == 0


async def test_a_handover_brings_the_count_of_revocations(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore
) -> None:
    store = await open_store()
    task = await waiting(store, file)
    await asyncio.to_thread(client.broadcast, "other", b"")
    await store.revoke([], 60)
    count, _ = await store.revocations()
    client.publish([message()])
    received = await asyncio.wait_for(task, 10)
    assert received.revocations == count


WAITER = """
import asyncio, os, sys
from pathlib import Path
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import SQLiteStore
from celeriac.stores.store import Settlement

async def main():
    store = SQLiteStore(Path(sys.argv[1]), StoreOptions(url="", lease=float(sys.argv[2])))
    await store.open()
    while True:
        for delivery in (await store.receive(["work"], 5, 30)).deliveries:
            refused = (await store.settle([Settlement(delivery.claim)])).refused
            os.write(1, delivery.payload + (b" refused\\n" if refused else b" accepted\\n"))

asyncio.run(main())
"""

DYING_PUBLISHER = """
import os, signal, sys
from pathlib import Path
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import SyncSQLiteStore
from celeriac.stores.sqlite.wakeup import Ringer
from celeriac.stores.store import Outgoing

Ringer.send = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
SyncSQLiteStore(Path(sys.argv[1]), StoreOptions(url="")).publish([Outgoing("work", b"a")])
"""


@pytest.mark.slow
async def test_a_publisher_that_dies_between_commit_and_datagram_costs_time_and_no_loss(
    open_store: OpenStore, file: StoreFile, path: Path
) -> None:
    store = await open_store(lease=2)
    task = await waiting(store, file)
    with process(DYING_PUBLISHER, path) as publisher:
        assert await asyncio.to_thread(publisher.wait) == -signal.SIGKILL
    (delivery,) = await soon(task)
    assert (delivery.payload, delivery.losses) == (b"a", 0)


@pytest.mark.slow
async def test_a_stopped_worker_runs_nothing_that_others_have_taken_over(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore, path: Path
) -> None:
    heir = await open_store()
    with process(WAITER, path, 0.5) as worker:
        await until(lambda: registered(file) == 1)
        worker.signal(signal.SIGSTOP)
        client.publish([message("a")])
        assert await counts(heir) == QueueCounts(in_flight=1)
        task = await waiting(heir, file)
        (delivery,) = await soon(task)
        assert (delivery.payload, delivery.losses) == (b"a", 1)
        assert (await heir.settle([Settlement(delivery.claim)])).refused == []
        await heir.close()
        worker.signal(signal.SIGCONT)
        client.publish([message("b")])
        assert worker.read() == "b accepted"


@pytest.mark.slow
async def test_a_worker_that_is_killed_with_a_datagram_unread_loses_no_message(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore, path: Path
) -> None:
    heir = await open_store()
    with process(WAITER, path, 0.5) as worker:
        await until(lambda: registered(file) == 1)
        worker.signal(signal.SIGSTOP)
        client.publish([message("a")])
        worker.signal(signal.SIGKILL)
        worker.wait()
        client.publish([message("b")])
        task = await waiting(heir, file)
        begin = time.monotonic()
        found = await soon(task)
        while len(found) < 2:
            found += await soon(heir.receive(QUEUES, 5, LONG))
        assert time.monotonic() - begin < 5
    assert sorted(each.payload for each in found) == [b"a", b"b"]
