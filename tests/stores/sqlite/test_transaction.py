"""What operations work with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac.stores.sqlite.transaction import Transaction, insert, json_array, json_object


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


@given(count=st.integers(0, 300))
def test_any_number_of_rows_is_inserted_in_order_with_few_statements(count: int) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE pair (one, two)")
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        rows = [(number, str(number)) for number in range(count)]
        insert(Transaction(connection, 0.0), "INSERT INTO pair (one, two) VALUES (?, ?)", rows)
        connection.set_trace_callback(None)
        assert connection.execute("SELECT one, two FROM pair").fetchall() == rows
        assert len(statements) <= count // 64 + 8 + 8


def test_arguments_behind_the_values_are_given_once(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE pair (one PRIMARY KEY, two)")
    statement = "INSERT INTO pair (one, two) VALUES (?, ?) ON CONFLICT (one) DO UPDATE SET two = ?"
    rows = [(number % 8, "new") for number in range(16)]
    insert(Transaction(connection, 0.0), statement, rows, "again")
    assert connection.execute("SELECT DISTINCT two FROM pair").fetchall() == [("again",)]


def test_lists_and_mappings_are_read_by_sqlite(connection: sqlite3.Connection) -> None:
    texts = ["plain", "é🥕", 'a"b\\c', "nul\0"]
    found = connection.execute("SELECT value FROM json_each(?) ORDER BY key", (json_array(texts),)).fetchall()
    assert [value for (value,) in found[:3]] == texts[:3]
    numbers = {1: 2, 2**62: 2**53 + 1}
    rows = connection.execute(
        "SELECT CAST(key AS INTEGER), value FROM json_each(?)", (json_object(numbers),)
    ).fetchall()
    assert dict(rows) == numbers


def test_the_earliest_time_is_announced() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        transaction = Transaction(connection, 0.0)
        for due in (5.0, 3.0, 4.0):
            transaction.announce_held("work", due)
        transaction.announce_ready("work", 2)
        transaction.announce_ready("work")
        assert transaction.held_until == {"work": 3.0}
        assert transaction.made_ready == {"work": 3}
