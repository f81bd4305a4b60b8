"""Commands of synchronous callers: sent again while that may help and the deadline allows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from hiredis import ReplyError

from celeriac.exceptions import OperationalError
from celeriac.stores.redis.backoff import pause_before
from celeriac.stores.redis.errors import (
    Disconnected,
    Remedy,
    as_unreachable,
    explain,
    is_missing_script,
    remedy_for,
    unreachable,
)
from celeriac.stores.redis.scripts import Script
from celeriac.stores.redis.sync_connection import Pool, SyncConnection
from celeriac.stores.redis.wire import Argument

__all__ = ["Caller"]


class Caller:
    """Calls over a pool.

    Args:
        pool: the connections.
        timeout: seconds for a call, from name look-up to reply.
        retry: try again when the server cannot be reached.
    """

    def __init__(self, pool: Pool, timeout: float, retry: bool) -> None:
        self.pool: Final = pool
        self._timeout = timeout
        self._retry = retry

    def call(self, packed: bytes) -> Any:
        """One command; returns its reply."""
        return self.call_all([packed])[0]

    def run(self, script: Script, keys: Sequence[bytes], arguments: Sequence[Argument]) -> Any:
        """A script; it is sent again when its reply is lost, so it must bear that."""
        try:
            return self.call(script.packed(keys, arguments))
        except ReplyError:  # NOSCRIPT, the only one that is not explained
            return self.call(script.packed_whole(keys, arguments))

    def call_all(self, packed: Sequence[bytes]) -> list[Any]:
        """Several commands in one write; those without a reply are sent again when the connection breaks.

        Raises:
            BrokerUnreachable: no connection within the time.
            OperationalError: no answer within the time: the commands may have been executed or not.
            StoreFull, StoreReadOnly: the server says so.
        """
        deadline = time.monotonic() + self._timeout
        replies: list[Any] = [None] * len(packed)
        missing = list(range(len(packed)))
        attempt = 0
        while missing:
            attempt += 1
            connection: SyncConnection | None = None
            try:
                connection = self.pool.take(deadline)
                found = connection.request([packed[place] for place in missing], deadline)
            except (OSError, Disconnected) as error:
                self._drop(connection)
                self._pause(error, attempt, deadline, connection is not None)
                continue
            except ReplyError as error:
                raise as_unreachable(explain(error, self.pool.address.public)) from None
            except BaseException:
                self._drop(connection)
                raise
            for place, reply in zip(missing, found, strict=True):
                replies[place] = reply
            missing = [place for place in missing if isinstance(replies[place], ReplyError)]
            if missing:
                self._refused(replies[missing[0]], connection, attempt, deadline)
            else:
                self.pool.give_back(connection)
        return replies

    @staticmethod
    def _drop(connection: SyncConnection | None) -> None:
        if connection is not None:
            connection.close()

    def _pause(self, error: Exception, attempt: int, deadline: float, was_sent: bool) -> None:
        """Wait before the next attempt, or raise: there is no time for another."""
        pause = 0.0 if attempt == 1 and was_sent else pause_before(attempt)
        if not self._retry or time.monotonic() + pause >= deadline:
            place = self.pool.address.public
            if not was_sent:
                raise unreachable(place, error) from error
            raise OperationalError(
                f"{place} did not answer within {self._timeout:g} seconds ({error}); the command may be executed or not"
            ) from error
        time.sleep(pause)

    def _refused(self, refusal: ReplyError, connection: SyncConnection, attempt: int, deadline: float) -> None:
        """Do what makes another attempt sensible after an error reply, or raise it."""
        remedy = remedy_for(refusal)
        if remedy is Remedy.RECONNECT:
            connection.close()
        else:
            self.pool.give_back(connection)
        if is_missing_script(refusal):
            raise refusal
        pause = pause_before(attempt)
        if remedy is Remedy.RAISE or time.monotonic() + pause >= deadline:
            raise explain(refusal, self.pool.address.public) from None
        time.sleep(pause)
