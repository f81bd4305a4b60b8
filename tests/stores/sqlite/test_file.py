"""Transactions on the file: locks, errors and forks."""

from __future__ import annotations

import errno
import logging
import os
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from celeriac.exceptions import (
    BrokerUnreachable,
    ImproperlyConfigured,
    OperationalError,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import SyncSQLiteStore, administration, publishing
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.transaction import Transaction
from celeriac.stores.store import Outgoing

from .processes import process

HOLD_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
print("unlocked", flush=True)
sys.stdin.readline()
"""

MESSAGE = Outgoing("work", b"{}")


def publish(transaction: Transaction) -> None:
    publishing.publish(transaction, [MESSAGE])


def ready(file: StoreFile) -> int:
    return file.read(lambda transaction: administration.counts(transaction, "work"), 1).ready


def in_child(action: Callable[[], None]) -> None:
    """Run something in a child of a fork, which must succeed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_operation_that_fails_leaves_nothing(file: StoreFile) -> None:
    def fail(transaction: Transaction) -> None:
        publish(transaction)
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        file.run(fail, 1)
    assert ready(file) == 0


def test_operations_of_one_transaction_happen_all_or_not_at_all(file: StoreFile) -> None:
    def fail(transaction: Transaction) -> None:
        raise LookupError("on purpose")

    with pytest.raises(LookupError):
        file.run_all([publish, fail], 1)
    assert ready(file) == 0
    file.run_all([publish, publish], 1)
    assert ready(file) == 2


def test_who_waits_for_the_lock_gets_it(file: StoreFile) -> None:
    file.run(publish, 1)
    with process(HOLD_LOCK, file.path) as other:
        assert other.read() == "locked"
        writer = threading.Thread(target=file.run, args=(publish, 10))
        writer.start()
        other.tell("go on")
        writer.join(10)
    assert ready(file) == 2


def test_readers_wait_for_nobody_who_writes(file: StoreFile) -> None:
    file.run(publish, 1)
    with process(HOLD_LOCK, file.path) as other:
        assert other.read() == "locked"
        assert ready(file) == 1


def test_who_waits_in_vain_learns_who_holds_the_lock(file: StoreFile) -> None:
    file.run(publish, 1)
    with process(HOLD_LOCK, file.path) as other:
        assert other.read() == "locked"
        other.signal(signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(OperationalError) as raised:
            file.run(publish, 0.1)
        assert time.monotonic() - begin < 1
        other.signal(signal.SIGCONT)
    text = str(raised.value)
    assert str(file.path) in text
    assert f"process {other.pid}" in text
    assert "stopped" in text


def test_the_log_says_who_makes_others_wait(file: StoreFile, caplog: pytest.LogCaptureFixture) -> None:
    file.run(publish, 1)
    with process(HOLD_LOCK, file.path) as other:
        assert other.read() == "locked"
        with caplog.at_level(logging.WARNING), pytest.raises(OperationalError):
            file.run(publish, 1.2)
    assert f"process {other.pid}" in caplog.text
    assert len(caplog.records) == 1


def test_a_full_disk_is_named_and_what_was_stored_stays(file: StoreFile) -> None:
    file.run(publish, 1)
    large = Outgoing("work", bytes(10 * 1024 * 1024))
    with file_size_limit(1024 * 1024), pytest.raises(StoreFull) as raised:
        file.run(lambda transaction: publishing.publish(transaction, [large]), 1)
    assert str(file.path) in str(raised.value)
    assert "store_path" in str(raised.value)
    assert ready(file) == 1
    file.run(publish, 1)
    assert ready(file) == 2


def test_a_file_that_may_not_grow_is_full(file: StoreFile) -> None:
    def limit(transaction: Transaction) -> None:
        transaction.execute("PRAGMA max_page_count = 100")

    file.run(limit, 1)
    large = Outgoing("work", bytes(1024 * 1024))
    with pytest.raises(StoreFull):
        file.run(lambda transaction: publishing.publish(transaction, [large]), 1)
    assert ready(file) == 0


def test_a_file_that_cannot_be_written_is_named(file: StoreFile) -> None:
    def protect(transaction: Transaction) -> None:
        transaction.execute("PRAGMA query_only = 1")

    file.read(protect, 1)
    with pytest.raises(StoreReadOnly) as raised:
        file.run(publish, 1)
    assert str(file.path) in str(raised.value)
    assert "store_path" in str(raised.value)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EROFS, StoreReadOnly),
        (errno.EACCES, BrokerUnreachable),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(kind, match="store_path") as raised:
        StoreFile(path).run(publish, 1)
    assert str(path) in str(raised.value)
    assert os.strerror(number).lower() in str(raised.value).lower()


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.write_bytes(b"this is no database, whatever its name says. " * 100)
    with pytest.raises(StoreError) as raised:
        StoreFile(path).run(publish, 1)
    assert str(path) in str(raised.value)
    assert "damaged" in str(raised.value)


def test_a_damaged_file_is_named(file: StoreFile) -> None:
    for _ in range(200):
        file.run(lambda transaction: publishing.publish(transaction, [MESSAGE] * 10), 1)
    file.close()
    content = bytearray(file.path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    file.path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged") as raised:
        file.run(publish, 1)
    assert str(file.path) in str(raised.value)


def test_a_file_that_was_deleted_is_made_again_and_the_log_says_so(
    file: StoreFile, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celeriac.stores.sqlite.file.PLACE_CHECK_INTERVAL", 0.0)
    file.run(publish, 1)
    for name in ("", "-wal", "-shm"):
        os.unlink(f"{file.path}{name}")
    with caplog.at_level(logging.ERROR):
        file.run(publish, 1)
    assert "moved or deleted" in caplog.text
    with closing(sqlite3.connect(file.path)) as other:
        assert other.execute("SELECT count(*) FROM ready").fetchone() == (1,)


def test_only_this_user_can_read_any_of_the_files(file: StoreFile) -> None:
    file.run(publish, 1)
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in os.scandir(file.path.parent)}
    assert modes.pop(f"{file.path.name}.wakeup") == 0o700
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3


@pytest.mark.parametrize(("synchronous", "level"), [("NORMAL", 1), ("FULL", 2)])
def test_the_durability_is_what_was_asked_for(path: Path, synchronous: str, level: int) -> None:
    with closing(StoreFile(path, synchronous)) as file:
        found = file.run(lambda transaction: transaction.execute("PRAGMA synchronous").fetchone(), 1)
    assert found == (level,)


def test_parent_and_child_both_go_on_after_a_fork(client: SyncSQLiteStore, file: StoreFile) -> None:
    client.publish([MESSAGE])
    in_child(lambda: client.publish([MESSAGE] * 10))
    client.publish([MESSAGE])
    in_child(client.close)
    client.publish([MESSAGE])
    assert ready(file) == 13


def test_what_a_child_stores_stays_when_its_parent_closes_the_file(path: Path) -> None:
    # A child that went on with an inherited connection would believe to hold its parent's locks: the parent would
    # delete the log as the last one who uses it, and the child would write to a file that nobody sees.
    parent = SyncSQLiteStore(path, StoreOptions(url=""))
    parent.publish([MESSAGE])
    parents_turn, childs_turn = os.pipe(), os.pipe()

    def child() -> None:
        parent.publish([MESSAGE])
        os.write(parents_turn[1], b"!")
        os.read(childs_turn[0], 1)
        for _ in range(50):
            parent.publish([MESSAGE])

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child()
            status = 0
        finally:
            os._exit(status)
    os.read(parents_turn[0], 1)
    parent.close()
    with closing(StoreFile(path)) as other:
        assert ready(other) == 2
        os.write(childs_turn[1], b"!")
        assert os.waitpid(pid, 0)[1] == 0
        assert ready(other) == 52
    for descriptor in (*parents_turn, *childs_turn):
        os.close(descriptor)


def test_a_fork_waits_until_other_threads_are_between_transactions(client: SyncSQLiteStore, file: StoreFile) -> None:
    stop = threading.Event()
    published = 0

    def keep_publishing() -> None:
        nonlocal published
        while not stop.is_set():
            client.publish([MESSAGE])
            published += 1

    publisher = threading.Thread(target=keep_publishing)
    publisher.start()
    try:
        for _ in range(10):
            in_child(lambda: client.publish([MESSAGE]))
    finally:
        stop.set()
        publisher.join()
    assert ready(file) == published + 10
    assert file.read(lambda transaction: transaction.execute("PRAGMA integrity_check").fetchone(), 1) == ("ok",)


def test_a_fork_that_bypassed_python_is_noticed(client: SyncSQLiteStore, file: StoreFile) -> None:
    client.publish([MESSAGE])
    store_file = client._file
    store_file._owner = -1  # as if another process had opened it
    client.publish([MESSAGE])
    assert store_file._owner == os.getpid()
    assert ready(file) == 2


def test_an_old_sqlite_is_refused_with_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(ImproperlyConfigured, match=r"needs SQLite 3\.38\.0"):
        StoreFile(path).run(publish, 1)


def test_what_is_committed_is_no_failure_when_the_log_cannot_be_shortened(
    file: StoreFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("celeriac.stores.sqlite.checkpoint.INTERVAL", 1)
    monkeypatch.setattr("celeriac.stores.sqlite.checkpoint.LONG_LOG", 0)
    monkeypatch.setattr("celeriac.stores.sqlite.checkpoint.Checkpoints.run", staticmethod(fail))
    with caplog.at_level(logging.WARNING):
        file.run(publish, 1)
    assert "could not shorten the log" in caplog.text
    assert ready(file) == 1
