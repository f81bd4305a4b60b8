"""The log stays short while several write."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing

import pytest

from celeriac.stores.sqlite import SQLiteStore, checkpoint, publishing
from celeriac.stores.sqlite.checkpoint import Checkpoints
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.transaction import Transaction
from celeriac.stores.store import Outgoing

PAGE = 4096
MESSAGE = Outgoing("work", bytes(1000))


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL", 50)
    monkeypatch.setattr(checkpoint, "RESTART_LENGTH", 100)
    monkeypatch.setattr(checkpoint, "LONG_LOG", 100 * PAGE)


def publish(transaction: Transaction) -> None:
    publishing.publish(transaction, [MESSAGE])


def pages_in_log(file: StoreFile) -> int:
    """How many pages the log has since it last started over."""
    with closing(sqlite3.connect(file.path)) as other:
        while True:
            busy, length, _ = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if not busy:
                return int(length)


def pages_of_log(file: StoreFile) -> int:
    return os.stat(f"{file.path}-wal").st_size // PAGE


def test_a_client_alone_keeps_the_log_short(file: StoreFile) -> None:
    for _ in range(1000):
        file.run(publish, 1)
    assert pages_of_log(file) < 400


def test_the_log_starts_over_while_others_write(file: StoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL", 1_000_000)
    for _ in range(200):
        file.run(publish, 1)
    assert pages_in_log(file) > 300
    stop = threading.Event()

    def keep_writing() -> None:
        with closing(file.clone()) as mine:
            while not stop.is_set():
                mine.run(publish, 10)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        deadline = time.monotonic() + 20
        before, length = 0, pages_in_log(file)
        while length >= before:
            assert time.monotonic() < deadline
            file.checkpoint(10)
            before, length = length, pages_in_log(file)
    finally:
        stop.set()
        writer.join()


async def test_a_worker_shortens_the_log_beside_its_transactions(
    open_store: Callable[..., Awaitable[SQLiteStore]], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    run = Checkpoints.run

    def noted(connection: sqlite3.Connection) -> None:
        run(connection)
        threads.add(threading.current_thread().name)

    monkeypatch.setattr(Checkpoints, "run", staticmethod(noted))
    store = await open_store()
    deadline = time.monotonic() + 20
    while not threads:
        assert time.monotonic() < deadline
        await store.publish([MESSAGE])
    assert threads == {"celeriac-sqlite-checkpoint"}


def test_a_short_log_is_left_to_the_workers(file: StoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "LONG_LOG", 10_000 * PAGE)
    calls: list[object] = []
    monkeypatch.setattr(StoreFile, "checkpoint", lambda *_: calls.append(1))
    for _ in range(200):
        file.run(publish, 1)
    assert calls == []


def test_a_reader_who_never_ends_is_suspected(
    file: StoreFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoint, "ALARMING_LENGTH", 200)
    file.run(publish, 1)
    with closing(sqlite3.connect(file.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM message").fetchone()
        with caplog.at_level(logging.WARNING):
            for _ in range(300):
                file.run(publish, 1)
    assert "keep reading" in caplog.text


def test_a_large_transaction_counts_for_more_than_a_small_one() -> None:
    small, large = Checkpoints(), Checkpoints()

    def pages(checkpoints: Checkpoints, count: int) -> int:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("CREATE TABLE row (x)")
            connection.executemany("INSERT INTO row VALUES (?)", [(1,)] * count)
            checkpoints.count(connection)
        return checkpoints._pages

    assert pages(small, 2) < 10
    assert pages(large, 2000) > 500
