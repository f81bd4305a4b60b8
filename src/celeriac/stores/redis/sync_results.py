"""Waiting for results in threads: one connection for a process, and no thread of our own.

Of the threads that wait, one reads for all: the one that got the reader's lock. When its own result is there it gives
the lock back and elects another that is blocked. A thread says that it is blocked *before* it tries for the lock, and
who releases the lock looks for blocked threads *after* that: so either the newcomer gets the lock or it is elected. An
elected thread that goes away instead (its result or its deadline came) elects the next.

SUBSCRIBE and the first reading of a wait travel together: a result that is stored between the two is told, one that was
stored before is read. Nothing is sent by finalizers: what a generator that was thrown away listened to is unsubscribed
by the next wait.
"""

from __future__ import annotations

import os
import select
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from hiredis import ProtocolError, PushNotification, ReplyError

from celeriac.stores.backoff import pause_before
from celeriac.stores.options import StoreOptions
from celeriac.stores.redis.connection import REPLY_TIMEOUT
from celeriac.stores.redis.errors import Disconnected, Remedy, as_unreachable, explain, remedy_for, unreachable
from celeriac.stores.redis.keys import Keys
from celeriac.stores.redis.notices import timed_out
from celeriac.stores.redis.search import is_master
from celeriac.stores.redis.sync_connection import SyncConnection
from celeriac.stores.redis.sync_pool import Pool
from celeriac.stores.redis.wire import pack_command

__all__ = ["ResultWaits"]

_AT_ONCE: Final = 1000
"""Keys in one command."""
_HEALTH_EACH: Final = 5.0
"""Seconds of silence after which the server is asked for a sign of life; it has as long again to give one."""
_HEALTH_EACH_WHERE_IT_MOVES: Final = 2.0
"""The same where another server may take over."""
_AFTER_REFUSAL: Final = 0.1
"""Seconds before the next attempt when a reading is refused for the moment."""
_SIGN_OF_LIFE: Final = pack_command((b"HELLO",))
"""Its answer tells besides whether the server is the master still."""


class _Wait:
    """One call of ``wait``: guarded by the lock of :class:`ResultWaits`, except for ``came``, which is atomic."""

    def __init__(self, ids: dict[bytes, str]) -> None:
        self.ids = ids
        self.came: deque[tuple[bytes, bytes]] = deque()
        self.event = threading.Event()
        self.blocked = False
        self.elected = False


class ResultWaits:
    """All waits of one store in one process.

    Args:
        pool: makes the connection.
        keys: the names.
        options: ``retry``, ``max_retries`` and ``connect_timeout``.
    """

    def __init__(self, pool: Pool, keys: Keys, options: StoreOptions) -> None:
        self._pool = pool
        self._keys = keys
        self._options = options
        self._health_each = _HEALTH_EACH_WHERE_IT_MOVES if pool.server.topology.moves else _HEALTH_EACH
        self._connection: SyncConnection | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        """In this process: a child of a fork shares no connection and no wait with its parent."""
        if self._connection is not None:
            self._connection.close()
        self._pid = os.getpid()
        self._connection = None
        self._table: dict[bytes, list[_Wait]] = {}
        self._expected: deque[list[bytes] | None] = deque()
        self._thrown_away: deque[_Wait] = deque()
        self._lock = threading.Lock()
        self._reader = threading.Lock()
        self._pinged = False
        self._heard = 0.0
        self._failures = 0
        self._not_before = 0.0
        self._trouble: BaseException | None = None

    def close(self) -> None:
        """Drop the connection; who waits connects again."""
        with self._lock:
            self._disconnect()

    def wait(
        self, task_ids: Iterable[str], ready: Callable[[bytes], bool], timeout: float | None
    ) -> Iterator[tuple[str, bytes]]:
        """See :meth:`celeriac.stores.store.SyncStore.wait`."""
        if self._pid != os.getpid():
            self._begin_anew()
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        wait = _Wait({self._keys.result(task_id): task_id for task_id in task_ids})
        # Without time there is one look all the same: it ends with the answer to the first reading.
        first_look = deadline
        if timeout is not None and timeout <= 0:
            first_look += self._options.publish_timeout
        looked = False
        if wait.ids:
            self._listen(wait)
        try:
            while wait.ids:
                while wait.came:
                    key, document = wait.came.popleft()
                    looked = True
                    if key in wait.ids and document is not None and ready(document):
                        task_id = wait.ids.pop(key)
                        self._leave(wait, [key])
                        yield task_id, document
                if not wait.ids:
                    return
                limit = deadline if looked else first_look
                if time.monotonic() >= limit:
                    self._leave(wait, list(wait.ids))
                    raise timed_out(wait.ids.values(), timeout) from self._trouble
                self._advance(wait, limit)
        finally:
            if wait.ids:
                self._thrown_away.append(wait)

    # ------------------------------------------------------------------------------------------- listening and leaving

    def _listen(self, wait: _Wait) -> None:
        with self._lock:
            self._sweep()
            for key in wait.ids:
                self._table.setdefault(key, []).append(wait)
            if self._connection is not None:
                self._ask(list(wait.ids))

    def _ask(self, keys: list[bytes]) -> None:
        """Subscribe and read; the lock is held."""
        assert self._connection is not None
        try:
            for first in range(0, len(keys), _AT_ONCE):
                part = keys[first : first + _AT_ONCE]
                self._expected.append(part)
                packed = pack_command((b"SUBSCRIBE", *part)) + pack_command((b"MGET", *part))
                self._connection.send(packed, time.monotonic() + REPLY_TIMEOUT)
        except OSError:
            self._disconnect()

    def _leave(self, wait: _Wait, keys: list[bytes]) -> None:
        """These keys are done; and the thread goes away, so that another must read."""
        with self._lock:
            self._unsubscribe(wait, keys)
            if wait.elected:
                wait.elected = False
                self._elect()

    def _unsubscribe(self, wait: _Wait, keys: Iterable[bytes]) -> None:
        over = []
        for key in keys:
            waits = self._table.get(key, [])
            if wait in waits:
                waits.remove(wait)
                if not waits:
                    del self._table[key]
                    over.append(key)
        if over and self._connection is not None:
            try:
                for first in range(0, len(over), _AT_ONCE):
                    packed = pack_command((b"UNSUBSCRIBE", *over[first : first + _AT_ONCE]))
                    self._connection.send(packed, time.monotonic() + REPLY_TIMEOUT)
            except OSError:
                self._disconnect()

    def _sweep(self) -> None:
        while self._thrown_away:
            wait = self._thrown_away.popleft()
            self._unsubscribe(wait, list(wait.ids))

    # ---------------------------------------------------------------------------------------------------------- reading

    def _advance(self, wait: _Wait, limit: float) -> None:
        """Read for all until something came for this wait, or wait while another thread reads."""
        with self._lock:
            wait.blocked = True
        if not self._reader.acquire(blocking=False):
            self._block(wait, limit)
            return
        try:
            with self._lock:
                wait.blocked = wait.elected = False
            while not wait.came and time.monotonic() < limit:
                self._read(limit)
        finally:
            self._reader.release()
            with self._lock:
                self._elect()

    def _block(self, wait: _Wait, limit: float) -> None:
        """Wait while another thread reads; an exception (of a signal, of gevent) leaves nobody elected who is gone."""
        left = limit - time.monotonic()
        try:
            wait.event.wait(None if left == float("inf") else max(0.0, left))
        except BaseException:
            with self._lock:
                wait.blocked = False
                if wait.elected:
                    wait.elected = False
                    self._elect()
            raise
        with self._lock:
            wait.event.clear()
            wait.blocked = False

    def _elect(self) -> None:
        """Let a blocked thread try for the reader's lock; the lock is held."""
        for waits in self._table.values():
            for wait in waits:
                if wait.blocked:
                    wait.elected = True
                    wait.event.set()
                    return

    def _read(self, limit: float) -> None:
        """One step of reading: connect, or wait for bytes and hand out what they say."""
        connection = self._connection
        if connection is None:
            self._connect(limit)
            return
        ends = min(limit, self._heard + self._health_each)
        if not _is_readable(connection, max(0.0, ends - time.monotonic())):
            if time.monotonic() >= self._heard + self._health_each:
                self._look_after(connection)
            return
        with self._lock:
            if self._connection is not connection:
                return
            try:
                connection.socket.settimeout(0)  # half a TLS record is readable too, and the rest may never come
                replies = connection.receive()
            except (ssl.SSLWantReadError, BlockingIOError):
                return
            except (OSError, Disconnected, ProtocolError):
                self._disconnect()
                return
            self._heard, self._pinged, self._failures = time.monotonic(), False, 0
            for reply in replies:
                self._hand_out(reply)

    def _hand_out(self, reply: Any) -> None:
        if type(reply) is PushNotification:
            if reply[0] == b"message":
                self._tell(reply[1], reply[2])
            return
        keys = self._expected.popleft() if self._expected else None
        if keys is None:
            if self._pool.server.topology.moves and isinstance(reply, dict) and not is_master(reply):
                self._pool.server.demoted()
                self._disconnect()
            return
        if isinstance(reply, ReplyError):
            self._refused(reply)
            return
        for key, document in zip(keys, reply, strict=True):
            self._tell(key, document)

    def _refused(self, refusal: ReplyError) -> None:
        """A reading was refused for the moment, or another server is to be read from."""
        server, remedy = self._pool.server, remedy_for(refusal)
        if self._connection is not None and remedy is Remedy.MOVED and server.is_cluster:
            server.redirected(self._connection, refusal)
        elif remedy is Remedy.RAISE or (remedy in (Remedy.MOVED, Remedy.ASK) and not server.is_cluster):
            raise explain(refusal, self._pool.public)
        elif remedy is Remedy.RECONNECT:
            server.demoted()
        else:
            self._not_before = time.monotonic() + _AFTER_REFUSAL
        self._disconnect()

    def _tell(self, key: bytes, document: Any) -> None:
        for wait in self._table.get(key, ()):
            wait.came.append((key, document))
            wait.event.set()

    def _look_after(self, connection: SyncConnection) -> None:
        """Nothing was heard for a while: ask; and when nothing was heard after asking, connect again."""
        with self._lock:
            if self._connection is not connection:
                return
            if self._pinged or self._is_left(connection):
                self._disconnect()
                return
            self._pinged, self._heard = True, time.monotonic()
            self._expected.append(None)
            try:
                connection.send(_SIGN_OF_LIFE, time.monotonic() + REPLY_TIMEOUT)
            except OSError:
                self._disconnect()

    def _is_left(self, connection: SyncConnection) -> bool:
        try:
            return self._pool.server.is_left(connection, time.monotonic() + self._health_each)
        except (OSError, ReplyError):
            return True

    # ------------------------------------------------------------------------------------------------------- connecting

    def _connect(self, limit: float) -> None:
        """Connect, and ask again for everything; or raise when that is hopeless."""
        options = self._options
        if (rest := min(self._not_before, limit) - time.monotonic()) > 0:
            time.sleep(rest)
        try:
            connection = self._pool.make(limit)
        except ReplyError as error:
            raise as_unreachable(explain(error, self._pool.public)) from None
        except (OSError, Disconnected) as error:
            self._failures += 1
            self._trouble = unreachable(self._pool.public, error)
            most = options.max_retries if options.retry else 0
            if most is not None and self._failures > most:
                self._failures = 0
                raise self._trouble from error
            time.sleep(max(0.0, min(pause_before(self._failures), limit - time.monotonic())))
            return
        with self._lock:
            self._expected.clear()
            self._connection = connection
            self._heard, self._pinged, self._trouble = time.monotonic(), False, None
            self._ask(list(self._table))

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _is_readable(connection: SyncConnection, seconds: float) -> bool:
    """Whether there is something to read within that time; other threads may send meanwhile."""
    plain = connection.socket
    if isinstance(plain, ssl.SSLSocket) and plain.pending():
        return True
    descriptor = plain.fileno()
    if descriptor < 0:
        return True  # another thread found it broken and closed it: reading will say so
    try:
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(None if seconds == float("inf") else seconds * 1000))
        return bool(select.select([descriptor], [], [], seconds)[0])  # eventlet takes poll away
    except (OSError, ValueError):
        return True
