"""Several processes on one file, and what is left when one of them is killed."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from celeriac.stores.sqlite import SQLiteStore, SyncSQLiteStore
from celeriac.stores.store import Outgoing, ResultRecord, Settlement

from .processes import process

OpenStore = Callable[..., Awaitable[SQLiteStore]]

PRODUCER = """
import itertools, os, sys
from pathlib import Path
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import SyncSQLiteStore
from celeriac.stores.store import Outgoing

store = SyncSQLiteStore(Path(sys.argv[1]), StoreOptions(url=""))
count = int(sys.argv[3])
for number in itertools.count() if count < 0 else range(count):
    name = f"{sys.argv[2]}-{number}"
    store.publish([Outgoing("work", name.encode())])
    os.write(1, name.encode() + b"\\n")
"""

WORKER = """
import asyncio, os, sys
from pathlib import Path
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import SQLiteStore
from celeriac.stores.store import ResultRecord, Settlement

async def main():
    store = SQLiteStore(Path(sys.argv[1]), StoreOptions(url="", lease=float(sys.argv[2])))
    await store.open()
    received = await store.receive(["work"], 8, 30)
    os.write(1, b"ready\\n")
    while True:
        done = [
            Settlement(each.claim, result=ResultRecord(each.payload.decode(), b"done")) for each in received.deliveries
        ]
        received = await store.settle(done, ["work"], 8)
        if not received.deliveries:
            received = await store.receive(["work"], 8, 30)

asyncio.run(main())
"""

HOLDER = """
import asyncio, os, sys
from pathlib import Path
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import SQLiteStore
from celeriac.stores.store import ResultRecord, Settlement

async def main():
    store = SQLiteStore(Path(sys.argv[1]), StoreOptions(url="", lease=float(sys.argv[2])))
    await store.open()
    (delivery,) = (await store.receive(["work"], 1, 30)).deliveries
    os.write(1, b"held\\n")
    await asyncio.to_thread(sys.stdin.readline)
    settlement = Settlement(delivery.claim, result=ResultRecord("late", b"late"))
    refused = (await store.settle([settlement])).refused
    os.write(1, b"refused\\n" if refused == [delivery.claim] else b"accepted\\n")
    await store.close()

asyncio.run(main())
"""


def healthy(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))


async def take_all(store: SQLiteStore) -> list[str]:
    names: list[str] = []
    while deliveries := (await store.receive(["work"], 500, 0)).deliveries:
        names += [delivery.payload.decode() for delivery in deliveries]
        await store.settle([Settlement(delivery.claim) for delivery in deliveries])
    return names


@pytest.mark.slow
async def test_a_producer_that_is_killed_loses_nothing_that_was_confirmed(open_store: OpenStore, path: Path) -> None:
    store = await open_store()
    confirmed: list[str] = []
    for life in range(4):
        with process(PRODUCER, path, life, -1) as producer:
            confirmed += [producer.read() for _ in range(50 + 20 * life)]
            producer.signal(signal.SIGKILL)
            confirmed += producer.read_all()
    names = await take_all(store)
    assert len(names) == len(set(names))
    assert set(confirmed) <= set(names)
    assert len(names) - len(confirmed) <= 4, "at most the one publish of each life that was not confirmed yet"
    assert healthy(path)


@pytest.mark.slow
async def test_workers_that_are_killed_lose_no_message_and_run_none_twice_to_the_end(
    open_store: OpenStore, client: SyncSQLiteStore, path: Path
) -> None:
    names = [str(number) for number in range(3000)]
    client.publish([Outgoing("work", name.encode()) for name in names])
    for _ in range(3):
        with process(WORKER, path, 0.5) as worker:
            assert worker.read() == "ready"
            worker.signal(signal.SIGKILL)
    with process(WORKER, path, 0.5) as worker:
        assert worker.read() == "ready"
        found = dict(await asyncio.to_thread(lambda: list(client.wait(names, lambda payload: True, 30))))
    assert found == dict.fromkeys(names, b"done")
    counts = (await (await open_store()).counts(["work"]))["work"]
    assert (counts.ready, counts.held, counts.in_flight) == (0, 0, 0)
    assert healthy(path)


@pytest.mark.slow
async def test_a_worker_that_was_stopped_is_refused_when_it_comes_back(
    open_store: OpenStore, client: SyncSQLiteStore, path: Path
) -> None:
    heir = await open_store()
    client.publish([Outgoing("work", b"a")])
    with process(HOLDER, path, 0.3) as holder:
        assert holder.read() == "held"
        holder.signal(signal.SIGSTOP)
        (delivery,) = (await asyncio.wait_for(heir.receive(["work"], 1, 20), 20)).deliveries
        assert delivery.losses == 1
        settlement = Settlement(delivery.claim, result=ResultRecord("a", b"done"))
        assert (await heir.settle([settlement])).refused == []
        holder.signal(signal.SIGCONT)
        holder.tell("settle")
        assert holder.read() == "refused"
        assert holder.wait() == 0
    assert await heir.results(["a", "late"]) == [b"done", None]


@pytest.mark.slow
async def test_producers_and_workers_in_several_processes_make_progress_together(
    client: SyncSQLiteStore, path: Path
) -> None:
    count = 300
    names = [f"{producer}-{number}" for producer in range(2) for number in range(count)]
    with (
        process(PRODUCER, path, 0, count) as first,
        process(PRODUCER, path, 1, count) as second,
        process(WORKER, path, 15),
        process(WORKER, path, 15),
    ):
        found = dict(await asyncio.to_thread(lambda: list(client.wait(names, lambda payload: True, 30))))
        assert (first.wait(), second.wait()) == (0, 0)
    assert len(found) == 2 * count
    assert healthy(path)
