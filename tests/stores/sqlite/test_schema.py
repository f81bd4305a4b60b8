"""The file's schema, its migrations and its refusals."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from celeriac.exceptions import ImproperlyConfigured, StoreError
from celeriac.stores.sqlite import schema
from celeriac.stores.sqlite.file import StoreFile

from .older import to_version_3


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def version_of(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def test_a_new_file_gets_the_current_schema(connection: sqlite3.Connection, path: Path) -> None:
    schema.upgrade(connection, path)
    assert version_of(connection) == schema.SCHEMA_VERSION
    assert not schema.needs_upgrade(connection, path)


def test_upgrading_twice_changes_nothing(connection: sqlite3.Connection, path: Path) -> None:
    schema.upgrade(connection, path)
    before = connection.execute("SELECT sql FROM sqlite_master").fetchall()
    schema.upgrade(connection, path)
    assert connection.execute("SELECT sql FROM sqlite_master").fetchall() == before


def test_a_newer_file_is_refused_with_what_to_do(connection: sqlite3.Connection, path: Path) -> None:
    schema.upgrade(connection, path)
    connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match="install the newer release") as raised:
        StoreFile(path).run(lambda transaction: None, 1)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("version", [0, 1, 7])
def test_the_database_of_another_program_is_refused(connection: sqlite3.Connection, path: Path, version: int) -> None:
    connection.execute("CREATE TABLE customer (name TEXT)")
    connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises((ImproperlyConfigured, StoreError), match=r"another program|newer release"):
        StoreFile(path).run(lambda transaction: None, 1)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("customer",)]


def test_an_older_file_takes_every_step_to_the_current_version(connection: sqlite3.Connection, path: Path) -> None:
    schema.upgrade(connection, path)
    connection.execute("INSERT INTO message (queue, priority, payload) VALUES ('work', 0, x'00')")
    later = schema.SCHEMA_VERSION + 2
    steps = {
        later - 1: "CREATE TABLE first (x);\n-- a comment; with a semicolon\nINSERT INTO first VALUES (';');\n",
        later: "ALTER TABLE first RENAME TO second;\n",
    }
    connection.execute("BEGIN IMMEDIATE")
    schema.upgrade(connection, path, later, steps)
    connection.execute("COMMIT")
    assert version_of(connection) == later
    assert connection.execute("SELECT x FROM second").fetchall() == [(";",)]
    assert connection.execute("SELECT queue FROM message").fetchall() == [("work",)]


def test_a_step_that_fails_leaves_the_file_as_it_was(connection: sqlite3.Connection, path: Path) -> None:
    schema.upgrade(connection, path)
    later = schema.SCHEMA_VERSION + 1
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError):
        schema.upgrade(connection, path, later, {later: "CREATE TABLE first (x);\nCREATE TABLE first (x);\n"})
    connection.execute("ROLLBACK")
    assert version_of(connection) == schema.SCHEMA_VERSION
    assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'first'").fetchone() is None


def test_the_steps_of_this_release_lead_to_its_version() -> None:
    assert sorted(schema.migrations()) == list(range(2, schema.SCHEMA_VERSION + 1))


def test_who_comes_from_version_2_has_the_tables_of_a_new_file(connection: sqlite3.Connection, path: Path) -> None:
    def look() -> list[tuple[object, ...]]:
        tables = "SELECT m.name, c.* FROM sqlite_master AS m, pragma_table_info(m.name) AS c ORDER BY m.name, c.cid"
        indexes = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
        return [*connection.execute(tables), *connection.execute(indexes)]

    schema.upgrade(connection, path)
    current = look()
    to_version_3(connection)
    connection.executescript(
        """
        DROP TABLE waiter;
        CREATE TABLE waiter (queue TEXT NOT NULL, socket TEXT NOT NULL, alarm REAL NOT NULL,
            woken REAL NOT NULL DEFAULT 0, PRIMARY KEY (queue, socket)) WITHOUT ROWID;
        DROP TABLE reader;
        CREATE TABLE reader (task_id TEXT NOT NULL, socket TEXT NOT NULL, told INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (task_id, socket)) WITHOUT ROWID;
        CREATE INDEX reader_told ON reader (socket, told);
        INSERT INTO waiter (queue, socket, alarm) VALUES ('work', 'somebody', 0);
        PRAGMA user_version = 2;
        """
    )
    connection.execute("BEGIN IMMEDIATE")
    schema.upgrade(connection, path)
    connection.execute("COMMIT")
    assert look() == current
