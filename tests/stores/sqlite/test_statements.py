"""The SQL files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from celeriac.stores.sqlite import schema, statements

GROUPS = sorted(path.stem for path in Path(statements.__file__).parent.glob("*.sql"))
NAMED = [(group, name) for group in GROUPS for name in statements.load(group)]

SMALL = {"lease", "waiter", "reader", "listener", "broadcast", "revocation", "claimed_once", "sqlite_sequence"}
"""Tables that hold what is in flight or alive now, and are read whole."""


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.upgrade(connection, Path("memory"))
        yield connection


def plan_of(connection: sqlite3.Connection, statement: str) -> list[str]:
    numbered = [int(part[0]) for part in statement.split("?")[1:] if part[:1].isdigit()]
    count = max(numbered) if numbered else statement.count("?")
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", ["[]"] * count)
    return [row[3] for row in rows]


@pytest.mark.parametrize(("group", "name"), NAMED)
def test_no_statement_reads_through_a_table_that_may_be_large(
    connection: sqlite3.Connection, group: str, name: str
) -> None:
    for step in plan_of(connection, statements.load(group)[name]):
        words = step.split()
        if words[0] == "SCAN" and "VIRTUAL TABLE" not in step and "LIMIT" not in statements.load(group)[name]:
            assert words[1] in SMALL | {
                "json_each",
                "filled",
                "dead",
                "CONSTANT",
                "held_count",
                "wanted",
                "(subquery-1)",
            }, step
        assert "AUTOMATIC" not in step, step


@pytest.mark.parametrize(("group", "name"), NAMED)
def test_every_statement_says_what_it_takes(group: str, name: str) -> None:
    text = (Path(statements.__file__).parent / f"{group}.sql").read_text()
    body = text.split(f"-- name: {name}\n")[1].split("-- name:")[0]
    if "?" in statements.load(group)[name]:
        assert "Arguments" in body or "Arguments of each" in text


def test_statements_are_found_by_name_without_their_comments() -> None:
    text = "-- a file\n\n-- name: one\n-- Arguments: x.\nSELECT ?  -- this\n\n-- name: two\nSELECT\n    2\n"
    assert dict(statements.parse(text)) == {"one": "SELECT ?", "two": "SELECT 2"}
