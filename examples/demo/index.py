"""The index that the tasks build: a small SQLite database of the demo's own, nothing to do with the broker.

Writing a row twice leaves one row. Tasks that may run again after a loss should all be like that.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from demo.analysis import ModuleFacts, WordCounts

__all__ = ["Index"]

PATIENCE: Final = 30.0
"""Seconds to wait for another process that writes."""

_SCHEMA: Final = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS modules (path TEXT PRIMARY KEY, facts TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS words (path TEXT PRIMARY KEY, total INTEGER NOT NULL, counts TEXT NOT NULL);
"""


class Index:
    """The facts about all modules.

    Args:
        path: the file; by default the one that the environment variable ``DEMO_INDEX`` names.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._database = sqlite3.connect(path or os.environ["DEMO_INDEX"], timeout=PATIENCE)
        self._database.execute("PRAGMA synchronous = NORMAL")

    @classmethod
    @cache
    def here(cls) -> Index:
        """The one of this process. Opened at first use, that is in a child, because no connection survives a fork."""
        return cls()

    def create(self) -> None:
        """Make the empty index."""
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._database as connection:  # commits, or rolls back
            yield connection

    def add_module(self, facts: ModuleFacts) -> None:
        """Add a module, or replace it."""
        with self._connection() as connection:
            connection.execute("INSERT OR REPLACE INTO modules VALUES (?, ?)", (facts["path"], json.dumps(facts)))

    def add_words(self, words: WordCounts) -> None:
        """Add the words of a module, or replace them."""
        row = (words["path"], words["total"], json.dumps(words["counts"]))
        with self._connection() as connection:
            connection.execute("INSERT OR REPLACE INTO words VALUES (?, ?, ?)", row)

    def sizes(self) -> tuple[int, int]:
        """How many modules, and how many word lists."""
        with self._connection() as connection:
            (modules,) = connection.execute("SELECT count(*) FROM modules").fetchone()
            (words,) = connection.execute("SELECT count(*) FROM words").fetchone()
        return modules, words

    def modules(self) -> list[ModuleFacts]:
        """All modules."""
        with self._connection() as connection:
            return [json.loads(facts) for (facts,) in connection.execute("SELECT facts FROM modules ORDER BY path")]

    def words(self) -> Counter[str]:
        """The words of all modules together."""
        together: Counter[str] = Counter()
        with self._connection() as connection:
            for (counts,) in connection.execute("SELECT counts FROM words"):
                together.update(json.loads(counts))
        return together
