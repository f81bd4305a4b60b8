"""The embedded store, synchronous: what clients need, from any thread and after any fork."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from celeriac.exceptions import OperationalError, TimeoutError  # noqa: A004 - the interface's error
from celeriac.stores.options import StoreOptions
from celeriac.stores.sqlite import control, publishing, results, workflows
from celeriac.stores.sqlite.errors import Locked
from celeriac.stores.sqlite.file import StoreFile
from celeriac.stores.sqlite.receiving import LOOK_INTERVAL
from celeriac.stores.sqlite.store import CAPABILITIES, patience_of
from celeriac.stores.sqlite.transaction import Operation
from celeriac.stores.sqlite.wakeup import Bell
from celeriac.stores.sqlite.watching import timeout_text
from celeriac.stores.store import Document, Outgoing, ResultRecord, Revocation

__all__ = ["SyncSQLiteStore"]

T = TypeVar("T")

AT_ONCE: Final = 0.0
"""Seconds to wait for the lock: none."""
FEW: Final = 8
"""Tasks of one wait up to which each is looked at when the socket is rung; above, the file knows which were told."""


class SyncSQLiteStore:
    """A :class:`~celeriac.stores.store.SyncStore` on one SQLite file.

    All threads share one connection, under its lock: SQLite has one writer at a time anyway. A thread that waits for
    results sleeps on a socket of its own and holds no lock.

    Args:
        path: the file.
        options: of the store.
        clock: the store's time.
    """

    capabilities = CAPABILITIES

    def __init__(self, path: Path, options: StoreOptions, clock: Callable[[], float] = time.time) -> None:
        self._patience = options.publish_timeout
        self._longest_look = patience_of(options)
        self._file = StoreFile(path, options.synchronous, clock)
        self._bells: list[Bell] = []
        # Registrations that are over, by socket: dropped with the next one, so that no result waits for it.
        self._done: dict[str, list[str]] = {}
        self._closed = False

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._closed = True
        for bell in self._bells:
            if bell.is_mine and (over := self._done.get(bell.name)):
                with suppress(Locked):  # whoever rings it next finds its socket gone
                    self._file.run(partial(results.unwatch, socket=bell.name, task_ids=over), AT_ONCE)
        while self._bells:
            self._bells.pop().close()
        self._file.close()

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Store all messages in one transaction."""
        if messages:
            self._run(partial(publishing.publish, messages=messages))

    def store_results(self, records: Sequence[ResultRecord]) -> None:
        """Store results; a SUCCESS is never replaced by another state."""
        if records:
            self._run(partial(results.store, records=records))

    def results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """The stored results, None where there is none."""
        self._check_open()
        return self._file.read(partial(results.read, task_ids=task_ids), self._patience)

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> Iterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.SyncStore.wait`."""
        now = time.monotonic()
        deadline = None if timeout is None else now + timeout
        # Until when a look at the file may take; without time there is one look all the same.
        until = now + self._patience if timeout == 0 else deadline
        lacking = dict.fromkeys(task_ids)
        bell = self._take_bell()
        # Tasks that are registered in the file, or may be: a result that was told of is registered no more.
        registered = set(lacking)
        try:
            found = self._watch(bell, list(lacking), until, len(lacking), again=False)
            registered.difference_update(task_id for task_id, _ in found)
            while True:
                for task_id, payload in found:
                    if task_id in lacking and ready(payload):
                        del lacking[task_id]
                        yield task_id, payload
                if not lacking:
                    return
                if unwatched := [task_id for task_id in lacking if task_id not in registered]:
                    registered.update(unwatched)
                    found = self._watch(bell, unwatched, until, len(lacking), again=True)
                    continue
                left = LOOK_INTERVAL if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(timeout_text(lacking, timeout))
                if bell.wait(min(left, LOOK_INTERVAL)):
                    found = self._told(bell, list(lacking), until)
                    registered.difference_update(task_id for task_id, _ in found)
                else:
                    found = self._watch(bell, list(lacking), until, len(lacking), again=True)
        except Locked as error:
            if deadline is None:
                raise
            raise TimeoutError(timeout_text(lacking, timeout)) from error
        finally:
            self._return_bell(bell, list(registered))

    def forget(self, task_ids: Sequence[str]) -> None:
        """Drop the results of these tasks."""
        self._run(partial(results.forget, task_ids=task_ids))

    def store_documents(self, documents: Sequence[Document]) -> None:
        """Store documents; a later one of the same kind and id replaces the earlier."""
        self._run(partial(workflows.store_documents, stored=documents))

    def documents(self, kind: str, ids: Sequence[str]) -> list[bytes | None]:
        """The payloads of documents, None where there is none."""
        self._check_open()
        return self._file.read(partial(workflows.documents, kind=kind, ids=ids), self._patience)

    def drop_documents(self, kind: str, ids: Sequence[str]) -> None:
        """Drop documents."""
        self._run(partial(workflows.drop_documents, kind=kind, ids=ids))

    def chord_parts(self, group_id: str) -> list[bytes]:
        """The payloads of the parts that were counted, in the order of the members' positions."""
        self._check_open()
        return self._file.read(partial(workflows.parts, group_id=group_id), self._patience)

    def revoke(self, revocations: Sequence[Revocation], lifetime: float) -> None:
        """Store the revocations for ``lifetime`` seconds and tell those who watch for them."""
        self._run(partial(control.revoke, revoked=revocations, lifetime=lifetime))

    def broadcast(self, exchange: str, payload: bytes, routing_key: str = "") -> None:
        """Hand a payload to all inboxes of the exchange; they get it whatever the routing key is."""
        self._run(partial(control.broadcast, exchange=exchange, payload=payload))

    def _run(self, operation: Operation[T]) -> T:
        self._check_open()
        return self._file.run(operation, self._patience)

    def _check_open(self) -> None:
        if self._closed:
            raise OperationalError("this store is closed: open another one")

    def _watch(
        self, bell: Bell, task_ids: list[str], until: float | None, lacking: int, again: bool
    ) -> list[tuple[str, bytes]]:
        self._check_open()
        done = self._done.get(bell.name, ())
        look = partial(results.watch, socket=bell.name, task_ids=task_ids, again=again, done=done)
        found = self._file.run(partial(look, marked=lacking > FEW), self._left(until))
        self._done.pop(bell.name, None)
        return found

    def _told(self, bell: Bell, lacking: list[str], until: float | None) -> list[tuple[str, bytes]]:
        """What was stored since the last look; for few tasks it is read without the write lock, which workers need."""
        self._check_open()
        if len(lacking) > FEW:
            return self._file.run(partial(results.take_told, socket=bell.name), self._left(until))
        found = self._file.read(partial(results.look, task_ids=lacking), self._left(until))
        self._done.setdefault(bell.name, []).extend(task_id for task_id, _ in found)
        return found

    def _left(self, until: float | None) -> float:
        """Seconds that a look may wait for the file's lock: those that are left, or what the settings allow."""
        return self._longest_look if until is None else max(AT_ONCE, until - time.monotonic())

    def _take_bell(self) -> Bell:
        """A socket for one wait: one that no other wait uses now, made by this process."""
        self._check_open()
        while self._bells:
            bell = self._bells.pop()
            if bell.is_mine:
                bell.drain()
                return bell
            bell.close()
        return Bell(self._file.folder)

    def _return_bell(self, bell: Bell, registered: list[str]) -> None:
        if self._closed or not bell.is_mine:
            bell.close()
            return
        try:
            if registered:
                self._file.run(partial(results.unwatch, socket=bell.name, task_ids=registered), AT_ONCE)
        except Locked:
            self._done.setdefault(bell.name, []).extend(registered)  # with the next look, or when it is closed
        except BaseException:
            bell.close()
            raise
        self._bells.append(bell)
