"""What SQLite's errors mean to the people who run a worker: what happened, to which file, and what to do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from celeriac.exceptions import BrokerUnreachable, CeleriacError, OperationalError, StoreError, StoreFull, StoreReadOnly
from celeriac.stores.sqlite.locks import describe_writer

__all__ = ["Locked", "is_busy", "locked", "translate", "translate_os"]

_PRIMARY_MASK: Final = 0xFF
"""The primary result code is the low byte of an extended one (https://www.sqlite.org/rescode.html)."""

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_TOOBIG})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Locked(BrokerUnreachable):
    """The file stayed locked until the deadline."""


def is_busy(error: sqlite3.Error) -> bool:
    """Whether the call may succeed a moment later, because somebody else holds a lock now."""
    return _code(error) & _PRIMARY_MASK in _BUSY


def locked(path: Path, seconds: float) -> Locked:
    """The error for a file that stayed locked until the deadline."""
    return Locked(
        f"could not write to {path} for {seconds:.1f} seconds: {describe_writer(path)}. "
        "A process that was stopped in the middle of a transaction must be continued (kill -CONT) or ended"
    )


def translate(error: sqlite3.Error, path: Path) -> CeleriacError:
    """Turn an error of SQLite into one of ours that names the file and says what to do."""
    code = _code(error)
    primary = code & _PRIMARY_MASK
    if primary in _FULL or code in _FULL:
        return StoreFull(
            f"no room to write to {path} ({error}): free space on its disk, raise the quota or file size limit, "
            "or move the file with the setting store_path"
        )
    if primary == sqlite3.SQLITE_READONLY:
        return StoreReadOnly(
            f"{path} cannot be written ({error}): make the file, its folder and the files beside it writable for this "
            "user, or choose another place with the setting store_path"
        )
    if primary in _DAMAGED:
        return StoreError(
            f"{path} is damaged or no SQLite file ({error}): move it away and start with a new one, or save what it "
            "holds with the sqlite3 command's .recover"
        )
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return BrokerUnreachable(
            f"{path} cannot be opened ({error}): check that its folder exists and that this user may write there, "
            "or choose another place with the setting store_path"
        )
    return OperationalError(f"the store {path} failed: {error}")


def translate_os(error: OSError, path: Path) -> CeleriacError:
    """Turn an error of the operating system into one of ours that names the file and says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(
            f"no room for {path}: {error.strerror}. Free space on its disk, or move it with the setting store_path"
        )
    if error.errno == errno.EROFS:
        return StoreReadOnly(
            f"{path} is on a read-only file system: mount it writable, or move it with the setting store_path"
        )
    return BrokerUnreachable(
        f"the store {path} cannot be made or opened: {error.strerror}. Check that this user may write there, "
        "or choose another place with the setting store_path"
    )


def _code(error: sqlite3.Error) -> int:
    # Errors that the sqlite3 module itself raises (a closed connection) carry no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
