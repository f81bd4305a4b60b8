"""Waiting for results: woken by a socket, on both sides."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from celeriac.exceptions import OperationalError, TimeoutError  # noqa: A004 - the interface's error
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import SQLiteStore, SyncSQLiteStore, results, watching
from celeriac.stores.sqlite import sync as sync_module
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.transaction import Transaction
from celeriac.stores.store import ResultRecord

from .clock import Clock
from .mail import Mail

OpenStore = Callable[..., Awaitable[SQLiteStore]]


def is_done(payload: bytes) -> bool:
    return payload.startswith(b"done")


def started(task_id: str) -> ResultRecord:
    return ResultRecord(task_id, b"started", "STARTED")


def done(task_id: str) -> ResultRecord:
    return ResultRecord(task_id, b"done " + task_id.encode())


def watched(file: StoreFile) -> int:
    def count(transaction: Transaction) -> int:
        found: int = transaction.execute("SELECT count(*) FROM reader").fetchone()[0]
        return found

    return file.read(count, 1)


def wait_until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@contextmanager
def waiting_thread(client: SyncSQLiteStore, task_ids: list[str], timeout: float = 10) -> Iterator[dict[str, bytes]]:
    """A thread that waits for results; what it got is complete at the end."""
    got: dict[str, bytes] = {}
    thread = threading.Thread(target=lambda: got.update(client.wait(task_ids, is_done, timeout)))
    thread.start()
    yield got
    thread.join(15)
    assert not thread.is_alive()


def test_a_thread_that_waits_is_told_of_each_result(client: SyncSQLiteStore, file: StoreFile) -> None:
    task_ids = [str(number) for number in range(5)]
    with waiting_thread(client, task_ids) as got:
        wait_until(lambda: watched(file) == 5)
        for task_id in task_ids:
            file.run(partial(results.store, records=[started(task_id)]), 1)
            file.run(partial(results.store, records=[done(task_id)]), 1)
    assert got == {task_id: b"done " + task_id.encode() for task_id in task_ids}
    client.close()  # registrations that are over go with the next one, or at the end
    assert watched(file) == 0


def test_a_result_that_changes_while_it_is_looked_at_is_not_missed(client: SyncSQLiteStore, file: StoreFile) -> None:
    file.run(partial(results.store, records=[started("a")]), 1)

    def changes_meanwhile(payload: bytes) -> bool:
        if payload == b"started":
            file.run(partial(results.store, records=[done("a")]), 1)
        return is_done(payload)

    assert dict(client.wait(["a"], changes_meanwhile, 5)) == {"a": b"done a"}


def test_many_threads_wait_on_one_client(client: SyncSQLiteStore, file: StoreFile) -> None:
    task_ids = [str(number) for number in range(8)]
    got: dict[str, bytes] = {}
    threads = [
        threading.Thread(target=lambda task_id=task_id: got.update(client.wait([task_id, "shared"], is_done, 10)))
        for task_id in task_ids
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: watched(file) == 16)
    file.run(partial(results.store, records=[done(task_id) for task_id in [*task_ids, "shared"]]), 1)
    for thread in threads:
        thread.join(15)
    assert len(got) == 9
    client.close()
    assert watched(file) == 0


def test_a_thread_that_waits_does_not_keep_others_from_publishing(client: SyncSQLiteStore, file: StoreFile) -> None:
    with waiting_thread(client, ["a"]):
        wait_until(lambda: watched(file) == 1)
        client.store_results([done("b"), done("a")])
    assert client.results(["a", "b", "c"]) == [b"done a", b"done b", None]


def test_a_wait_that_is_given_up_leaves_nothing(client: SyncSQLiteStore, file: StoreFile) -> None:
    client.store_results([done("a")])
    waiting = client.wait(["a", "b", "c"], is_done, 10)
    assert next(waiting) == ("a", b"done a")
    assert watched(file) == 2
    waiting.close()  # type: ignore[attr-defined]
    assert watched(file) == 0


def test_a_wait_in_vain_ends_in_time_and_names_what_it_lacks(client: SyncSQLiteStore, file: StoreFile) -> None:
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=r"task a and 1 more after 0\.1 seconds"):
        list(client.wait(["a", "b"], is_done, 0.1))
    assert 0.1 <= time.monotonic() - begin < 1
    assert watched(file) == 0


def test_a_lost_wake_up_costs_a_waiting_thread_only_the_time_to_the_next_look(
    client: SyncSQLiteStore, file: StoreFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_module, "LOOK_INTERVAL", 0.1)
    with waiting_thread(client, ["a"]) as got:
        wait_until(lambda: watched(file) == 1)
        monkeypatch.setattr("celeriac.stores.sqlite.wakeup.Ringer.ring", lambda *_: [])
        file.run(partial(results.store, records=[done("a")]), 1)
    assert got == {"a": b"done a"}


def test_sockets_are_used_again(client: SyncSQLiteStore, file: StoreFile) -> None:
    client.store_results([done("a")])
    for _ in range(5):
        assert dict(client.wait(["a"], is_done, 5)) == {"a": b"done a"}
    assert len(file.folder.names()) == 1
    client.close()
    assert file.folder.names() == []


def test_a_closed_client_says_so(client: SyncSQLiteStore) -> None:
    client.close()
    client.close()
    for call in (
        lambda: client.results(["a"]),
        lambda: client.forget(["a"]),
        lambda: list(client.wait(["a"], is_done, 1)),
    ):
        with pytest.raises(OperationalError, match="closed"):
            call()


async def test_a_coroutine_is_told_of_each_result(open_store: OpenStore, client: SyncSQLiteStore) -> None:
    store = await open_store()
    got: list[tuple[str, bytes]] = []

    async def collect() -> None:
        async for found in store.wait(["a", "b"], is_done, 10):
            got.append(found)

    task = asyncio.ensure_future(collect())
    await asyncio.sleep(0.02)
    for record in (started("a"), done("b"), started("a"), done("a")):
        await asyncio.to_thread(client.store_results, [record])
        await asyncio.sleep(0.01)
    await asyncio.wait_for(task, 10)
    assert got == [("b", b"done b"), ("a", b"done a")]


async def test_many_coroutines_wait_on_one_socket(open_store: OpenStore, file: StoreFile) -> None:
    store, worker = await open_store(), await open_store()

    async def wait_for(task_id: str) -> dict[str, bytes]:
        return {found: payload async for found, payload in store.wait([task_id, "shared"], is_done, 10)}

    tasks = [asyncio.ensure_future(wait_for(str(number))) for number in range(100)]
    await asyncio.sleep(0.05)
    assert watched(file) == 101
    await worker.store_results([started(str(number)) for number in range(100)])
    await worker.store_results([done("shared")])
    for number in range(100):
        await worker.store_results([done(str(number))])
    assert all(len(found) == 2 for found in await asyncio.wait_for(asyncio.gather(*tasks), 10))
    # What is left is removed behind the backs of those who have their results.
    await store.close()
    assert watched(file) == 0


async def test_a_lost_wake_up_costs_a_waiting_coroutine_only_the_time_to_the_next_look(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_INTERVAL", 0.1)
    store, worker = await open_store(), await open_store()

    async def wait() -> list[tuple[str, bytes]]:
        return [found async for found in store.wait(["a"], is_done, 10)]

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0.02)
    monkeypatch.setattr("celeriac.stores.sqlite.wakeup.Ringer.ring", lambda *_: [])
    await worker.store_results([done("a")])
    assert await asyncio.wait_for(task, 10) == [("a", b"done a")]


async def test_closing_the_store_ends_the_waits_for_results(open_store: OpenStore, file: StoreFile) -> None:
    store = await open_store()

    async def wait() -> list[tuple[str, bytes]]:
        return [found async for found in store.wait(["a"], is_done, 60)]

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0.05)
    await store.close()
    with pytest.raises(OperationalError, match="closed"):
        await asyncio.wait_for(task, 10)
    assert watched(file) == 0
    assert file.folder.names() == []


def test_a_success_that_has_expired_gives_way(timed_file: StoreFile, clock: Clock) -> None:
    def store(record: ResultRecord) -> list[bytes | None]:
        timed_file.run(partial(results.store, records=[record]), 1)
        return timed_file.read(partial(results.read, task_ids=["a"]), 1)

    store(ResultRecord("a", b"done", expires=10))
    assert store(started("a")) == [b"done"]
    clock.now += 11
    assert timed_file.read(partial(results.read, task_ids=["a"]), 1) == [None]
    assert store(started("a")) == [b"started"]


def test_a_client_waits_no_longer_for_the_lock_than_it_may(client: SyncSQLiteStore, file: StoreFile) -> None:
    impatient = SyncSQLiteStore(file.path, StoreOptions(url="", publish_timeout=0.1))
    begin, took = time.monotonic(), 0.0

    def hold(transaction: Transaction) -> None:
        nonlocal took
        with pytest.raises(OperationalError, match="could not write"):
            impatient.store_results([done("a")])
        took = time.monotonic() - begin

    file.run(hold, 1)
    impatient.close()
    assert 0.1 <= took < 1


@pytest.mark.parametrize("others", [0, 3])
@pytest.mark.parametrize("marked", [True, False])
def test_only_who_waits_for_many_is_told_what_was_stored(
    file: StoreFile, monkeypatch: pytest.MonkeyPatch, marked: bool, others: int
) -> None:
    mail = Mail(monkeypatch)
    watch = partial(results.watch, socket="reader", again=False, marked=marked)
    file.run(partial(watch, task_ids=["a"]), 1)
    records = [done("a"), *(done(str(number)) for number in range(others))]
    for _ in range(2):
        file.run(partial(results.store, records=records), 1)
    assert mail.rung == ["reader", "reader"]
    told = file.run(partial(results.take_told, socket="reader"), 1)
    assert told == ([("a", b"done a")] if marked else [])
    # Who is told need not be rung again; who looks by itself says when it is over.
    file.run(partial(results.store, records=records), 1)
    assert len(mail.rung) == (2 if marked else 3)
    file.run(partial(watch, task_ids=["b"], done=["a"]), 1)
    file.run(partial(results.store, records=records), 1)
    assert len(mail.rung) == (2 if marked else 3)


def test_two_kinds_of_readers_of_one_task_are_both_told(file: StoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    mail = Mail(monkeypatch)
    for socket, marked in (("few", False), ("many", True)):
        file.run(partial(results.watch, socket=socket, task_ids=["a"], again=False, marked=marked), 1)
    file.run(partial(results.store, records=[done("a")]), 1)
    assert sorted(mail.rung) == ["few", "many"]
    assert file.run(partial(results.take_told, socket="many"), 1) == [("a", b"done a")]
