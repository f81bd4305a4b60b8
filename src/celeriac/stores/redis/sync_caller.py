"""Commands of synchronous callers: sent again while that may help and the deadline allows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Final

from hiredis import ReplyError

from celeriac.exceptions import OperationalError
from celeriac.stores.backoff import pause_before
from celeriac.stores.bounds import Bounds, bounds, deadline_within, may_retry
from celeriac.stores.redis.errors import (
    Disconnected,
    Remedy,
    as_unreachable,
    explain,
    is_missing_script,
    remedy_for,
    unreachable,
)
from celeriac.stores.redis.limits import Limits
from celeriac.stores.redis.scripts import Script
from celeriac.stores.redis.sync_connection import SyncConnection
from celeriac.stores.redis.sync_pool import Pool
from celeriac.stores.redis.wire import Argument

__all__ = ["Caller"]


class Caller:
    """Calls over a pool.

    Args:
        pool: the connections.
        timeout: seconds for a call, from name look-up to reply.
        retry: try again when the server cannot be reached.
        limits: of one command.
    """

    def __init__(self, pool: Pool, timeout: float, retry: bool, limits: Limits) -> None:
        self.pool: Final = pool
        self._timeout = timeout
        self._retry = retry
        self._limits = limits

    def call(self, packed: bytes) -> Any:
        """One command; returns its reply."""
        return self.call_all([packed])[0]

    def run(self, script: Script, keys: Sequence[bytes], arguments: Sequence[Argument]) -> Any:
        """A script; it is sent again when its reply is lost, so it must bear that."""
        with Bounds(self._timeout) if bounds() is None else nullcontext():
            try:
                return self.call(script.packed(keys, arguments))
            except ReplyError:  # NOSCRIPT, the only one that is not explained
                return self.call(script.packed_whole(keys, arguments))

    def call_all(self, packed: Sequence[bytes], last: bytes | None = None) -> list[Any]:
        """Several commands in one write; those without a reply are sent again when the connection breaks.

        It ends within the caller's bounds too, and repeats nothing when those say so.

        Args:
            packed: the commands.
            last: a command that asks about the others: it goes behind them each time, over the same connection; its
                reply comes last.

        Raises:
            BrokerUnreachable: no connection within the time.
            OperationalError: no answer within the time: the commands may have been executed or not.
            StoreFull, StoreReadOnly: the server says so.
        """
        began = time.monotonic()
        deadline = deadline_within(self._timeout)
        replies: list[Any] = [None] * len(packed)
        missing = list(range(len(packed)))
        answer: list[Any] = []
        attempt = 0
        while missing:
            attempt += 1
            connection: SyncConnection | None = None
            try:
                connection = self.pool.take(deadline)
                commands = [packed[place] for place in missing]
                found = self._request(connection, commands if last is None else [*commands, last], deadline)
            except (OSError, Disconnected) as error:
                self._drop(connection)
                self._pause(error, attempt, began, deadline, connection is not None)
                continue
            except ReplyError as error:
                raise as_unreachable(explain(error, self.pool.public)) from None
            except BaseException:
                self._drop(connection)
                raise
            for place, reply in zip(missing, found, strict=False):
                elsewhere = last is None and isinstance(reply, ReplyError) and self._is_asked_elsewhere(reply)
                asked = self.pool.server.ask
                replies[place] = asked(connection, reply, packed[place], deadline) if elsewhere else reply
            answer = found[len(missing) :]
            missing = [place for place in missing if isinstance(replies[place], ReplyError)]
            if missing:
                self._refused(replies[missing[0]], connection, attempt, deadline)
            else:
                self.pool.give_back(connection)
        return replies + answer

    def _request(self, connection: SyncConnection, packed: Sequence[bytes], deadline: float) -> list[Any]:
        server, timeout = self.pool.server, self._limits.command_timeout
        limit = deadline if timeout is None else min(deadline, time.monotonic() + timeout)
        has_moved = (lambda: server.has_moved(connection, deadline)) if server.topology.moves else None
        return connection.request(packed, limit, has_moved)

    def _is_asked_elsewhere(self, reply: ReplyError) -> bool:
        """The slot is on its way to another node of the cluster, which is to be asked."""
        return self.pool.server.is_cluster and remedy_for(reply) is Remedy.ASK

    def _drop(self, connection: SyncConnection | None) -> None:
        if connection is not None:
            self.pool.drop(connection)
            self.pool.leave(connection.address.place)

    def _pause(self, error: Exception, attempt: int, began: float, deadline: float, was_sent: bool) -> None:
        """Wait before the next attempt, or raise: there is no time for another."""
        pause = 0.0 if attempt == 1 and was_sent else pause_before(attempt)
        now = time.monotonic()
        again = self._retry and may_retry() and (self._limits.repeats_timeouts or not _timed_out(error, was_sent))
        if not again or now + pause >= deadline:
            place = self.pool.public
            if not was_sent:
                raise unreachable(place, error) from error
            raise OperationalError(
                f"{place} was reached and did not answer ({error}; gave up after {now - began:.2g} seconds); "
                "the command may be executed or not. Is the server overloaded or stopped, or the network cut?"
            ) from error
        time.sleep(pause)

    def _refused(self, refusal: ReplyError, connection: SyncConnection, attempt: int, deadline: float) -> None:
        """Do what makes another attempt sensible after an error reply, or raise it."""
        pool, remedy = self.pool, remedy_for(refusal)
        if remedy in (Remedy.RECONNECT, Remedy.DOUBT, Remedy.MOVED):
            self._drop(connection)
            pool.server.demoted()
        else:
            pool.give_back(connection)
        if is_missing_script(refusal):
            raise refusal
        pause = pause_before(attempt)
        if remedy is Remedy.MOVED and pool.server.is_cluster:
            pool.server.redirected(connection, refusal)
            pause = 0.0 if attempt == 1 else pause
        elif remedy in (Remedy.RAISE, Remedy.MOVED) or not may_retry():
            raise explain(refusal, pool.public) from None
        if time.monotonic() + pause >= deadline:
            raise explain(refusal, pool.public) from None
        time.sleep(pause)


def _timed_out(error: Exception, was_sent: bool) -> bool:
    return was_sent and isinstance(error, TimeoutError)
