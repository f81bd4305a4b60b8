"""How files of older releases looked."""

from __future__ import annotations

import sqlite3

__all__ = ["to_version_3"]

_VERSION_3 = """
DROP TABLE chord;
DROP TABLE chord_part;
DROP TABLE document;
CREATE TABLE chord_part (
    group_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    size INTEGER,
    expires REAL NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (group_id, position)
);
CREATE INDEX chord_part_expires ON chord_part (expires);
PRAGMA user_version = 3;
"""


def to_version_3(connection: sqlite3.Connection) -> None:
    """Make a file of this release one of version 3, of which it loses what that did not know."""
    connection.executescript(_VERSION_3)
