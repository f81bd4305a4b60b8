"""Waiting for messages: woken, never polling."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from celeriac.stores.sqlite import SQLiteStore, SyncSQLiteStore, receiving, waiters
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.handover import LARGEST
from celeriac.stores.sqlite.transaction import Operation, Transaction
from celeriac.stores.sqlite.wakeup import Ringer, Sending
from celeriac.stores.store import Outgoing, Received, Settlement

OpenStore = Callable[..., Awaitable[SQLiteStore]]

QUEUES = ("work",)


def message(due: float | None = None) -> Outgoing:
    return Outgoing("work", b"{}", due=due)


def registered(file: StoreFile) -> int:
    return file.read(lambda transaction: len(waiters.registered(transaction)), 1)


async def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def are_done(tasks: list[asyncio.Task[Received]], count: int) -> bool:
    return sum(task.done() for task in tasks) == count


async def waiting(store: SQLiteStore, file: StoreFile, count: int, timeout: float = 60) -> asyncio.Task[Received]:
    """A receive that has registered as the ``count``-th."""
    task = asyncio.ensure_future(store.receive(QUEUES, 1, timeout))
    await until(lambda: registered(file) == count)
    return task


async def test_an_idle_store_does_not_look_at_its_file(
    open_store: OpenStore, file: StoreFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store()
    task = await waiting(store, file, 1)
    looks: list[float] = []

    def look(*_: object) -> None:
        looks.append(time.monotonic())

    monkeypatch.setattr(StoreFile, "run_all", look)
    await asyncio.sleep(0.3)
    monkeypatch.undo()
    assert looks == []
    task.cancel()


async def test_a_million_held_messages_would_not_wake_a_worker(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore
) -> None:
    store = await open_store()
    task = await waiting(store, file, 1)
    client.publish([message(due=time.time() + 3600) for _ in range(1000)])
    await asyncio.sleep(0.05)
    assert not task.done()
    client.publish([message()])
    begin = time.monotonic()
    assert len((await task).deliveries) == 1
    assert time.monotonic() - begin < 1


async def test_one_message_wakes_one_worker_and_the_next_one_another(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore
) -> None:
    tasks = [await waiting(await open_store(), file, number + 1) for number in range(3)]
    for done in (1, 2, 3):
        client.publish([message()])
        await until(partial(are_done, tasks, done))
    for task in tasks:
        assert len(task.result().deliveries) == 1


async def test_a_message_published_with_an_earlier_time_moves_the_alarm(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore
) -> None:
    store = await open_store()
    client.publish([message(due=time.time() + 600)])
    task = await waiting(store, file, 1)
    due = time.time() + 0.2
    client.publish([message(due=due)])
    assert len((await asyncio.wait_for(task, 10)).deliveries) == 1
    assert due <= time.time() < due + 1


async def test_a_lease_that_ends_wakes_a_waiting_worker_by_itself(open_store: OpenStore, file: StoreFile) -> None:
    lost, waiter = await open_store(lease=0.3), await open_store()
    await lost.publish([message()])
    await lost.receive(QUEUES, 1, 0)
    (delivery,) = (await asyncio.wait_for(waiter.receive(QUEUES, 1, 60), 10)).deliveries
    assert delivery.losses == 1


async def test_a_worker_that_leaves_passes_its_wake_up_on(open_store: OpenStore, file: StoreFile) -> None:
    first, second = await open_store(), await open_store()
    leaving = await waiting(first, file, 1)
    staying = await waiting(second, file, 2)
    assert first._receiver is not None
    assert second._receiver is not None
    bell, served_before = first._receiver._bell, second._receiver._bell.name

    def serve(transaction: Transaction) -> None:
        transaction.execute("UPDATE waiter SET woken = 1 WHERE socket = ?", (served_before,))

    file.run(serve, 1)
    with pytest.MonkeyPatch.context() as patch:
        # It is the first one's turn: it is rung, and is gone before it looks.
        patch.setattr(bell, "ring", lambda: None)
        await first.publish([Outgoing("work", bytes(LARGEST + 1))])
        await asyncio.sleep(0.02)
        assert not leaving.done()
        assert not staying.done()
    leaving.cancel()
    assert len((await asyncio.wait_for(staying, 10)).deliveries) == 1


async def test_a_dead_waiter_is_forgotten_and_another_is_woken(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore
) -> None:
    store = await open_store()
    # Opening a store removes the dead: here it dies afterwards.
    file.run(partial(waiters.register, queues=QUEUES, socket="00 dead", alarm=file.clock() + 1e9), 1)
    task = await waiting(store, file, 2)
    client.publish([message(), message()])
    assert len((await asyncio.wait_for(task, 10)).deliveries) == 1
    await until(lambda: registered(file) == 0)


async def test_opening_a_store_removes_the_sockets_of_the_dead(open_store: OpenStore, file: StoreFile) -> None:
    file.run(partial(waiters.register, queues=QUEUES, socket="dead", alarm=0), 1)
    (file.folder.path / "left").touch()
    await open_store()
    assert registered(file) == 0
    assert not (file.folder.path / "left").exists()


async def test_a_lost_wake_up_costs_only_the_time_to_the_next_look(
    open_store: OpenStore, file: StoreFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "LOOK_INTERVAL", 0.2)
    store, publisher = await open_store(), await open_store()
    task = await waiting(store, file, 1)
    monkeypatch.setattr(Ringer, "send", lambda *_: Sending.SENT)
    await publisher.publish([message(), message()])
    assert len((await asyncio.wait_for(task, 10)).deliveries) == 1


async def test_two_receives_of_one_store_both_get_work(
    open_store: OpenStore, file: StoreFile, client: SyncSQLiteStore
) -> None:
    store = await open_store()
    tasks = [asyncio.ensure_future(store.receive(QUEUES, 1, 60)) for _ in range(2)]
    await until(lambda: registered(file) == 1)
    await asyncio.sleep(0.02)
    for _ in tasks:
        client.publish([message()])
    received = await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert [len(each.deliveries) for each in received] == [1, 1]


async def test_a_receive_that_has_ended_leaves_no_registration(open_store: OpenStore, file: StoreFile) -> None:
    store = await open_store()
    assert (await store.receive(QUEUES, 1, 0.05)).deliveries == []
    await until(lambda: registered(file) == 0)
    await store.publish([message()])
    (delivery,) = (await store.receive(QUEUES, 1, 60)).deliveries
    await store.settle([Settlement(delivery.claim)])
    assert registered(file) == 0


async def test_closing_ends_a_wait_and_leaves_no_socket(open_store: OpenStore, file: StoreFile) -> None:
    store = await open_store()
    task = await waiting(store, file, 1)
    await store.close()
    assert (await asyncio.wait_for(task, 10)).deliveries == []
    assert registered(file) == 0
    assert file.folder.names() == []


async def test_an_operation_that_fails_spoils_none_that_waited_with_it(open_store: OpenStore) -> None:
    store = await open_store()

    def fail(transaction: Transaction) -> None:
        raise LookupError("on purpose")

    database = store._database
    operations: list[Operation[int | None]] = [lambda _: 1, fail, lambda _: 2]
    outcomes = await asyncio.gather(*map(database.submit, operations), return_exceptions=True)
    assert outcomes[0::2] == [1, 2]
    assert isinstance(outcomes[1], LookupError)


async def test_what_waits_together_is_one_transaction(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await open_store()
    batches: list[int] = []
    run_all = StoreFile.run_all

    def counted(file: StoreFile, operations: list[Callable[[Transaction], object]], patience: float) -> list[object]:
        batches.append(len(operations))
        return run_all(file, operations, patience)

    monkeypatch.setattr(StoreFile, "run_all", counted)
    await asyncio.gather(*(store.publish([message()]) for _ in range(200)))
    assert sum(batches) == 200
    assert len(batches) < 100
