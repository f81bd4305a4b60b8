"""Chords and documents in the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from celeriac.stores.chords import CHORD_LIFETIME, CLOSED_LIFETIME
from celeriac.stores.sqlite import schema, sweeping, workflows
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.transaction import Transaction
from celeriac.stores.store import ChordPart, Document, Effects, Outgoing

from .clock import Clock
from .older import to_version_3

END = Outgoing("work", b"end")


def part(index: int, size: int | None = 2) -> ChordPart:
    return ChordPart("g", index, f"t{index}", size, b"%d" % index, END)


def count(file: StoreFile, *parts: ChordPart) -> list[Outgoing]:
    return file.run(partial(workflows.apply, effects=[Effects(parts=[each]) for each in parts]), 1)


def parts_of(file: StoreFile) -> list[bytes]:
    return file.read(partial(workflows.parts, group_id="g"), 1)


def rows(transaction: Transaction) -> dict[str, int]:
    tables = ("chord", "chord_part")
    return {table: transaction.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


def test_a_chord_lives_for_a_day_from_its_last_part_on(timed_file: StoreFile, clock: Clock) -> None:
    count(timed_file, part(0, 3))
    clock.now += CHORD_LIFETIME - 1
    count(timed_file, part(1, 3))
    clock.now += CHORD_LIFETIME - 1
    assert parts_of(timed_file) == [b"0", b"1"]
    assert count(timed_file, part(2, 3)) == [END]
    clock.now += CHORD_LIFETIME
    assert parts_of(timed_file) == []


def test_a_chord_that_has_expired_begins_anew_though_it_was_not_swept(timed_file: StoreFile, clock: Clock) -> None:
    count(timed_file, part(0))
    clock.now += CHORD_LIFETIME
    assert count(timed_file, part(1)) == []
    assert parts_of(timed_file) == [b"1"]
    assert count(timed_file, part(0)) == [END]


def test_a_closed_chord_is_remembered_for_a_day(timed_file: StoreFile, clock: Clock) -> None:
    timed_file.run(partial(workflows.apply, effects=[Effects(closed=["g"])]), 1)
    clock.now += CLOSED_LIFETIME - 1
    timed_file.run(sweeping.sweep, 1)
    assert count(timed_file, part(0, 1)) == []
    clock.now += 1
    assert count(timed_file, part(0, 1)) == [END]


def test_a_size_that_has_expired_says_nothing(timed_file: StoreFile, clock: Clock) -> None:
    timed_file.run(partial(workflows.store_documents, stored=[Document("size", "g", b"1", 10.0)]), 1)
    clock.now += 10
    assert count(timed_file, part(0, None)) == []


def test_a_size_that_is_no_number_says_nothing(timed_file: StoreFile) -> None:
    timed_file.run(partial(workflows.store_documents, stored=[Document("size", "g", b"many")]), 1)
    assert count(timed_file, part(0, None), part(1, 2)) == [END]


def test_many_parts_are_swept_a_bounded_number_at_a_time(timed_file: StoreFile, clock: Clock) -> None:
    members = sweeping.SWEEP_STEP + 1
    count(timed_file, *(part(index, members + 1) for index in range(members)))
    clock.now += CHORD_LIFETIME
    assert timed_file.run(sweeping.sweep, 1), "there is more to do"
    assert timed_file.read(rows, 1) == {"chord": 1, "chord_part": 1}
    timed_file.run(sweeping.sweep, 1)
    assert timed_file.read(rows, 1) == {"chord": 0, "chord_part": 0}


def test_chords_that_were_begun_with_version_3_go_on(path: Path, timed_file: StoreFile, clock: Clock) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.upgrade(connection, path)
        to_version_3(connection)
        old = [("g", 1, "t1", 3, clock.now + 10, b"1"), ("g", 0, "t0", None, clock.now + 20, b"0")]
        connection.executemany("INSERT INTO chord_part VALUES (?, ?, ?, ?, ?, ?)", old)
    assert count(timed_file, part(0, None), part(2, None)) == [END]
    assert parts_of(timed_file) == [b"0", b"1", b"2"]
