"""The store's file: one guarded connection, transactions on it, and what a fork does to them.

A transaction takes the write lock at its start (BEGIN IMMEDIATE), so that it never has to be given up half-way.
SQLite's own busy handler is off: its back-off grows to a tenth of a second and starves whoever came late (three
producers and a settler: 833 ms for the slowest insert, 24 ms with the retry below).
"""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from celeriac.exceptions import CeleriacError, ImproperlyConfigured, OperationalError
from celeriac.stores.bounds import deadline_within
from celeriac.stores.sqlite import errors, handover, place, schema, waiters
from celeriac.stores.sqlite.checkpoint import LONG_LOG, Checkpoints
from celeriac.stores.sqlite.locks import describe_writer
from celeriac.stores.sqlite.transaction import Operation, Transaction
from celeriac.stores.sqlite.wakeup import Ringer, Sending, SocketFolder

__all__ = ["StoreFile"]

logger = logging.getLogger("celeriac.stores.sqlite")

T = TypeVar("T")

OLDEST_SQLITE: Final = (3, 38, 0)
"""The first release with RETURNING and with JSON built in always."""
FIRST_PAUSE: Final = 50e-6
"""Seconds of the first pause when the file is locked: about one short transaction. Doubles with each attempt."""
LONGEST_PAUSE: Final = 500e-6
"""Seconds of the longest pause between two attempts to get the lock. (1 ms made the slowest wait a third longer.)"""
SHORT_PATIENCE: Final = 300e-6
"""Seconds that :meth:`StoreFile.try_run` waits for the lock: as long as two short transactions."""
WARN_AFTER: Final = 1.0
"""Seconds without the lock after which the log says who holds it."""
CACHED_STATEMENTS: Final = 128
"""Prepared statements that are kept: more than there are."""
PLACE_CHECK_INTERVAL: Final = 1.0
"""Seconds between two looks whether the file is still the one that was opened."""

_PRAGMAS: Final = (
    "PRAGMA cache_size = -16384",  # 16 MiB of pages
    "PRAGMA temp_store = MEMORY",
    "PRAGMA mmap_size = 0",  # mapped pages count as the process's memory, and grow with the file
    "PRAGMA wal_autocheckpoint = 0",  # see the checkpoint module
    f"PRAGMA journal_size_limit = {LONG_LOG}",  # a burst leaves no longer log behind
)

_files: weakref.WeakSet[StoreFile] = weakref.WeakSet()


class StoreFile:
    """One connection to the file, for one thread at a time; others wait for its lock.

    No connection crosses a fork: before one, every connection of the process is closed, under its lock. The parent and
    the child open their own when they next need it. (A child that inherits an open file believes to hold locks that
    belong to its parent.)

    Args:
        path: the file; made when it is not there.
        synchronous: "NORMAL" survives the death of processes, "FULL" a power cut too.
        clock: the store's time.
    """

    def __init__(self, path: Path, synchronous: str = "NORMAL", clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.folder = SocketFolder(path)
        self.clock = clock
        self._synchronous = synchronous
        self._ringer = Ringer(self.folder)
        self._connection: sqlite3.Connection | None = None
        self._owner = os.getpid()
        self._identity: tuple[int, int] | None = None
        self._checked = 0.0
        self._lock = threading.RLock()
        self._checkpoints = Checkpoints()
        _files.add(self)

    def clone(self) -> StoreFile:
        """Another connection to the same file."""
        return StoreFile(self.path, self._synchronous, self.clock)

    def run(self, operation: Operation[T], patience: float) -> T:
        """Run one operation in a transaction of its own, and wake those who wait for what it did.

        Args:
            operation: run once, or again from the start in another transaction.
            patience: seconds to wait for the lock, less when the caller's bounds say so.

        Raises:
            OperationalError: the file stayed locked, or failed.
            StoreError: it is full, read-only, damaged or newer than this release.
        """
        deadline = deadline_within(patience)
        outcome = self._run_all((operation,), deadline)[0]
        if self.take_checkpoint_due() and self._checkpoints.is_log_long(self.path):
            self._checkpoint(deadline)
        return outcome

    def run_all(self, operations: Sequence[Operation[T]], patience: float) -> list[T]:
        """Run several operations in one transaction: all of them happen, or none; see :meth:`run`."""
        return self._run_all(operations, deadline_within(patience))

    def _run_all(self, operations: Sequence[Operation[T]], deadline: float) -> list[T]:
        self._acquire(deadline)
        try:
            outcomes, owed = self._attempt(operations, deadline)
            try:
                while owed is not None:
                    _, owed = self._attempt((owed,), deadline)
            except CeleriacError as error:
                # What was asked for is committed, so this is no error of the caller's.
                logger.warning("those who wait for %s could not be told and look by themselves: %s", self.path, error)
            return outcomes
        finally:
            self._lock.release()

    def _acquire(self, deadline: float) -> None:
        """Get this process's own lock: another thread may hold it while it waits for the file's."""
        began = time.monotonic()
        if not self._lock.acquire(timeout=min(max(0.0, deadline - began), threading.TIMEOUT_MAX)):
            raise errors.locked(self.path, time.monotonic() - began)

    def try_run(self, operation: Operation[T]) -> tuple[T, Operation[None] | None] | None:
        """Run one operation now if nobody is long in the way; None when somebody is, and nothing was done.

        Returns:
            Its outcome, and what is to be run for those who could not be woken.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._connection is None:
                return None
            outcomes, owed = self._attempt((operation,), time.monotonic() + SHORT_PATIENCE)
            return outcomes[0], owed
        except errors.Locked:
            return None
        finally:
            self._lock.release()

    def take_checkpoint_due(self) -> bool:
        """Whether enough was written that somebody is to call :meth:`checkpoint`; then the count begins again."""
        return self._checkpoints.take_due()

    def checkpoint(self, patience: float) -> None:
        """Copy the log back into the file; what was committed is safe in the log already, whatever comes of it."""
        self._checkpoint(deadline_within(patience))

    def _checkpoint(self, deadline: float) -> None:
        try:
            self._acquire(deadline)
            try:
                self._guarded(lambda: self._checkpoints.run(self._connected(deadline)))
            finally:
                self._lock.release()
        except CeleriacError as error:
            logger.warning("could not shorten the log of %s, trying again later: %s", self.path, error)

    def read(self, operation: Operation[T], patience: float) -> T:
        """Run an operation that only reads, on one state of the file; it waits for nobody who writes."""
        deadline = deadline_within(patience)
        self._acquire(deadline)
        try:
            return self._guarded(partial(self._read, operation, deadline))
        finally:
            self._lock.release()

    def close(self) -> None:
        """Disconnect. The next operation connects again."""
        with self._lock:
            self._disconnect()

    def _attempt(self, operations: Sequence[Operation[T]], deadline: float) -> tuple[list[T], Operation[None] | None]:
        outcomes, transaction = self._guarded(partial(self._write, operations, deadline))
        return outcomes, self._wake(transaction) if transaction.rings or transaction.handed else None

    def _wake(self, transaction: Transaction) -> Operation[None] | None:
        """After the commit: send what the transaction owes to those who wait; returns what failing to costs."""
        dead = self._ringer.ring(transaction.rings)
        refused = []
        for each in transaction.handed:
            sending = self._ringer.send(each.socket, handover.write(each))
            if sending is not Sending.SENT:
                refused.append(each)
            if sending is Sending.GONE:
                dead.append(each.socket)
        if not dead and not refused:
            return None
        if dead:
            logger.info("%d waiting processes of %s are gone", len(dead), self.path)
        for name in dead:
            self.folder.remove(name)
        return partial(waiters.make_good, dead=dead, refused=refused)

    def _guarded(self, step: Callable[[], T]) -> T:
        """Run a step; after an error nothing of its transaction is left, and the error is ours."""
        try:
            return step()
        except sqlite3.Error as error:
            self._roll_back()
            if not isinstance(error, sqlite3.OperationalError):
                self._disconnect()
            raise errors.translate(error, self.path) from error
        except BaseException:
            self._roll_back()
            raise

    def _write(self, operations: Sequence[Operation[T]], deadline: float) -> tuple[list[T], Transaction]:
        connection = self._connected(deadline)
        self._retry(partial(connection.execute, "BEGIN IMMEDIATE"), deadline)
        transaction = Transaction(connection, self.clock())
        outcomes = [operation(transaction) for operation in operations]
        if transaction.made_ready or transaction.held_until:
            waiters.choose(transaction)
        connection.execute("COMMIT")
        self._checkpoints.count(connection)
        return outcomes, transaction

    def _read(self, operation: Operation[T], deadline: float) -> T:
        connection = self._connected(deadline)
        connection.execute("BEGIN")
        transaction = Transaction(connection, self.clock())
        outcome = self._retry(partial(operation, transaction), deadline)
        connection.execute("COMMIT")
        return outcome

    def _retry(self, step: Callable[[], T], deadline: float) -> T:
        """Repeat a step while somebody else holds a lock, at least once and until the deadline (monotonic)."""
        pause, begin, warned = FIRST_PAUSE, 0.0, False
        while True:
            try:
                return step()
            except sqlite3.OperationalError as error:
                if not errors.is_busy(error):
                    raise
            now = time.monotonic()
            begin = begin or now
            if now >= deadline:
                raise errors.locked(self.path, now - begin)
            if now - begin >= WARN_AFTER and not warned:
                warned = True
                logger.warning("%s has been locked for %.1f s: %s", self.path, now - begin, describe_writer(self.path))
            # The jitter keeps those who wait from coming back all at once.
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _connected(self, deadline: float) -> sqlite3.Connection:
        if self._owner != os.getpid():
            self._leave_parent()
        connection = self._connection
        if connection is not None:
            now = time.monotonic()
            if now - self._checked < PLACE_CHECK_INTERVAL:
                return connection
            self._checked = now
            if self._identity == self._identify():
                return connection
            logger.error("%s was moved or deleted while it was in use; opening the file that is there now", self.path)
            self._disconnect()
        return self._connect(deadline)

    def _connect(self, deadline: float) -> sqlite3.Connection:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            needed = ".".join(map(str, OLDEST_SQLITE))
            raise ImproperlyConfigured(
                f"the embedded store {self.path} needs SQLite {needed} or newer, and this Python brings "
                f"{sqlite3.sqlite_version}: use a newer Python, or another broker such as redis://"
            )
        place.prepare(self.path)
        self.folder.make()
        connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, cached_statements=CACHED_STATEMENTS, check_same_thread=False
        )
        try:
            self._set_up(connection, deadline)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._checkpoints = Checkpoints()
        self._identity = self._identify()
        self._checked = time.monotonic()
        return connection

    def _set_up(self, connection: sqlite3.Connection, deadline: float) -> None:
        # Any of these may find the file locked: by who makes it at this moment, or recovers its log after a crash.
        for pragma in (*_PRAGMAS, f"PRAGMA synchronous = {self._synchronous}"):
            self._retry(partial(connection.execute, pragma), deadline)
        self._retry(partial(self._set_up_file, connection), deadline)

    def _set_up_file(self, connection: sqlite3.Connection) -> None:
        # In one transaction: another process may be making the file at this moment.
        connection.execute("BEGIN")
        try:
            needs_upgrade = schema.needs_upgrade(connection, self.path)
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
        if not needs_upgrade:
            return
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # costs nothing measurable, see the sweeping module
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            schema.upgrade(connection, self.path)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _disconnect(self) -> None:
        self._ringer.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _identify(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _leave_parent(self) -> None:
        """In a child of a fork that bypassed Python (uWSGI): close what the parent had opened.

        Closing is safe between transactions, and makes SQLite forget the locks that are not this process's.
        """
        if self._connection is not None and self._connection.in_transaction:
            raise OperationalError(
                f"this process was forked in the middle of a transaction on {self.path}: open the store after the fork"
            )
        self._disconnect()
        self._owner = os.getpid()

    def before_fork(self) -> None:
        """Close the connection, and keep everybody from opening one until the fork is done."""
        self._lock.acquire()
        self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Let the threads go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin afresh: the parent's other threads, and what they held, are not here."""
        self._lock = threading.RLock()
        self._owner = os.getpid()


_forking: list[StoreFile] = []


def _before_fork() -> None:
    _forking[:] = _files
    for file in _forking:
        file.before_fork()


def _after_fork_in_parent() -> None:
    for file in _forking:
        file.after_fork_in_parent()
    _forking.clear()


def _after_fork_in_child() -> None:
    for file in _forking:
        file.after_fork_in_child()
    _forking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
