"""Records of settlements in the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from celeriac.stores.records import RECORD_LIFETIME
from celeriac.stores.sqlite import recording, schema, sweeping
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.store import Outgoing, Settlement

from .clock import Clock
from .older import to_version_3

FOLLOW_UPS = [Outgoing("work", b"next")]
ENDED = Settlement(b"", follow_ups=FOLLOW_UPS, identity="one")

record = partial(recording.record, settlements=[ENDED], published=[])
mark = partial(recording.record, settlements=[], published=["one"])


def test_a_record_lives_for_a_day_from_its_last_change_on(timed_file: StoreFile, clock: Clock) -> None:
    assert timed_file.run(record, 1) == [None]
    clock.now += RECORD_LIFETIME - 1
    assert timed_file.run(record, 1) == [FOLLOW_UPS]
    timed_file.run(mark, 1)
    clock.now += RECORD_LIFETIME - 1
    assert timed_file.run(record, 1) == [[]]
    clock.now += 2
    assert timed_file.run(record, 1) == [None]
    assert timed_file.run(record, 1) == [FOLLOW_UPS]


def test_records_that_have_expired_are_swept(timed_file: StoreFile, clock: Clock) -> None:
    timed_file.run(record, 1)
    timed_file.run(sweeping.sweep, 1)
    assert timed_file.run(record, 1) == [FOLLOW_UPS]
    clock.now += RECORD_LIFETIME + 1
    timed_file.run(sweeping.sweep, 1)
    assert timed_file.read(lambda transaction: transaction.execute("SELECT id FROM settled").fetchall(), 1) == []


def test_a_file_of_the_first_version_gets_the_table(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.upgrade(connection, path)
        whole = sorted(connection.execute("SELECT name, sql FROM sqlite_master").fetchall())
        to_version_3(connection)
        connection.execute("DROP TABLE settled")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("BEGIN IMMEDIATE")
        schema.upgrade(connection, path)
        connection.execute("COMMIT")
        assert sorted(connection.execute("SELECT name, sql FROM sqlite_master").fetchall()) == whole
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION,)
