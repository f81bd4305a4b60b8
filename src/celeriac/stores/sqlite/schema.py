"""The file's schema and its way from older versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from celeriac.exceptions import ImproperlyConfigured, StoreError

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "migrations", "needs_upgrade", "upgrade"]

SCHEMA_VERSION: Final = 4
"""What schema.sql describes, in ``PRAGMA user_version``."""

APPLICATION_ID: Final = 0x43454C52
"""``CELR`` in ``PRAGMA application_id``: tells our files from other programs' databases."""


def migrations() -> dict[int, str]:
    """The steps that this release knows: by the version that each one leads to."""
    folder = files("celeriac.stores.sqlite").joinpath("migrations")
    scripts = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return {int(entry.name.removesuffix(".sql")): entry.read_text("utf-8") for entry in scripts}


def needs_upgrade(connection: sqlite3.Connection, path: Path, version: int = SCHEMA_VERSION) -> bool:
    """Whether `upgrade` has anything to do.

    Raises:
        StoreError: the file was written by a newer release, or by another program.
    """
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > version:
        raise StoreError(
            f"{path} has version {found} of the store's schema, and this release of Celeriac knows versions up to "
            f"{version}: install the newer release here too, or choose another file with the setting store_path"
        )
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        if found or connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None:
            raise ImproperlyConfigured(
                f"{path} is the database of another program: choose another file with the setting store_path"
            )
        return True
    return found < version


def upgrade(
    connection: sqlite3.Connection,
    path: Path,
    version: int = SCHEMA_VERSION,
    steps: Mapping[int, str] | None = None,
) -> None:
    """Bring a file to the current version, inside the transaction that the caller has begun.

    Args:
        connection: in a BEGIN IMMEDIATE.
        path: for the errors.
        version: the version to reach.
        steps: the migrations, None for this release's.
    """
    if not needs_upgrade(connection, path, version):
        return
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found == 0:
        _run(connection, files("celeriac.stores.sqlite").joinpath("schema.sql").read_text("utf-8"))
    else:
        known = migrations() if steps is None else steps
        for step in range(found + 1, version + 1):
            _run(connection, known[step])
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")


def _run(connection: sqlite3.Connection, script: str) -> None:
    # Not executescript: it commits the transaction that it finds.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
