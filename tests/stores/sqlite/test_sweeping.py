"""What has expired goes, and the file does not grow for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import (
    SQLiteStore,
    claiming,
    control,
    publishing,
    results,
    settling,
    store,
    sweeping,
    workflows,
)
from celeriac.stores.sqlite.claiming import Holder
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.transaction import Operation, Transaction
from celeriac.stores.store import (
    ChordPart,
    Disposition,
    Document,
    Effects,
    Outgoing,
    ResultRecord,
    Revocation,
    Settlement,
)

from .clock import Clock

TABLES = ("result", "dead", "chord", "chord_part", "document", "revocation", "claimed_once")
DOCUMENTS = [Document("flow", "short", b""), Document("flow", "for ever", b"", None)]


def rows(transaction: Transaction) -> dict[str, int]:
    return {table: transaction.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}


def pages(transaction: Transaction) -> int:
    found: int = transaction.execute("PRAGMA page_count").fetchone()[0]
    return found


def fill(file: StoreFile) -> None:
    """One of everything that expires."""
    holder = Holder(StoreOptions(url="", dead_letter_expires=86_400.0))

    def kill(transaction: Transaction) -> None:
        publishing.publish(transaction, [Outgoing("work", b"{}")])
        (delivery,) = claiming.claim(transaction, holder, ["work"], 1)
        settlement = Settlement(delivery.claim, Disposition.DEAD_LETTER, reason="on purpose")
        settling.settle(transaction, holder.options, [settlement])

    operations: list[Operation[object]] = [
        kill,
        partial(results.store, records=[ResultRecord("short", b""), ResultRecord("for ever", b"", expires=None)]),
        partial(workflows.apply, effects=[Effects(documents=DOCUMENTS, parts=[ChordPart("group", 0, "a", 1, b"")])]),
        partial(control.revoke, revoked=[Revocation("a")], lifetime=86_400.0),
        partial(control.claim_once, name="beat", slot="1", lifetime=86_400.0),
    ]
    file.run_all(operations, 1)


def test_what_has_expired_is_deleted_and_nothing_else(timed_file: StoreFile, clock: Clock) -> None:
    fill(timed_file)
    assert not timed_file.run(sweeping.sweep, 1)
    assert timed_file.read(rows, 1) == dict.fromkeys(TABLES, 1) | {"result": 2, "document": 2}
    clock.now += 86_401
    assert not timed_file.run(sweeping.sweep, 1)
    assert timed_file.read(rows, 1) == dict.fromkeys(TABLES, 0) | {"result": 1, "document": 1}


def test_one_step_deletes_a_bounded_number(timed_file: StoreFile, clock: Clock) -> None:
    records = [ResultRecord(str(number), b"", expires=1) for number in range(sweeping.SWEEP_STEP + 1)]
    timed_file.run(partial(results.store, records=records), 1)
    clock.now += 2
    assert timed_file.run(sweeping.sweep, 1), "there is more to do"
    assert timed_file.read(rows, 1)["result"] == 1
    assert not timed_file.run(sweeping.sweep, 1)
    assert timed_file.read(rows, 1)["result"] == 0


def test_the_revocation_count_survives_the_revocations(timed_file: StoreFile, clock: Clock) -> None:
    fill(timed_file)
    before, _ = timed_file.read(partial(control.revocations, after=0), 1)
    clock.now += 86_401
    timed_file.run(sweeping.sweep, 1)
    assert timed_file.read(partial(control.revocations, after=0), 1) == (before, [])


def test_a_file_that_is_mostly_empty_shrinks(timed_file: StoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "FREE_PAGES", 50)
    holder = Holder(StoreOptions(url=""))
    timed_file.run(partial(publishing.publish, messages=[Outgoing("work", bytes(4000))] * 1000), 1)
    full = timed_file.read(pages, 1)
    deliveries = timed_file.run(partial(claiming.claim, holder=holder, queues=["work"], limit=1000), 1)
    settlements = [Settlement(delivery.claim) for delivery in deliveries]
    timed_file.run(partial(settling.settle, options=holder.options, settlements=settlements), 1)
    steps = 0
    while timed_file.run(sweeping.sweep, 1):
        steps += 1
        assert steps < 100
    assert steps > 1
    assert timed_file.read(pages, 1) < full // 4


def test_the_room_of_settled_messages_is_used_again(timed_file: StoreFile) -> None:
    holder = Holder(StoreOptions(url=""))

    def cycle(transaction: Transaction) -> None:
        publishing.publish(transaction, [Outgoing("work", bytes(2000))] * 20)
        deliveries = claiming.claim(transaction, holder, ["work"], 20)
        settling.settle(transaction, holder.options, [Settlement(delivery.claim) for delivery in deliveries])

    for _ in range(10):
        timed_file.run(cycle, 1)
    before = timed_file.read(pages, 1)
    for _ in range(200):
        timed_file.run(cycle, 1)
    assert timed_file.read(pages, 1) == before


async def test_a_worker_that_renews_sweeps_beside_it(
    open_store: Callable[..., Awaitable[SQLiteStore]], file: StoreFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SWEEP_INTERVAL", 0.05)
    worker = await open_store()
    records = [ResultRecord(str(number), b"", expires=0) for number in range(3 * sweeping.SWEEP_STEP)]
    await worker.store_results(records)
    deadline = time.monotonic() + 10
    while file.read(rows, 1)["result"]:
        assert time.monotonic() < deadline
        await worker.renew([])
        await asyncio.sleep(0.01)
